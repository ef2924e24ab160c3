"""``spfmilter why``: one decision of the journal, from the answers of its moment."""

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from spfmilter import caseid
from spfmilter.dns.answer import Answer, Asked, Status, Type
from spfmilter.helplink.token import Case, Signer
from spfmilter.journal.answers import packed
from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.rows import COLUMNS, Cell, row_of
from spfmilter.journal.tables import DECISION
from spfmilter.model import (
    Disposition,
    Identity,
    Override,
    OverrideType,
    Plan,
    Result,
    Rule,
    SkipReason,
    Transaction,
    Verdict,
)
from spfmilter.settings.journalurl import journal_url
from tests.values import CASE, CLIENT, action, check, facts, verdict

pytestmark = pytest.mark.outside

SERVER = (("192.0.2.53", "answered"),)
RECORD = b"v=spf1 ip4:192.0.2.0/24 include:_spf.example.org -all exp=why.example.com"
NOON = 1_796_040_057_000  # 2026-11-30 12:00:57 UTC
OTHER = caseid.of_bits(7)


def asked(name: str, rdtype: Type, *records: Any, status: Status = Status.DATA, **other: Any) -> Asked:
    answer = Answer(status, tuple(records), **{"ttl": 300, "heard": SERVER, "took": 0.0123, **other})
    return name, rdtype, answer


FAIL = (
    asked("example.com", Type.TXT, RECORD, b"google-site-verification=1"),
    asked("_spf.example.org", Type.TXT, b"v=spf1 ip4:198.51.100.0/24 ?all"),
    asked("why.example.com", Type.TXT, b"%{i} \x1b[31mis not [bold red]ours[/]"),
)
LOST = (
    asked("soft.example.com", Type.TXT, b"v=spf1 include:gone.example.com ~all"),
    asked(
        "gone.example.com",
        Type.TXT,
        status=Status.FAILED,
        failure="timeout",
        heard=(("192.0.2.53", ""), ("192.0.2.54", "SERVFAIL")),
        took=19.876,
    ),
)


def failed(lookups: Sequence[Asked] | None = FAIL, domain: str = "example.com", **other: Any) -> Verdict:
    return verdict(Result.FAIL, check=check(domain=domain), asked=lookups and tuple(lookups), **other)


def decided(*verdicts: Verdict, disposition: Disposition = Disposition.REJECT, **other: Any) -> Transaction:
    """A refused message from example.com."""
    sender = other.pop("sender", "<alice@example.com>")
    about = facts(sender, hostname="mx1.example.net", **other.pop("facts", {}))
    usual = {"action": action(disposition, verdicts[-1] if verdicts else None), "case": CASE, "ended": "refused"}
    return Transaction(facts=about, plan=other.pop("plan", Plan()), verdicts=verdicts, **{**usual, **other})


Write = Callable[..., Path]
Keep = Callable[..., None]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Keep]:
    """Put decisions into a journal, as the storage process does."""
    url = journal_url(f"sqlite:///{tmp_path}/journal.db")
    assert url is not None
    engine = open_engine(url)
    upgrade(engine, url)

    def keep(ended: Transaction, /, *, when: int = NOON, local_parts: bool = False, **cells: Cell) -> None:
        answers = packed(ended, local_parts=local_parts)
        row = row_of(ended, time=when, host="localhost", local_parts=local_parts, answers=answers)
        with engine.begin() as connection:
            connection.execute(insert(DECISION), {**dict(zip(COLUMNS, row, strict=True)), **cells})

    yield keep
    engine.dispose()


@pytest.fixture
def ini(write: Write, tmp_path: Path) -> Write:
    """An INI file with that journal."""
    return lambda text="": write(f"[journal]\nurl = sqlite:///{tmp_path}/journal.db\n{text}")


def untimed(text: str) -> str:
    """The output without its times, which differ from run to run."""
    return re.sub(r"\d+\.\d ms", "N ms", text)


# -- the moment --------------------------------------------------------------------------------------------------------


