"""The words that a worker says to the supervisor, one byte each, over a socket pair; its end is the end of either."""

from __future__ import annotations

from enum import Enum


class Word(Enum):
    """What a worker says; the supervisor answers with signals."""

    READY = b"R"  # it serves
    BEAT = b"."  # it is alive
    DRAINING = b"D"  # it takes no new session
    REPLACE = b"X"  # it asks to be replaced: it has grown beyond the memory limit, or libmilter returned
