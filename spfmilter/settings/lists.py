"""The lists of the settings: what is common to all of them, and the list of a few values.

A list is a sequence without duplicates, in the order of the INI file. It knows for each entry whether it stands in the
INI file itself or in which line of which list file. Lists of networks are in ``networklist``, lists of names in
``namelist``: these hold no object for an entry, so that a hundred thousand entries take a few megabytes.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self, TypeVar, overload

from spfmilter.settings.ini import quoted

T_co = TypeVar("T_co", covariant=True)
PREFIX = "file:"  # of an item that names a list file
_DIGEST = 16  # bytes


@dataclass(frozen=True, slots=True)
class Origin:
    """An entry of a list file: where it stands, and what it says."""

    path: str
    line: int
    text: str


class EntryList(Sequence[T_co]):
    """A list of entries. It grows by ``begin`` and ``add`` until ``close``, and never again."""

    __slots__ = ("_lines", "_run_paths", "_run_starts")

    def __init__(self) -> None:
        self._lines = array("I")  # by place: the line in its list file; 0: the entry is in the INI file itself
        # Neighbours of the same file are a run: the place of its first entry, and its path, empty for the INI file.
        self._run_starts = array("I")
        self._run_paths: list[str] = []

    # -- while it is read --------------------------------------------------------------------------------------------

    def begin(self, path: str) -> None:
        """Note that the next entries are those of a list file; an empty path: of the INI file itself."""
        self._run_starts.append(len(self))
        self._run_paths.append(path)

    def add(self, text: str, line: int = 0) -> None:
        """Add an entry, unless the list has it.

        Args:
            text: the entry, in the notation of its kind.
            line: in the list file; 0: in the INI file.

        Raises:
            ValueError: the text is not an entry of this kind. The message says what to write.
        """
        if self._take(text):
            self._lines.append(line)

    @abstractmethod
    def _take(self, text: str) -> bool:
        """Add an entry; False: the list has it. Raise ValueError if the text is none."""

    def close(self) -> Self:
        """Make the list ready to be asked. Return it."""
        return self

    # -- the entries -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> T_co: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T_co]: ...
    def __getitem__(self, place: int | slice) -> T_co | Sequence[T_co]:
        if isinstance(place, slice):
            return tuple(self._value(each) for each in range(*place.indices(len(self))))
        return self._value(range(len(self))[place])

    def __iter__(self) -> Iterator[T_co]:
        return map(self._value, range(len(self)))

    @abstractmethod
    def _value(self, place: int) -> T_co:
        """Return the entry at a place."""

    @abstractmethod
    def text(self, place: int) -> str:
        """Return the entry at a place in the notation of the file."""

    def __eq__(self, other: object) -> bool:
        """Return whether the other one has equal entries in the same order, wherever they stand."""
        if not isinstance(other, EntryList | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.written()!r})"

    # -- where they stand --------------------------------------------------------------------------------------------

    def origin(self, place: int) -> Origin | None:
        """Return where an entry stands; None: in the INI file itself."""
        line = self._lines[place]
        if not line:
            return None
        return Origin(self._run_paths[bisect_right(self._run_starts, place) - 1], line, self.text(place))

    @property
    def files(self) -> tuple[tuple[str, int], ...]:
        """Return the list files in their order, each with the number of entries that it has added."""
        return tuple((path, end - start) for path, start, end in self._runs() if path)

    def written(self) -> str:
        """Return the list as it is written in the INI file, where a list file is one item."""
        items: list[str] = []
        for path, start, end in self._runs():
            items += [f"{PREFIX}{path}"] if path else map(self.text, range(start, end))
        return ", ".join(items)

    def _runs(self) -> Iterator[tuple[str, int, int]]:
        """Yield the path of each run, the place of its first entry, and that behind its last one."""
        for number, (path, start) in enumerate(zip(self._run_paths, self._run_starts, strict=True), start=1):
            yield path, start, self._run_starts[number] if number < len(self._run_starts) else len(self)

    def digest(self) -> str:
        """Return a short text that is the same for lists with the same entries in the same order."""
        digest = blake2b(digest_size=_DIGEST)
        for place in range(len(self)):
            digest.update(self.text(place).encode() + b"\n")
        return digest.hexdigest()


class ValueList(EntryList[T_co]):
    """A list of a few values, which are objects: there is no quick way to find one."""

    __slots__ = ("_parse", "_show", "_values")

    def __init__(self, parse: Callable[[str], T_co], show: Callable[[Any], str] = str) -> None:
        super().__init__()
        self._parse, self._show = parse, show
        self._values: dict[T_co, None] | tuple[T_co, ...] = {}

    def _take(self, text: str) -> bool:
        assert isinstance(self._values, dict), "it is being read"  # noqa: S101 - for the type checker
        known = len(self._values)
        self._values.setdefault(self._parse(text))
        return len(self._values) > known

    def close(self) -> Self:
        """Make the values a tuple."""
        self._values = tuple(self._values)
        return self

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._values)

    def _value(self, place: int) -> T_co:
        return tuple(self._values)[place]

    def text(self, place: int) -> str:
        """Return the value at a place in the notation of the file."""
        return self._show(self._value(place))


class EntriesError(ValueError):
    """A list has wrong entries. The message joins those of the INI file; ``found`` has those of list files."""

    def __init__(self, messages: Iterable[str], found: Iterable[tuple[str, int | None, str]]) -> None:
        """Args: messages: of items in the INI file; found: path, line and message for each wrong line of a file."""
        super().__init__("; ".join(messages))
        self.found = tuple(found)


def is_file(item: str) -> bool:
    """Return whether an item of a list names a list file."""
    return item.startswith(PREFIX)


ListOf = TypeVar("ListOf", bound=EntryList[Any])


def filled(made: ListOf, items: Iterable[str]) -> ListOf:
    """Return an empty list, filled with items as if they stood in the INI file."""
    made.begin("")
    for item in items:
        made.add(item)
    return made.close()


def not_nested(item: str) -> None:
    """Refuse a line of a list file that names a list file.

    Raises:
        ValueError: it does.
    """
    if is_file(item):
        raise ValueError(f"{quoted(item)}: a list file cannot name another one: write it into the INI file")
