"""The kinds of value that only the policy's sections have."""

from ipaddress import ip_network

import pytest

from spfmilter.model import Disposition
from spfmilter.settings import entries, show
from spfmilter.settings.entries import ExemptSender, PolicyEntry
from tests.values import settings

ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition


@pytest.mark.parametrize(
    ("text", "read", "written"),
    [
        ("tag", PolicyEntry(TAG), "tag"),
        ("Reject", PolicyEntry(REJECT), "reject"),
        ("defer", PolicyEntry(DEFER, ACCEPT), "defer"),
        ("defer, accept", PolicyEntry(DEFER, ACCEPT), "defer"),
        ("defer,TAG", PolicyEntry(DEFER, TAG), "defer, tag"),
        ("defer\nquarantine", PolicyEntry(DEFER, QUARANTINE), "defer, quarantine"),
    ],
)
def test_a_policy_entry_is_a_word_and_after_defer_perhaps_another(text: str, read: PolicyEntry, written: str) -> None:
    assert (entries.policy_entry(text), str(read)) == (read, written)


def test_a_policy_entry_is_shown_as_it_can_be_read() -> None:
    chosen = settings("[policy.mailfrom]\nsoftfail = defer, tag\n[domain:a.example]\nfail = defer, quarantine\n")
    assert settings(show(chosen)) == chosen
    assert "softfail = defer, tag\n" in show(chosen)


NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::7"))


@pytest.mark.parametrize(
    ("text", "read", "written"),
    [
        ("Example.com", ExemptSender("example.com"), "example.com"),
        (".bücher.example", ExemptSender(".xn--bcher-kva.example"), ".xn--bcher-kva.example"),
        ("a.example  IF  pass", ExemptSender("a.example", if_pass=True), "a.example if pass"),
        (
            "a.example from 192.0.2.0/24 2001:db8::7 192.0.2.0/24",
            ExemptSender("a.example", networks=NETWORKS),
            "a.example from 192.0.2.0/24 2001:db8::7",
        ),
        (
            ".a.example if pass from 192.0.2.0/24",
            ExemptSender(".a.example", if_pass=True, networks=NETWORKS[:1]),
            ".a.example if pass from 192.0.2.0/24",
        ),
    ],
)
def test_an_exempt_sender_is_a_domain_and_perhaps_conditions(text: str, read: ExemptSender, written: str) -> None:
    assert (entries.exempt_sender(text), str(read)) == (read, written)
    assert entries.exempt_sender(written) == read
    chosen = settings(f"[exempt]\nsenders = {text}, other.example")
    assert settings(show(chosen)) == chosen
