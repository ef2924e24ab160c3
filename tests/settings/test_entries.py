"""The kinds of value that only the policy's sections have."""

import pytest

from spfmilter.model import Disposition
from spfmilter.settings import entries, show
from spfmilter.settings.entries import PolicyEntry
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
