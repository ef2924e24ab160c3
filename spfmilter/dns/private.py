"""Hide private names from untrusted input: zones of our own network, and names that no public DNS has (RFC 6761).

A sender's record, HELO name or mail server may be any name, and our resolver may know more names than the public DNS.
Its answers are visible from outside: in an explanation, on the help page, or in whether a message passes. Names that
the administrator wrote, and those that the client's own address leads to, are looked up all the same.
"""

from __future__ import annotations

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.pending import Then
from spfmilter.zones import Zones

_TTL = 3600  # seconds: it holds as long as the settings do, and other answers bound a verdict as well
NOT_ASKED = Answer(Status.PRIVATE, ttl=_TTL)


class Guarded:
    """A channel for untrusted names: private ones do not exist, and no packet asks for them."""

    def __init__(self, channel: Channel, private: Zones) -> None:
        self._channel, self._private = channel, private

    def start(self, name: str, rdtype: Type, then: Then | None = None) -> None:
        """See ``Channel.start``."""
        if not self._private.holds(name):
            self._channel.start(name, rdtype, then)
        elif then is not None:
            then(NOT_ASKED)

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """See ``Channel.ask``."""
        return NOT_ASKED if self._private.holds(name) else self._channel.ask(name, rdtype, deadline)
