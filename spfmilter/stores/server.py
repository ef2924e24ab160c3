"""A hash of JSON texts on a Redis or Valkey server, as far as it is the same for all that is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from spfmilter.settings.urls import StateUrl
from spfmilter.state.connection import asked, connect
from spfmilter.stores.choice import StoreError
from spfmilter.stores.rows import Row

_SECONDS = 5.0  # for an answer
_T = TypeVar("_T")


class ServerAccess:
    """The way to the server, with errors as those of a store."""

    def __init__(self, url: StateUrl, most: int) -> None:
        """Prepare; ask nothing. ``most`` is the number of bytes of an answer."""
        self.name = str(url)
        self._server = connect(url, seconds=_SECONDS, most=most)

    def close(self) -> None:
        """Let go of the store."""
        self._server.connection_pool.disconnect()

    def _asked(self, ask: Callable[[], _T]) -> _T:
        """Return the answer.

        Raises:
            StoreError: there is none.
        """
        return asked(self._server, ask, lambda reason: StoreError(f"{self.name}: {reason}"))


def decoded(text: object) -> Row:
    """Return the row of a JSON text. What is no JSON object is a row without columns."""
    try:
        found = json.loads(text) if isinstance(text, bytes | str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
