"""The scripted servers, for this folder."""

from tests.scripted import resolver, second, server

__all__ = ["resolver", "second", "server"]
