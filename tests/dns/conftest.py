"""For this folder: the scripted servers, and a machine that is never too slow for them."""

from tests.scripted import resolver, second, server, unhurried

__all__ = ["resolver", "second", "server", "unhurried"]