def test_a_refusal_is_told_from_its_own_answers(run, ini, kept) -> None:
    kept(decided(failed()))
    path = ini()
    done = run("why", "-c", path, CASE, "--offline", TZ="Europe/Paris")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        done.stdout
        == f"""\
case          {CASE}
when          2026-11-30 13:00:57 CET (2026-11-30 12:00:57 UTC)
host          mx1.example.net
client        203.0.113.7
HELO          mail.example.com  not evaluated
MAIL FROM     example.com  fail  matched "-all" of example.com
rule          [policy.mailfrom] fail = reject
rule today    the same (the default)
action        reject

from the answers of that moment
MAIL FROM example.com from 203.0.113.7: fail  (1 lookup term, 0 void, 36.9 ms)
├── example.com  v=spf1 ip4:192.0.2.0/24 include:_spf.example.org -all exp=why.example.com
│   ├── TXT example.com: 2 answers  12.3 ms  from 192.0.2.53
│   ├── · ip4:192.0.2.0/24
│   ├── · include:_spf.example.org
│   │   ├── TXT _spf.example.org: 1 answer  12.3 ms  from 192.0.2.53
│   │   └── _spf.example.org  v=spf1 ip4:198.51.100.0/24 ?all
│   │       ├── · ip4:198.51.100.0/24
│   │       └── ○ ?all  neutral
│   ├── ✘ -all  fail
│   └── TXT why.example.com: 1 answer  12.3 ms  from 192.0.2.53
└── the domain's own explanation: 203.0.113.7 ?[31mis not [bold red]ours[/]

what would let it in
  mail from example.com, from this client only:
    spfmilter exempt add -c {path} --case {CASE} --for 7d
    or in the INI file:
      [exempt]
      senders = example.com from 203.0.113.7
  all mail from this client:
    spfmilter exempt add -c {path} --network 203.0.113.7 --for 7d --because "case {CASE}"
    or in the INI file:
      [exempt]
      networks = 127.0.0.0/8, ::1, 203.0.113.7
  mail from example.com with this result, from every client:
    in the INI file:
      [domain:example.com]
      fail = accept
"""
    )


def test_the_same_answers_now_are_not_shown_twice(run, ini, kept) -> None:
    kept(decided(failed()))
    done = run("why", "-c", ini("[policy]\ncheck = mailfrom\n"), CASE)
    assert "what the DNS says now\n  the same\n" in done.stdout
    assert (
        "what would be done now\n  MAIL FROM: fail, as then\n  action: reject, as then\n"
        "  rule: [policy.mailfrom] fail = reject, as then\n" in done.stdout
    )


def test_what_the_dns_says_otherwise_now_is_marked(run, ini, kept) -> None:
    then = (
        asked("example.com", Type.TXT, b"v=spf1 ip4:198.51.100.0/24 include:_spf.example.org -all"),
        asked("_spf.example.org", Type.TXT, status=Status.NO_NAME),
    )
    kept(decided(failed(then)))
    shown = untimed(run("why", "-c", ini("[policy]\ncheck = mailfrom\n"), CASE).stdout)
    now = shown.partition("what the DNS says now\n")[2]
    assert re.search(
        r"TXT example.com: 1 answer  N ms  from 127\.0\.0\.1:\d+  ≠ then: v=spf1 ip4:198.51.100.0/24 include:_spf", now
    )
    assert re.search(r"TXT _spf.example.org: 1 answer  N ms  from \S+  ≠ then: no such name\n", now)
    assert re.search(r"TXT why.example.com: 1 answer  N ms  from \S+  ≠ not asked then\n", now)


