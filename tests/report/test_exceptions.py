"""Which entries of [exempt] were never the reason for anything."""

from collections.abc import Iterable

import pytest

from spfmilter.exemptions.exemption import Exemption
from spfmilter.journal.sums import UsedOverride
from spfmilter.report.exceptions import SOON, ExemptEntry, of_exemptions, of_settings
from tests.values import settings

INI = """[exempt]
networks = 192.0.2.0/24, 198.51.100.7, 2001:db8::/32
forwarders = .alumni.example, mx.club.example
forwarder_spf = relay.example, gone.example
senders = quiet.example, .list.example from 203.0.113.0/24, bank.example if pass
"""


def override(kind: str, by: str | None, rule: str) -> UsedOverride:
    return UsedOverride(kind, by, rule, 3, 1000)


def unused(
    *overrides: UsedOverride, clients: Iterable[str] = (), senders: Iterable[tuple[str, str | None]] = ()
) -> list[str]:
    entries = of_settings(settings(INI), overrides, lambda: clients, lambda: senders)
    return [entry.text.removeprefix("[exempt] ") for entry in entries if not entry.used]


ALL = unused()


def test_without_mail_all_entries_of_the_file_are_unused() -> None:
    assert ALL == [
        "networks: 192.0.2.0/24",
        "networks: 198.51.100.7",
        "networks: 2001:db8::/32",
        "forwarders: .alumni.example",
        "forwarders: mx.club.example",
        "forwarder_spf: relay.example",
        "forwarder_spf: gone.example",
        "senders: quiet.example",
        "senders: .list.example from 203.0.113.0/24",
        "senders: bank.example if pass",
    ]


@pytest.mark.parametrize(
    ("used", "entry"),
    [
        ({"clients": ["10.0.0.1", "192.0.2.77"]}, "networks: 192.0.2.0/24"),
        ({"clients": ["198.51.100.7", "<b>"]}, "networks: 198.51.100.7"),
        ({"clients": ["2001:db8::1"]}, "networks: 2001:db8::/32"),
        ({"senders": [("quiet.example", None)]}, "senders: quiet.example"),
        ({"senders": [("a.list.example", "203.0.113.9")]}, "senders: .list.example from 203.0.113.0/24"),
    ],
)
def test_a_message_that_was_not_checked_uses_its_entry(used, entry) -> None:
    assert unused(**used) == [one for one in ALL if one != entry]


@pytest.mark.parametrize(
    "senders", [[("a.list.example", "192.0.2.1")], [("list.example", "203.0.113.9")], [("bank.example", "192.0.2.1")]]
)
def test_an_entry_with_a_condition_is_used_only_if_it_holds(senders) -> None:
    assert unused(senders=senders) == ALL


@pytest.mark.parametrize(
    ("kind", "by", "rule", "entry"),
    [
        (
            "trusted_forwarder",
            "mx.alumni.example",
            "[exempt] forwarders = .alumni.example (line 3)",
            "forwarders: .alumni.example",
        ),
        (
            "trusted_forwarder",
            "mx.club.example",
            "[exempt] forwarders = .alumni.example, mx",
            "forwarders: mx.club.example",
        ),
        (
            "trusted_forwarder",
            "relay.example",
            "[exempt] forwarder_spf = relay.example",
            "forwarder_spf: relay.example",
        ),
        ("exempt_sender", "bank.example", "[exempt] senders = quiet.example", "senders: bank.example if pass"),
        ("dmarc", None, "[policy] yield_to_dmarc = yes", None),
        ("trusted_forwarder", None, "[exempt] forwarders = x", None),
    ],
)
def test_an_override_uses_its_entry(kind, by, rule, entry) -> None:
    assert unused(override(kind, by, rule)) == [one for one in ALL if one != entry]


def test_the_defaults_are_not_listed() -> None:
    assert of_settings(settings("[policy]\nmode = monitor\n"), [], list, list) == []
    shipped = settings("[exempt]\nnetworks = 127.0.0.0/8, ::1, 192.0.2.1\n")
    (entry,) = of_settings(shipped, [], list, list)
    assert entry.text == "[exempt] networks: 192.0.2.1"
    assert [step.text for step in entry.steps] == ["networks = 127.0.0.0/8, ::1"]


def test_the_step_is_the_line_without_the_entry() -> None:
    entries = of_settings(settings(INI), [], list, list)
    assert [step.text for step in entries[3].steps] == ["forwarders = mx.club.example"]
    assert entries[3].steps[0].purpose == "remove it, in [exempt] at line 3"
    many = ", ".join(f"host{number}.example" for number in range(5000))
    entries = of_settings(settings(f"[exempt]\nforwarders = {many}\n"), [], list, list)
    assert [step.text for step in entries[7].steps] == ["forwarders: without host7.example"]


def test_what_ends_within_a_week_ends_soon() -> None:
    assert ExemptEntry(text="x", used=True, begun=-SOON, ends=SOON + 5).ends_soon(5)
    assert not ExemptEntry(text="x", used=True, begun=-SOON, ends=SOON + 6).ends_soon(5)
    assert not ExemptEntry(text="x", used=True).ends_soon(5)


@pytest.mark.parametrize(("days", "first"), [(1, 0.5), (7, 3.5), (14, 7), (30, 23)])
def test_an_exemption_that_has_just_been_added_does_not_end_soon(days: int, first: float) -> None:
    one = ExemptEntry(text="x", used=True, begun=0, ends=days * 86_400_000)
    assert one.ends_soon(int(first * 86_400_000))
    assert not one.ends_soon(int(first * 86_400_000) - 1)


DAY = 86_400


def temporary(identity: str, *, added: int, until: int | None, removed: int | None = None) -> Exemption:
    return Exemption(id=identity, domain="example.com", added=added, until=until, removed=removed)


def test_a_temporary_exemption_is_an_entry_as_long_as_it_is_in_force() -> None:
    now, since = 100 * DAY, 93 * DAY
    found = [
        temporary("used", added=80 * DAY, until=101 * DAY),
        temporary("unused", added=80 * DAY, until=None),
        temporary("young", added=99 * DAY, until=130 * DAY),
        temporary("ended", added=80 * DAY, until=99 * DAY),
        temporary("removed", added=80 * DAY, until=None, removed=90 * DAY),
    ]
    entries = of_exemptions(found, [override("exemption", "used", "exemption used: x")], now * 1000, since * 1000)
    assert [(one.text, one.used, one.ends_soon(now * 1000)) for one in entries] == [
        ("exemption used: example.com", True, True),
        ("exemption unused: example.com", False, False),
        ("exemption young: example.com", True, False),
    ]
    assert [step.text for step in entries[0].steps] == ["spfmilter exempt remove used"]
