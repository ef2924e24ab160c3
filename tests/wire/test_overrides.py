"""Overrides, exemptions and conditions at MAIL FROM, by the real daemon with real DNS."""

import re
import secrets
from collections.abc import Iterator

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterclient import Outcome
from lab.processes import until
from tests.wire.running import CLIENT, Running, running

J = {"j": "mx.example.net"}
RCPT = ["<r@example.net>"]
INI = """
[exempt]
forwarders = .hosts.example
forwarder_spf = fwd.example
senders = .exempt.example
[policy.mailfrom]
wide_open = tag
unreachable = reject
no_mail = reject
fail = quarantine
[domain:pinned.example]
record = v=spf1 ip4:192.0.2.1 -all
[domain:lists.example]
trust = 192.0.2.0/24
[headers]
skipped = yes
"""


@pytest.fixture(scope="module")
def overriding(dns: ScriptedDNS) -> Iterator[Running]:
    with running(dns, INI) as serving:
        yield serving
    assert "internal error" not in serving.daemon.log()


def deliver(
    serving: Running, sender: str, client: str = CLIENT, macros: dict[str, str] | None = None
) -> tuple[Outcome, str]:
    """One message, and its line of the log."""
    queue_id = f"Q{secrets.token_hex(4)}"
    with serving.client() as mta:
        mta.greet(client, macros={**J, **(macros or {})})
        outcome = mta.deliver(sender, RCPT, macros={"i": queue_id})
        mta.quit()
    return outcome, serving.line(queue_id)


def fields(outcome: Outcome) -> dict[str, str]:
    return {field.name: re.sub(r"\n", "", field.value) for field in outcome.inserted}


# -- forwarders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "forwarder", "rule"),
    [
        ("198.51.100.7", "mx.hosts.example", "[exempt] forwarders = .hosts.example"),
        ("198.51.100.8", "fwd.example", "[exempt] forwarder_spf = fwd.example"),
    ],
)
def test_a_forwarders_mail_is_accepted_and_keeps_its_fail(
    overriding: Running, client: str, forwarder: str, rule: str
) -> None:
    outcome, line = deliver(overriding, "<u@pass.example>", client)
    assert outcome.reply.kind == "continue"
    assert outcome.quarantine is None
    assert "spf=fail" in fields(outcome)["Authentication-Results"]
    assert "X-SPF-Notice" not in fields(outcome)
    assert f" override=trusted_forwarder override_by={forwarder} action=accept " in line
    assert f'rule="{rule} (line ' in line
    assert " spf_mailfrom=fail " in line


@pytest.mark.parametrize("client", ["198.51.100.9", "198.51.100.10"])
def test_a_client_is_no_forwarder_because_it_says_so(overriding: Running, client: str) -> None:
    outcome, line = deliver(overriding, "<u@pass.example>", client)
    assert outcome.quarantine is not None
    assert "override=" not in line


def test_mail_that_passes_needs_no_lookup_for_overrides(overriding: Running, dns: ScriptedDNS) -> None:
    dns.reset_counts()
    deliver(overriding, "<u@pass.example>")
    assert {name for name, _ in dns.queries} <= {"pass.example", "mail.example"}


# -- conditions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "own", "code", "condition"),
    [
        ("<u@open.example>", "9.9.9.9", "", "wide_open"),
        ("<u@open.example>", "10.0.0.1", "", "wide_open"),  # behind NAT
        ("<u@wide.example>", "9.9.9.9", "", "wide_open"),
        ("<u@wide.example>", "10.0.0.1", "", None),
        ("<u@pass.example>", "9.9.9.9", "", None),
        ("<u@nobody.example>", "", "550", "unreachable"),
        ("<u@never.example>", "", "550", "no_mail"),
    ],
)
def test_a_condition_has_its_own_policy_entry(
    overriding: Running, sender: str, own: str, code: str, condition: str | None
) -> None:
    outcome, line = deliver(overriding, sender, macros={"{daemon_addr}": own} if own else None)
    assert outcome.reply.code == code
    assert ("X-SPF-Notice" in fields(outcome)) is (condition == "wide_open")
    found = re.search(r" condition=(\w+)", line)
    assert (found[1] if found else None) == condition
    assert condition is None or f'rule="[policy.mailfrom] {condition} = ' in line


def test_the_mtas_own_address_is_asked_for_where_it_is_needed(overriding: Running, usual: Running) -> None:
    lists = []
    for serving in (overriding, usual):
        with serving.client() as mta:
            lists.append(mta.negotiate().symlists["connect"])
            mta.quit()
    assert lists == [("j", "{client_addr}", "{daemon_addr}"), ("j", "{client_addr}")]


# -- rules of a domain -------------------------------------------------------------------------------------------------


def test_a_pinned_record_is_evaluated_and_reported_as_such_one(overriding: Running) -> None:
    outcome, line = deliver(overriding, "<u@pinned.example>")
    assert "by a record of this server, not the published one" in fields(outcome)["Authentication-Results"]
    assert " spf_mailfrom=pass " in line
    assert " pinned=yes " in line


@pytest.mark.parametrize(
    ("sender", "skip"), [("<u@a.exempt.example>", "exempt-sender"), ("<u@lists.example>", "trusted-for-domain")]
)
def test_a_message_that_is_not_checked_has_a_field_where_configured(
    overriding: Running, sender: str, skip: str
) -> None:
    outcome, line = deliver(overriding, sender)
    domain = sender.partition("@")[2].rstrip(">")
    assert fields(outcome) == {
        "Authentication-Results": f"mx.example.net; spf=none (not checked: {skip}) smtp.mailfrom={domain}"
    }
    assert f" skip={skip} " in line


# -- temperror ---------------------------------------------------------------------------------------------------------


def test_a_temperror_is_deferred_until_it_has_been_long_enough(dns: ScriptedDNS) -> None:
    """Each try is another connection, so that in the end several workers have had a say."""
    text = "[policy]\ndefer_at_most = 100ms\n[policy.mailfrom]\ntemperror = defer\n"
    with running(dns, text) as serving:
        first, line = deliver(serving, "<u@temp.example>")
        assert first.reply.lines[0].startswith(
            "451-4.7.24 Not accepted yet: The SPF record of temp.example cannot be looked up"
        )
        assert 'rule="[policy.mailfrom] temperror = defer (line ' in line

        def accepted() -> str | None:
            outcome, line = deliver(serving, "<u@temp.example>", "192.0.2.200")
            return line if outcome.reply.kind == "continue" else None

        line = until(accepted, 10.0, lambda: "acceptance after a tenth of a second")
        assert 'rule="[policy] defer_at_most = 100ms (line ' in line
        other, _ = deliver(serving, "<u@temp.example>", "192.0.3.1")
        assert other.reply.code == "451", "another network has its own time"


def test_nothing_is_deferred_because_our_own_resolver_is_dead() -> None:
    text = "[policy.mailfrom]\ntemperror = defer\n[policy.helo]\ntemperror = defer\n"
    with ScriptedDNS({}) as gone:
        pass
    with running(gone, text) as serving:
        outcome, line = deliver(serving, "<u@pass.example>")
    assert outcome.reply.kind == "continue"
    assert "problem_kind=own-resolver" in line
    assert "temperror = defer (line " in line
    assert "but our own resolver does not answer" in line
