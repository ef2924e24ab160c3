"""The changes to an accepted message: header fields to write, to change and to remove, and a reason for quarantine."""

from __future__ import annotations

from spfmilter.value import value


@value
class HeaderField:
    """A header field to write; ``value`` is folded with LF and a space."""

    name: str
    value: str


@value
class Removal:
    """A header field to remove: the ``index``-th (from 1) of all fields called ``name``."""

    name: str
    index: int


@value
class Replacement:
    """Another value for the ``index``-th (from 1) of all header fields called ``name``."""

    name: str
    value: str
    index: int


@value
class Edits:
    """The changes to an accepted message; removals come first, highest index first."""

    remove: tuple[Removal, ...] = ()
    replace: tuple[Replacement, ...] = ()
    insert: tuple[HeaderField, ...] = ()  # in reading order, above everything
    quarantine: str | None = None  # the reason that the MTA records
    untagged: int = 0  # Subject fields that were left alone, because their character set is not known
