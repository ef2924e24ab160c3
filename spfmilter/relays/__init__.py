"""Our own servers in front of this one, and the client that sent them a message, by their Received fields.

``received`` reads one field; ``chain`` walks from the connected relay back to the originating client.
"""

from spfmilter.relays.chain import OriginatingClient, originating_client

__all__ = ["OriginatingClient", "originating_client"]
