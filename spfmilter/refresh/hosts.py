"""The way of tokens between the daemons of several hosts: one interface.

A token that is lost on its way costs nothing but time: the other host keeps an answer as long as the DNS allows. What
comes from the server is untrusted input. Knows no server's own language.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

MAX_TOKENS = 100  # in one look; more are no visits of people


class HostsError(Exception):
    """The server cannot be used. The message says why, and holds no password."""


class Hosts(Protocol):
    """The other hosts. All methods raise HostsError."""

    name: str  # of the server, for people, without a password

    def send(self, token: str) -> None:
        """Hand a token to the other hosts."""

    def receive(self) -> Sequence[str]:
        """Return the tokens that have come since the last look, also our own. The first look returns none."""

    def close(self) -> None:
        """Let go of the server."""
