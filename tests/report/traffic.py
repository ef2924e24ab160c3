"""Rows of a journal, made from a seed: what a week of mail looks like, with the stories that the report is to find."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Engine

from spfmilter import caseid
from spfmilter.journal.rows import COLUMNS, Decision
from spfmilter.journal.tables import DECISION

NOW = int(datetime(2026, 11, 29, 11, 0, tzinfo=UTC).timestamp() * 1000)
DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000
_EMPTY = dict.fromkeys(COLUMNS)
_BATCH = 10_000


def row(time: int = NOW - HOUR, **values: object) -> Decision:
    """Return a row: a plain accept of a message that passes, but for the values given."""
    usual: dict[str, object] = {
        "time": time,
        "host": "mx1.example.net",
        "client": "192.0.2.25",
        "client_name": "mail.example.com",
        "helo": "mail.example.com",
        "sender_domain": "example.com",
        "authenticated": 0,
        "mailfrom_result": "pass",
        "helo_result": "pass",
        "action": "accept",
        "rule": "[policy.mailfrom] pass = accept",
        "recipient_rules": 0,
        "ended": "message",
        "lookups": 1,
        "void_lookups": 0,
        "elapsed": 12,
    }
    return Decision(**{**_EMPTY, **usual, **values})  # type: ignore[arg-type]


def refused(time: int = NOW - HOUR, **values: object) -> Decision:
    """Return a row of a message that was refused for a fail."""
    usual: dict[str, object] = {
        "client": "203.0.113.7",
        "client_name": "unknown",
        "mailfrom_result": "fail",
        "helo_result": "none",
        "decided_by": "mailfrom",
        "term": "-all",
        "term_domain": values.get("sender_domain", "example.com"),
        "action": "reject",
        "rule": "[policy.mailfrom] fail = reject",
        "case_id": caseid.of_bits(time * 7919 % 2**caseid.BITS),
        "ended": "refused",
    }
    return row(time, **{**usual, **values})


def forwarded(count: int, *, start: int = NOW - 6 * DAY, **values: object) -> Iterator[Decision]:
    """Yield messages of many domains through one forwarder."""
    for number in range(count):
        place = number % 4
        yield refused(
            start + number * (6 * DAY // max(count, 1)),
            **{
                "client": f"198.51.100.{20 + place}",
                "client_name": f"out{place}.forward.example",
                "helo": f"out{place}.forward.example",
                "helo_result": "pass",
                "sender_domain": f"shop{number % 23}.example",
                **values,
            },
        )


def partner(count: int, *, before: int = 20, **values: object) -> Iterator[Decision]:
    """Yield messages of a domain that passed until three days ago, and has a new server that its record misses."""
    usual = {"sender_domain": "partner.example", "client_name": "smtp.partner.example", "helo": "smtp.partner.example"}
    for number in range(before):
        yield row(NOW - 7 * DAY + number * (4 * DAY // before), **{**usual, "client": "192.0.2.80", **values})
    for number in range(count):
        changed = {"client": "203.0.113.80", "helo_result": "fail", **values}
        yield refused(NOW - 3 * DAY + number * (3 * DAY // max(count, 1)), **{**usual, **changed})


def week(size: int, seed: int = 15, *, monitor: bool = False) -> Iterator[Decision]:
    """Yield the rows of seven days, about ``size`` of them, in the order of time."""
    rows = [*_background(size, random.Random(seed), monitor=monitor), *_stories(max(1, size // 8000))]
    rows.sort(key=lambda decision: decision.time)
    yield from rows


def endless(size: int, seed: int = 15, *, days: int = 30) -> Iterator[Decision]:
    """Yield ``size`` rows in the order of time, without holding them."""
    chance = random.Random(seed)
    for number in range(size):
        yield _message(NOW - days * DAY + number * days * DAY // size, chance, monitor=False)


def _background(size: int, chance: random.Random, *, monitor: bool) -> Iterator[Decision]:
    """Yield everyday mail: less of it at night and at the end of the week."""
    made = 0
    while made < size:
        time = NOW - chance.randrange(7 * DAY)
        when = datetime.fromtimestamp(time / 1000, UTC)
        busy = (0.25 if when.weekday() > 4 else 1) * (0.2 if when.hour < 6 else 1 if 7 < when.hour < 18 else 0.5)
        if chance.random() < busy:
            made += 1
            yield _message(time, chance, monitor=monitor)


def _message(time: int, chance: random.Random, *, monitor: bool) -> Decision:
    kind = chance.random()
    number = int(chance.paretovariate(0.8)) % 5000
    domain = f"sender{number}.example"
    known = {"sender_domain": domain, "client": f"192.0.2.{number % 250}", "client_name": f"mail.{domain}"}
    if kind < 0.80:
        return row(time, **known, helo=f"mail.{domain}", helo_result=chance.choice(["pass", "pass", "none"]))
    if kind < 0.87:
        return row(time, **known, mailfrom_result=chance.choice(["none", "none", "neutral"]), helo_result="none")
    if kind < 0.90:
        return row(time, client="10.1.2.3", mailfrom_result=None, helo_result=None, skip="private-client")
    forged = f"bank{int(chance.paretovariate(0.9)) % 60}.example"
    address = f"203.{chance.randrange(100)}.113.{chance.randrange(250)}"
    spared = {"action": "accept", "would": "reject", "ended": "message"} if monitor else {}
    if kind < 0.94:
        return refused(time, sender_domain=forged, client=address, helo="[" + address + "]", **spared)
    if kind < 0.97:
        return refused(
            time, sender_domain=forged, client=address, mailfrom_result="softfail", action="tag", term="~all"
        )
    if kind < 0.985:
        return refused(time, sender_domain=f"gone{number % 30}.example", client=f"2001:db8:{number % 9}::{number:x}",
                       mailfrom_result="none", mailfrom_condition="unreachable", term=None, **spared)  # fmt: skip
    if kind < 0.993:
        problem = chance.choice(["dns-failure", "time-limit"])
        return refused(time, sender_domain=f"slow{number % 7}.example", client=address, mailfrom_result="temperror",
                       mailfrom_problem=problem, action="defer", term=None)  # fmt: skip
    return refused(time, sender_domain=f"broken{number % 12}.example", mailfrom_result="permerror", client=address,
                   mailfrom_problem="syntax", action="quarantine", term=None)  # fmt: skip


def _stories(times: int) -> Iterator[Decision]:
    yield from forwarded(60 * times)
    yield from partner(30 * times)
    for number in range(40 * times):
        yield refused(NOW - 2 * DAY + number * 20_000, sender_domain=f"sender{number % 9}.example", action="accept",
                      mailfrom_result="temperror", mailfrom_problem="own-resolver", override="own_resolver",
                      rule="built in: own resolver")  # fmt: skip
    for number in range(25 * times):
        yield refused(NOW - 5 * DAY + number * HOUR, sender_domain=f"club{number}.example", action="accept",
                      override="trusted_forwarder", override_by="mx.alumni.example", client_name="mx.alumni.example",
                      client="198.51.100.200", rule="[exempt] forwarders = .alumni.example (line 12)")  # fmt: skip


def store(engine: Engine, rows: Iterable[Decision]) -> None:
    """Write rows, by the driver's own statement: a million of them take SQLAlchemy a minute."""
    mark = "?" if engine.dialect.name == "sqlite" else "%s"
    statement = f"INSERT INTO {DECISION.name} ({', '.join(COLUMNS)}) VALUES ({', '.join([mark] * len(COLUMNS))})"  # noqa: S608 - our own names
    remaining = iter(rows)
    with engine.begin() as connection:
        while batch := [tuple(decision) for decision in islice(remaining, _BATCH)]:
            connection.exec_driver_sql(statement, batch)
