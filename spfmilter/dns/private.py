"""Hide private names from untrusted input: zones of our own network, and names that no public DNS has (RFC 6761).

A sender can choose any name for a record, HELO or mail server, and our resolver may know more names than the public
DNS. Outsiders can see its answers: in an explanation, on the help page, or by whether a message passes. Names that the
administrator wrote are looked up, and so is the reverse DNS of the client's address.
"""

from __future__ import annotations

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.pending import Then
from spfmilter.zones import Zones

_TTL = 3600  # seconds; it changes only with the settings
NOT_ASKED = Answer(Status.PRIVATE, ttl=_TTL)


class Guarded:
    """Ask for untrusted names. A private name does not exist here, and no packet asks for it."""

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
