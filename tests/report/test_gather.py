"""The sums of both databases, beside sums that Python makes of the same rows."""

from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from spfmilter.journal.database import JournalError
from spfmilter.journal.rows import Decision
from spfmilter.report.forwarders import Forwarder
from spfmilter.report.period import DAY, HOUR
from spfmilter.report.related import network_of
from tests.report import traffic, values
from tests.report.traffic import NOW, forwarded, refused, row
from tests.report.values import BERLIN, KATHMANDU, fill, report

MINUTE = 60_000
REFUSING = {"reject", "defer"}
INI = """[exempt]
forwarders = .alumni.example, mx.old.example
networks = 10.1.0.0/16, 192.0.2.0/24
senders = club.example
"""


def counted(rows: Iterable[Decision], key: Callable[[Decision], object]) -> Counter[object]:
    return Counter(key(one) for one in rows)


def test_a_week_of_mail(url) -> None:
    rows = list(traffic.week(3000))
    fill(url, rows)
    made = report(url, INI, zone=BERLIN)
    totals = made.totals
    assert totals.messages == len(rows)
    assert totals.actions == counted(rows, lambda one: one.action)
    for found, column in ((totals.mailfrom, "mailfrom_result"), (totals.helo, "helo_result"), (totals.skips, "skip")):
        assert found == counted(
            (one for one in rows if getattr(one, column)), lambda one, name=column: getattr(one, name)
        )
    assert totals.hosts == {"mx1.example.net": len(rows)}
    assert totals.would == {}

    days = counted(rows, lambda one: f"{made.period.local(one.time):%Y-%m-%d}")
    assert {f"{made.period.local(step.start):%Y-%m-%d}": step.messages for step in made.trend} == days
    assert sum((step.actions for step in made.trend), Counter()) == totals.actions

    bad = [one for one in rows if one.action in REFUSING]
    assert totals.refused == len(bad)
    domains = counted(bad, lambda one: one.sender_domain)
    assert [one.messages for one in made.refused.domains] == sorted(domains.values(), reverse=True)[:10]
    for one, case in zip(made.refused.domains, made.refused.cases, strict=True):
        mine = [other for other in bad if other.sender_domain == one.domain]
        assert (one.messages, one.clients, one.last) == (
            len(mine),
            len({other.client for other in mine}),
            mine[-1].time,
        )
        assert one.results == counted(mine, lambda other: other.mailfrom_result)
        assert case in {other.case_id for other in mine if other.time == one.last}
    networks = counted(bad, lambda one: network_of(one.client or ""))
    assert {one.network: one.messages for one in made.refused.networks}.items() <= networks.items()
    assert [one.messages for one in made.refused.networks] == sorted(networks.values(), reverse=True)[:10]
    assert made.would.domains == ()

    (forwarder,) = made.forwarders
    assert (forwarder.name, forwarder.host_count, forwarder.domain_count, forwarder.messages) == (
        "forward.example",
        4,
        23,
        60,
    )
    (partner,) = made.partners
    assert (partner.domain, partner.addresses, partner.failures) == ("partner.example", ("203.0.113.80",), 30)
    assert made.forwarder_cases[0] in {one.case_id for one in rows}

    broken = [one for one in rows if one.mailfrom_result == "temperror" and one.mailfrom_problem != "own-resolver"]
    assert sum(one.messages for one in made.temperrors) == len(broken)
    assert sum(one.timeouts for one in made.temperrors) == sum(one.mailfrom_problem == "time-limit" for one in broken)
    assert sum(one.messages for one in made.outages) == sum(one.override == "own_resolver" for one in rows)
    assert {(one.type, one.by, one.messages) for one in made.overrides} == {
        ("own_resolver", None, 40),
        ("trusted_forwarder", "mx.alumni.example", 25),
    }
    assert [entry.text for entry in made.never_used] == [
        "[exempt] networks: 10.1.0.0/16",
        "[exempt] networks: 192.0.2.0/24",
        "[exempt] forwarders: mx.old.example",
        "[exempt] senders: club.example",
    ]


def test_monitor_mode(url) -> None:
    fill(url, traffic.week(2000, monitor=True))
    made = report(url, "[policy]\nmode = monitor\n")
    assert made.monitor
    assert made.totals.would["reject"] == made.totals.would_refuse > 50
    assert {one.domain for one in made.would.domains} & {"bank1.example"}
    assert made.would.networks
    assert made.totals.decided["reject", "mailfrom", "fail"] > 50