def test_a_temperror_that_is_over_is_told_by_who_said_what(run, ini, kept) -> None:
    lost = verdict(Result.TEMPERROR, check=check(domain="soft.example.com"), asked=LOST)
    rule = Rule(section="policy.mailfrom", key="temperror", value="defer", line=99)
    done_then = replace(action(Disposition.DEFER, lost), rule=rule)
    kept(decided(lost, sender="<a@soft.example.com>", action=done_then))
    path = ini("[policy]\ncheck = mailfrom\n[policy.mailfrom]\ntemperror = defer\n")
    shown = run("why", "-c", path, CASE).stdout
    assert "TXT gone.example.com: timeout  19876.0 ms  192.0.2.53 did not answer, 192.0.2.54 said SERVFAIL\n" in shown
    line = path.read_text().splitlines().index("temperror = defer") + 1
    assert f"rule today    the same (line {line})\n" in shown
    assert "  MAIL FROM: softfail ≠ then: temperror\n  action: tag ≠ then: defer\n" in shown
    assert "      [domain:soft.example.com]\n      temperror = accept\n" in shown


def test_a_message_that_would_be_accepted_now_is_named(run, ini, kept) -> None:
    kept(decided(failed()))
    shown = run("why", "-c", ini("[exempt]\nsenders = example.com\n"), CASE).stdout
    assert "  not checked: exempt-sender\n  action: accept ≠ then: reject\n" in shown
    assert "the same message would be accepted now\n" in shown
    assert "senders = example.com, example.com from 203.0.113.7\n" in shown


@pytest.mark.parametrize(
    ("text", "then", "said"),
    [
        ("", "[policy.mailfrom] fail = reject", "the same (the default)"),
        ("[policy.mailfrom]\nfail = reject\n", "[policy.mailfrom] fail = reject (line 3)", "the same (line N)"),
        ("[policy.mailfrom]\nfail = tag\n", "[policy.mailfrom] fail = reject (line 3)", "changed: [policy.mailfrom] f"),
        ("", "[policy.mailfrom] fail = reject, but our own resolver does not answer", "the same (the default)"),
        ("", "[domain:example.com] fail = reject (line 3)", "the INI file no longer has this section or key"),
        ("", "[policy] nothing = reject", "the INI file no longer has this section or key"),
        ("[exempt]\nsenders = a.example, b.example\n", "[exempt] senders = a.example (line 3)", "the same (line N)"),
        ("[exempt]\nsenders = b.example\n", "[exempt] senders = a.example, b.example (line 3)", "changed: "),
        ("", "[exempt] networks = 127.0.0.0/8, ::1", "the same (the default)"),
    ],
)
def test_the_line_that_decided_is_compared_with_todays(run, ini, kept, text, then, said) -> None:
    kept(decided(failed()), rule=then)
    shown = run("why", "-c", ini(text), CASE, "--offline").stdout
    assert f"rule          {then}\n" in shown
    assert f"rule today    {said}" in re.sub(r"\(line \d+\)\n", "(line N)\n", shown)


def test_no_line_of_the_ini_file_is_not_compared(run, ini, kept) -> None:
    kept(decided(failed()), rule="built in: forged fields")
    assert "rule today" not in run("why", "-c", ini(), CASE, "--offline").stdout


# -- without answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"answers": None}, "none were kept for this message"),
        ({"answers": b"\0too-large"}, "there were too many of them to be kept"),
        (
            {"answers": b"\0local-part"},
            "they hold the sender's local part, which [journal] local_parts = no leaves out",
        ),
        ({"answers": b"\1nonsense"}, "they are damaged"),
        ({"answers": b"\7"}, "they are in format 7, which this version cannot read"),
        ({"client": None}, "the client's address is not known"),
    ],
)
def test_a_row_without_answers_says_why(run, ini, kept, cells, why) -> None:
    kept(decided(failed()), **cells)
    done = run("why", "-c", ini(), CASE)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"from the answers of that moment\n  cannot be shown: {why}" in done.stdout


def test_an_accepted_message_is_found_by_its_queue_id(run, ini, kept) -> None:
    passed = verdict(Result.PASS, term="a", term_domain="example.com")
    taken = decided(passed, disposition=Disposition.ACCEPT, queue_id="4F2A81C03D21", case="", ended="message")
    kept(taken)
    shown = run("why", "-c", ini(), "4F2A81C03D21", "--offline").stdout
    assert "case          none: the message was simply accepted\n" in shown
    assert "cannot be shown: none were kept for this message\n" in shown
    assert "what would let it in" not in shown


