"""A row of a store, as untrusted input: its columns, and how each is read. Knows no store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from spfmilter.text import unicode_line

Row = Mapping[str, object]  # by the names of the columns
_T = TypeVar("_T")

NAME_LIMIT = 255  # characters of a name
LATEST = 253402300799  # Unix seconds: the last second of the year 9999, which is as far as dates go


def text_of(row: Row, name: str, limit: int = NAME_LIMIT) -> str:
    """Return the text of a column; empty: it is not set.

    Raises:
        ValueError: it holds something else, or more characters than ``limit``.
    """
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"{name} is no text of {limit} characters at most")
    return value


def time_of(row: Row, name: str) -> int | None:
    """Return the Unix seconds of a column; None: it is not set.

    Raises:
        ValueError: it holds something else.
    """
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LATEST:
        raise ValueError(f"{name} is no time")
    return value


def read(row: Row, value_of: Callable[[Row], _T]) -> _T:
    """Return what ``value_of`` makes of a row.

    Raises:
        ValueError: the row is none; the message says why, on one line of printable characters.
    """
    try:
        return value_of(row)
    except ValueError as error:
        raise ValueError(unicode_line(str(error))) from None


def valid(rows: Iterable[object], value_of: Callable[[Row], _T], refused: Callable[[Row, str], None]) -> Iterator[_T]:
    """Yield what ``value_of`` makes of rows.

    Args:
        rows: of a store.
        value_of: raises ValueError for a row that is none.
        refused: is told of each such row, and why it is none.
    """
    for each in rows:
        row = each if isinstance(each, Mapping) else {}
        try:
            yield value_of(row)
        except ValueError as error:
            refused(row, str(error))