@pytest.mark.parametrize("zone", [BERLIN, KATHMANDU], ids=["Berlin", "Kathmandu"])
@pytest.mark.parametrize(("end", "longest"), [("2026-03-31T03:00", 72), ("2026-10-27T03:00", 75)])
def test_the_trend_follows_the_local_clock(url, zone, end, longest) -> None:
    """Over the begin and the end of summer time: a day of 23 hours, and one of 25."""
    until = values.at(end)
    times = range(until - 5 * DAY, until, 20 * MINUTE)
    fill(url, (row(time) for time in times))
    made = report(url, since=times.start, until=until, zone=zone)
    expected = Counter(f"{made.period.local(time):%Y-%m-%d}" for time in times)
    assert {f"{made.period.local(step.start):%Y-%m-%d}": step.messages for step in made.trend} == expected
    assert max(expected.values()) == (longest if zone is BERLIN else 72)


def test_only_rows_of_the_span_count(url) -> None:
    fill(url, [refused(time) for time in (NOW - 2 * HOUR - 1, NOW - 2 * HOUR, NOW - HOUR - 1, NOW - HOUR)])
    made = report(url, since=NOW - 2 * HOUR, until=NOW - HOUR)
    assert made.totals.messages == made.refused.domains[0].messages == made.refused.networks[0].messages == 2
    assert (made.oldest, made.newest) == (NOW - 2 * HOUR - 1, NOW - HOUR)


def test_an_empty_journal(url) -> None:
    fill(url, [])
    made = report(url)
    assert (made.totals.messages, made.oldest, made.forwarders, made.entries) == (0, None, [], [])


def test_helo_that_decided_is_counted_by_its_name(url) -> None:
    """And the null sender by HELO's, which stands for it."""
    bad = {"helo": "bad.example", "helo_result": "fail", "decided_by": "helo"}
    fill(url, [
        refused(NOW - 3, sender_domain="good.example", mailfrom_result="pass", **bad),
        refused(NOW - 2, sender_domain=None, helo="null.example"),
        refused(NOW - 1, sender_domain=None, helo=None),
    ])  # fmt: skip
    made = report(url)
    assert {(one.domain, *one.results) for one in made.refused.domains} == {
        ("bad.example", "fail"), ("null.example", "fail"), (None, "fail"),
    }  # fmt: skip
    assert made.totals.decided["reject", "helo", "fail"] == 1


def test_what_an_override_let_in_speaks_for_nobody(url) -> None:
    """A forwarder that is listed for some of its hosts is a finding for the others only."""
    listed = forwarded(30, action="accept", override="trusted_forwarder", override_by="out0.forward.example")
    fill(url, [*forwarded(40), *listed])
    assert [one.messages for one in report(url).forwarders] == [40]


def test_two_answers_of_the_dns(url) -> None:
    """What is asked of the DNS is the findings, and what comes back replaces them."""
    asked: list[Forwarder] = []
    fill(url, forwarded(40))

    def confirm(found):
        asked.extend(found)
        return []

    assert report(url, confirm=confirm).forwarders == []
    assert [one.name for one in asked] == ["forward.example"]


HOSTILE = "<script>alert(1)</script>\x1b[31m[bold]\r\n=cmd|' /C calc'!A0\u202e\ud83d\ude00".encode(
    "utf-16", "surrogatepass"
).decode("utf-16")


def test_hostile_rows_come_back_as_one_line(url) -> None:
    """Whoever may write into the database can write anything that it takes."""
    texts = ("host", "client", "client_name", "helo", "sender_domain", "term", "rule", "override_by")
    short = {"mailfrom_result": "<b>\x1b[1m", "action": "<i>\x07", "decided_by": "\x1b[2m", "case_id": "<b>\x1b\r\n"}
    hostile = {name: HOSTILE * 3 for name in texts if name != "client"} | {"client": HOSTILE[:40]}
    fill(url, [
        refused(NOW - 5, **hostile),
        refused(NOW - 4, **{**hostile, **short}),
        refused(NOW - 3, **hostile, mailfrom_result="temperror", mailfrom_problem="own-resolver", override="x\x1b"),
        row(NOW - 2, **hostile, skip="<u>\x1b"),
    ])  # fmt: skip
    made = report(url, "[exempt]\nforwarders = a.example\nsenders = b.example\nnetworks = 10.0.0.0/8\n")
    shown = repr(made)
    assert made.totals.messages == 4
    assert "script" in shown
    for character in ("\\x1b", "\\r", "\\n", "\\x07", "\\u202e"):
        assert character not in shown


def test_sqlite_keeps_values_of_any_type_in_any_column(tmp_path) -> None:
    url = values.filled(tmp_path, [
        refused(NOW - 5, client=b"\xff\x00", sender_domain=12, helo=b"\x80", client_name=1.5, host=7),
        refused(NOW, client="x")._replace(time="later"),  # type: ignore[arg-type]
        refused(NOW - 3, action=5, mailfrom_result=6, decided_by=7),
    ])  # fmt: skip
    made = report(url)
    assert made.totals.messages == 2, "one is of no time"


def test_a_database_without_tables(url, tmp_path) -> None:
    if url.startswith("sqlite"):
        (tmp_path / "journal.db").touch()
    with pytest.raises(JournalError, match="it has no table of decisions yet: the daemon makes it when it starts"):
        report(url)
