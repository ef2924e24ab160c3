"""Our own servers in front of this one: who gave them a message, by the Received fields that they wrote.

``received`` reads one field; ``trail`` walks from the relay that is connected to the client that it all began with.
"""

from spfmilter.relays.trail import Origin, origin

__all__ = ["Origin", "origin"]
