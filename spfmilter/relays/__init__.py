"""Our own servers in front of this one: who gave them a message, by the Received fields that they wrote.

``received`` reads one field; ``trail`` walks from the relay that is connected to the client that it all began with.
"""

from spfmilter.relays.chain import OriginatingClient, originating_client

__all__ = ["OriginatingClient", "originating_client"]