def test_a_message_that_an_override_accepted_needs_nothing(run, ini, kept) -> None:
    override = Override(rule=Rule(section="exempt", key="forwarders", value="a.example"), type=OverrideType.DMARC)
    spared = replace(action(Disposition.ACCEPT, failed()), override=override)
    kept(decided(failed(), action=spared))
    shown = run("why", "-c", ini(), CASE, "--offline").stdout
    assert "override      dmarc\n" in shown
    assert "what would let it in" not in shown


def test_a_result_that_the_answers_do_not_lead_to_is_doubted(run, ini, kept) -> None:
    kept(decided(failed()), mailfrom_result="softfail")
    assert "! repeated, mailfrom is fail and not softfail" in run("why", "-c", ini(), CASE, "--offline").stdout


# -- finding it --------------------------------------------------------------------------------------------------------


def link(case: str) -> str:
    signed = Case(
        address=ip_address(CLIENT),
        identity=Identity.MAILFROM,
        domain="example.com",
        result=Result.FAIL,
        time=5,
        id=case,
    )
    return f"https://mx.example.net/spf/{Signer([b'elsewhere' * 4]).sign(signed)}"


@pytest.mark.parametrize(
    "what",
    [
        [CASE],
        [CASE.lower()],
        [CASE.replace("-", " ")],
        CASE.split("-"),
        [link(CASE)],
        [link(CASE).rpartition("/")[2]],
        [f"<{link(CASE)}>"],
        ["4F2A81C03D21"],
    ],
)
def test_a_case_is_found_as_a_person_types_it(run, ini, kept, what) -> None:
    kept(decided(failed(), queue_id="4F2A81C03D21"))
    kept(decided(failed(), case=OTHER, queue_id="other"))
    done = run("why", "-c", ini(), *what, "--offline")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"case          {CASE}\n" in done.stdout


@pytest.mark.parametrize("queue_id", [CASE, CASE.replace("-", "")])
def test_a_queue_id_that_could_be_a_case_id_is_found(run, ini, kept, queue_id) -> None:
    kept(decided(failed(), case=OTHER, queue_id=queue_id))
    assert f"case          {OTHER}\n" in run("why", "-c", ini(), queue_id, "--offline").stdout


@pytest.mark.parametrize(
    ("options", "cases"),
    [
        (["--ip", "203.0.113.7"], [OTHER, CASE]),
        (["--ip", "::ffff:203.0.113.7", "--mail-from", "<bob@example.com>"], [OTHER, CASE]),
        (["--mail-from", "EXAMPLE.com", "--since", "30m"], [OTHER]),
        (["--mail-from", "alice@example.com", "--since", "30m"], [OTHER]),
        (["--helo", "mail.example.com", "--mail-from", "example.com"], [OTHER, CASE]),
        (["--mail-from", ""], []),
        (["--ip", "203.0.113.8"], []),
    ],
)
def test_the_newest_decisions_come_first(run, ini, kept, options, cases) -> None:
    now = int(time.time() * 1000)
    kept(decided(failed()), when=now - 3_600_000)
    kept(decided(failed(), case=OTHER), when=now - 1000)
    kept(decided(failed()), when=now - 30 * 86_400_000, case_id="too-old")
    done = run("why", "-c", ini(), *options, "--offline")
    assert re.findall(caseid.FORM, done.stdout.partition("from the answers")[0]) == cases
    assert done.returncode == (0 if cases else 1)
    if len(cases) > 1:
        assert done.stdout.endswith("for one of them: spfmilter why CASE\n")


