"""The words that a worker sends to the supervisor over a socket pair, one byte each.

If one side exits, the other one sees the end of the connection.
"""

from __future__ import annotations

from enum import Enum


class Word(Enum):
    """A word of a worker. The supervisor answers with signals."""

    READY = b"R"  # the worker serves
    BEAT = b"."  # the worker is alive
    DRAINING = b"D"  # the worker accepts no new session
    REPLACE = b"X"  # please replace the worker: over the memory limit, sessions without a thread, or libmilter returned
