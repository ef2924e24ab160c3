"""The kinds of value that only the policy's sections have: INI text to a typed value, and back for ``config show``.

Knows the notation of each and its error messages. Knows no keys. The other kinds are in ``values`` and ``names``.
"""

from __future__ import annotations

from dataclasses import dataclass

from spfmilter.model import Disposition
from spfmilter.settings.ini import quoted
from spfmilter.settings.values import one_of, split_list


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """The value of a policy entry: a disposition, and for ``defer`` the one that follows it."""

    disposition: Disposition
    afterwards: Disposition = Disposition.ACCEPT  # once the mail has been deferred for [policy] defer_at_most

    def __str__(self) -> str:
        follows = self.afterwards is not Disposition.ACCEPT
        return f"{self.disposition}, {self.afterwards}" if follows else str(self.disposition)


def policy_entry(text: str) -> PolicyEntry:
    """Read a disposition; behind ``defer``, a milder one may follow for mail that has been deferred for long enough."""
    words = split_list(text) or ("",)
    first, *more = (one_of(Disposition)(word) for word in words)
    if not more:
        return PolicyEntry(first)
    if first is not Disposition.DEFER or len(more) > 1 or more[0].refuses:
        raise ValueError(
            f"{quoted(text)} is not one word: only defer takes a second one, for mail that has been deferred for "
            "defer_at_most: accept, tag or quarantine, such as defer, tag"
        )
    return PolicyEntry(first, more[0])