def test_a_local_part_counts_where_it_was_kept(run, ini, kept) -> None:
    now = int(time.time() * 1000)
    kept(decided(failed()), when=now, local_parts=True)
    kept(decided(failed(), case=OTHER, sender="<bob@example.com>"), when=now, local_parts=True)
    done = run("why", "-c", ini(), "--mail-from", "bob@example.com", "--offline")
    assert f"case          {OTHER}\n" in done.stdout
    assert "MAIL FROM     bob@example.com  fail" in done.stdout


def test_the_null_sender_is_found(run, ini, kept) -> None:
    bounce = verdict(Result.FAIL, check=check(Identity.HELO, null_sender=True), asked=())
    kept(decided(bounce, sender="<>"), when=int(time.time() * 1000))
    shown = run("why", "-c", ini(), "--mail-from", "<>", "--offline").stdout
    assert f"case          {CASE}\n" in shown
    assert "MAIL FROM     <>  not evaluated\n" in shown
    assert "--case" in shown, "the client alone is the narrowest"
    assert "senders =" not in shown


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ([OTHER], "the journal holds no case .* it is older than .journal. keep = 30d, or another journal's"),
        (["4F2A"], "no decision with the queue id '4F2A'; as a case id: a case id has 12 letters and digits"),
        (["--ip", "192.0.2.99"], "the journal holds no such decision; it keeps them for .* try another --since"),
    ],
)
def test_what_is_not_there_is_not_found(run, ini, kept, what, said) -> None:
    kept(decided(failed()))
    done = run("why", "-c", ini(), *what)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(said, done.stderr)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which decision"),
        ([CASE, "--ip", "192.0.2.1"], "say which decision"),
        (["--ip", "mail.example.com"], "is not an IP address"),
        (["--ip", "192.0.2.1", "--since", "yesterday"], "is not a time"),
        ([link("")], "holds no case id; it is about 203.0.113.7 and example.com, on 1970-01-01"),
    ],
)
def test_wrong_usage_is_explained(run, ini, arguments, said) -> None:
    done = run("why", "-c", ini(), *arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert said in " ".join(done.stderr.split())


def test_without_a_journal_the_line_to_add_is_named(run, write) -> None:
    path = write()
    done = run("why", "-c", path, CASE)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"[journal] url in {path} is empty" in done.stderr
    assert "  [journal]\n  url = sqlite:////var/lib/spfmilter/journal.db\n" in done.stderr


def test_a_journal_that_cannot_be_read_is_status_69(run, write, tmp_path) -> None:
    done = run("why", "-c", write(f"[journal]\nurl = sqlite:///{tmp_path}/none.db\n"), CASE)
    assert (done.returncode, done.stdout) == (69, "")
    assert f"{tmp_path}/none.db: no such file" in done.stderr
    (tmp_path / "bad.db").write_text("no database" * 100)
    done = run("why", "-c", write(f"[journal]\nurl = sqlite:///{tmp_path}/bad.db\n"), CASE)
    assert (done.returncode, done.stdout) == (69, "")
    assert "file is not a database" in done.stderr


# -- what lets it in ---------------------------------------------------------------------------------------------------


def test_a_forwarder_is_proposed_by_its_name_and_by_its_record(run, ini, kept) -> None:
    about = check(address="203.0.113.9")
    there = verdict(Result.FAIL, check=about, asked=FAIL)
    kept(decided(there, facts={"address": "203.0.113.9", "helo": "mx1.forward.example.org"}))
    path = ini("[exempt]\nforwarders = a.example\n")
    shown = run("why", "-c", path, CASE).stdout
    because = f'--for 7d --because "case {CASE}"'
    assert f"    spfmilter exempt add -c {path} --forwarder mx1.forward.example.org {because}\n" in shown
    assert "      forwarders = a.example, mx1.forward.example.org\n      # in place of line " in shown
    assert f"    spfmilter exempt add -c {path} --forwarder-spf forward.example.org {because}\n" in shown


@pytest.mark.parametrize("domain", ["a;reboot.example.com", "$(id).example.com", "a,b.example.com"])
def test_a_name_that_could_do_harm_stands_in_no_command(run, ini, kept, domain) -> None:
    kept(decided(failed(())), sender_domain=domain)
    ways = run("why", "-c", ini(), CASE, "--offline").stdout.partition("what would let it in\n")[2]
    assert domain not in ways
    assert f"--case {CASE}" in ways


# -- untrusted rows ----------------------------------------------------------------------------------------------------

HOSTILE = "[red]x[/red]\x1b[31m\u202e\n[/]"


def test_nothing_in_a_row_reaches_the_terminal_as_it_is(run, ini, kept) -> None:
    texts = [
        "host", "queue_id", "client_name", "relay", "helo", "sender_local", "sender_domain", "mailfrom_result",
        "mailfrom_condition", "mailfrom_problem", "helo_result", "term", "term_domain", "problem_text", "skip",
        "override", "override_by", "action", "would", "rule", "ended",
    ]  # fmt: skip
    kept(decided(failed()), **dict.fromkeys(texts, HOSTILE))
    for options in ([], ["--offline"], ["--json"], ["--offline", "--json"]):
        done = run("why", "-c", ini(), CASE, *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert not {"\x1b", "\u202e"} & set(done.stdout + json.dumps(done.stdout, ensure_ascii=False))
        assert "[red]x[/red]?[31m" in done.stdout
    kept(decided(failed()), when=NOON, case_id=OTHER, **dict.fromkeys(texts, HOSTILE))
    done = run("why", "-c", ini(), "--ip", "203.0.113.7", "--since", "9999d")
    assert done.returncode == 0
    assert not {"\x1b", "\u202e"} & set(done.stdout)


def test_a_row_of_wrong_types_is_shown(run, ini, kept) -> None:
    """SQLite stores in each column what it is given."""
    kept(decided(failed()))
    with closing(sqlite3.connect(ini().parent / "journal.db")) as connection, connection:
        connection.execute(
            "UPDATE decision SET time='x', elapsed=1.5, authenticated='y', helo=5, answers='text', rule=7, term=x'00ff'"
        )
    for options in (["--offline"], ["--json"]):
        done = run("why", "-c", ini(), CASE, *options)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("when", [-(1 << 62), (1 << 62), 0])
def test_a_time_out_of_all_bounds_is_shown(run, ini, kept, when) -> None:
    kept(decided(failed()), when=when)
    assert run("why", "-c", ini(), CASE, "--offline").returncode == 0
    assert run("why", "-c", ini(), CASE, "--offline", "--json").returncode == 0


# -- for machines ------------------------------------------------------------------------------------------------------


def test_json_has_all_of_it(run, ini, kept) -> None:
    kept(decided(failed()))
    done = run("why", "-c", ini("[policy]\ncheck = mailfrom\n"), CASE, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)["decisions"]
    assert (found["time"], found["case"], found["client"]) == ("2026-11-30T12:00:57.000Z", CASE, CLIENT)
    assert found["results"]["mailfrom"] == {"result": "fail", "condition": None, "problem": None}
    assert found["rule_today"]["same"] is True
    (then,) = found["then"]["verdicts"]
    assert then["tree"]["lookups"][0]["nameservers"] == [{"address": "192.0.2.53", "said": "answered"}]
    assert (found["now"]["same_answers"], found["now"]["action"]) == (True, "reject")
    assert found["ways_in"][0]["command"].endswith(f"--case {CASE} --for 7d")
    assert found["ways_in"][0]["lines"][0]["value"] == "example.com from 203.0.113.7"


def test_json_of_several_is_a_list(run, ini, kept) -> None:
    kept(decided(failed()))
    kept(decided(plan=Plan(skip=SkipReason.NETWORK), disposition=Disposition.ACCEPT, case=""))
    found = json.loads(run("why", "-c", ini(), "--ip", CLIENT, "--since", "9999d", "--json").stdout)["decisions"]
    assert [(one["case"], one["skip"]) for one in found] == [(None, "exempt-network"), (CASE, None)]
