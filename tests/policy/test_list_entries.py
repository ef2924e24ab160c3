"""The entry of a list file that decides is the rule, with its file and line."""

from collections.abc import Callable

import pytest

from spfmilter import policy
from spfmilter.model import Action, Check, Result
from spfmilter.settings import Settings, parse
from tests.values import Known, decide, facts

FILES = {
    "/l/networks": "\n192.0.2.0/24\n203.0.113.0/24\n",
    "/l/names": "# names\na.example\n.example.com\nexample.com\n",
    "/l/senders": "a.example\nexample.com from 203.0.113.7\nexample.com if pass\n",
    "/l/recipients": "\n\nbob@example.net\nsales@\n",
}


def settings(text: str) -> Settings:
    return parse(text, read_file=lambda path: FILES[path].encode())


def failing(check: Check) -> Result:
    """A fail for all but the forwarder's domain."""
    return Result.PASS if check.domain == "a.example" else Result.FAIL


def decided(text: str, *, recipient: str = "", name: str = "") -> Action:
    chosen = settings(text)
    planned = policy.plan(facts(), chosen)
    evidence = Known(failing, names=(name,) if name else ())
    kind = policy.addressee(recipient, chosen, "") if recipient else policy.addressee("", settings(""), "")
    return decide(planned, [evidence.verdict(check) for check in planned.checks], chosen, evidence, kind)


def behind_a_relay() -> str:
    chosen = settings("[relays]\ntrusted = file:/l/networks\n")
    _, planned = policy.plan_behind(facts(), None, None, chosen)
    return str(planned.rule)


def passing() -> str:
    """HELO fails, and MAIL FROM has a pass that exempts the message."""
    chosen = settings("[exempt]\nsenders = file:/l/senders\n")
    sender = facts(address="203.0.113.8")
    planned = policy.plan(sender, chosen)
    evidence = Known(lambda check: Result.PASS if check.identity == "mailfrom" else Result.FAIL)
    return str(decide(planned, [evidence.verdict(check) for check in planned.checks], chosen, evidence).rule)


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        (lambda: decided("[exempt]\nnetworks = file:/l/networks\n").rule, "[exempt] networks = 203.0.113.0/24"),
        (
            lambda: decided("[exempt]\nsenders = file:/l/senders\n").rule,
            "[exempt] senders = example.com from 203.0.113.7",
        ),
        (passing, "[exempt] senders = example.com if pass"),
        (
            lambda: decided("[domain:example.com]\ntrust = file:/l/networks\n").rule,
            "[domain:example.com] trust = 203.0.113.0/24",
        ),
        (
            lambda: decided("[exempt]\nforwarders = b.example, file:/l/names\n", name="mx.example.com").rule,
            "[exempt] forwarders = .example.com",
        ),
        (lambda: decided("[exempt]\nforwarder_spf = file:/l/names2\n").rule, "[exempt] forwarder_spf = a.example"),
        (
            lambda: decided("[exempt]\nrecipients = file:/l/recipients\n", recipient="Sales@other.example").rule,
            "[exempt] recipients = sales@",
        ),
        (behind_a_relay, "[relays] trusted = 203.0.113.0/24"),
    ],
)
def test_the_rule_is_the_entry(found: Callable[[], object], rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "/l/names2", "\na.example\n")
    said = str(found())
    path = next(path for path in FILES if f"({path} line " in said)
    entry = rule.partition(" = ")[2]
    line = FILES[path].split("\n").index(entry) + 1
    assert said == f"{rule} ({path} line {line})"


def test_recipients_that_different_entries_exempt_are_of_one_kind() -> None:
    """One of the message's recipients must not be told to come in a message of its own for that."""
    chosen = settings("[exempt]\nrecipients = file:/l/recipients\n")
    one, other = (policy.addressee(address, chosen, "") for address in ("bob@example.net", "sales@example.net"))
    assert one == other
    assert {one: 1} == {other: 1}
    assert one.entry != other.entry


def test_a_relay_is_known_by_an_entry_of_a_file() -> None:
    chosen = settings("[relays]\ntrusted = file:/l/networks\n")
    assert policy.awaits_header(facts(), chosen)
    assert not policy.awaits_header(facts(address="198.51.100.1"), chosen)
