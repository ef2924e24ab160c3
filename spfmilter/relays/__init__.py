"""Find the client that sent a message to one of our relays, from the Received fields.

``received`` reads one field. ``chain`` walks from the connected relay back to the originating client.
"""

from spfmilter.relays.chain import OriginatingClient, originating_client

__all__ = ["OriginatingClient", "originating_client"]
