"""The sums that the journal's statistics return, as values.

Texts in them are untrusted input that the sanitizer has made into one line. None: the column had no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

MINUTES = 600_000  # milliseconds: how exactly the failures of our own resolver are placed in time


class Count(NamedTuple):
    """How many messages were alike, in one step of time."""

    time: int  # when the step begins
    host: str | None  # the MTA
    mailfrom: str | None
    helo: str | None
    decided_by: str | None
    action: str
    would: str | None
    skip: str | None
    override: str | None
    messages: int

    @property
    def result(self) -> str | None:
        """Return the result that decided; None: nothing was checked."""
        return self.helo if self.decided_by == "helo" else self.mailfrom


class RefusedDomain(NamedTuple):
    """A domain for which messages were refused; with HELO's verdict, the name in HELO."""

    domain: str | None
    messages: int
    clients: int
    last: int
    results: Mapping[str, int]  # messages by the result that decided; those that are not zero


class RefusedClient(NamedTuple):
    """The addresses of one name from which messages were refused: one, or those of a network (IPv4, /24)."""

    client: str | None  # an address
    messages: int
    clients: int
    name: str | None


class FailingHost(NamedTuple):
    """A client whose messages fail, where no override let them in."""

    client: str | None
    name: str | None
    messages: int
    refused: int  # including those that monitor mode would have refused
    helo_passes: int
    helo: str | None
    domains: int
    first: int
    last: int


class SenderHost(NamedTuple):
    """What one client has sent for one domain."""

    client: str | None
    domain: str | None
    passes: int
    failures: int
    refused: int
    first_failure: int | None
    last_failure: int | None
    last_pass: int | None
    hours: int  # different hours with a failure


class BrokenDomain(NamedTuple):
    """A domain that has both passed and failed."""

    domain: str | None
    passes: int
    failures: int


class Temperrors(NamedTuple):
    """A domain whose evaluation ended in a temperror that was not ours."""

    domain: str | None
    messages: int
    timeouts: int
    deferred: int
    last: int


class ResolverFailure(NamedTuple):
    """Ten minutes in which none of our own nameservers answered a host."""

    time: int
    host: str | None
    messages: int


class UsedOverride(NamedTuple):
    """An override, and how often it was the reason."""

    type: str | None
    by: str | None
    rule: str | None
    messages: int
    last: int
