"""Read a list of the INI file, with the list files that it names.

Knows the form of a list file. The files themselves are read by a function of the caller: ``files`` has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BeforeValidator, ValidationInfo

from spfmilter.settings import names
from spfmilter.settings.ini import quoted, unprintable
from spfmilter.settings.lists import PREFIX, EntriesError, EntryList, filled, is_file, not_nested
from spfmilter.settings.values import split_list, to_ini

ReadFile = Callable[[str], bytes]  # by the path; raises ValueError: why it cannot be read, and what to do

MOST = 1_000_000  # entries of a list
_LINE = 1000  # bytes of a line: no entry comes near
_TOLD = 50  # wrong lines of a file that are each reported: a file of another kind has only such lines
_COMMENT = re.compile(r"(?:^|\s)#.*")
_BOM = b"\xef\xbb\xbf"


def entries(made: Callable[[], EntryList[Any]], *, most: int = MOST, why: str = "") -> BeforeValidator:
    """Let pydantic read a list whose items are entries, or ``file:/path`` for those of a list file.

    The validation's context is the function that reads a file (``ReadFile``). Without one, naming a file is an error.

    Args:
        made: makes the empty list.
        most: entries, at most.
        why: there are no more, as a sentence for the error.
    """

    def read(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, tuple):
            return filled(made(), map(to_ini, value))
        return _Reader(made(), info.context, most, why).read(value) if isinstance(value, str) else value

    return BeforeValidator(read)


class _Reader:
    """Reads one list; collects what is wrong with it."""

    def __init__(self, made: EntryList[Any], read_file: ReadFile | None, most: int, why: str) -> None:
        self._made, self._read_file, self._most, self._why = made, read_file, most, why
        self._messages: list[str] = []  # of items in the INI file
        self._found: list[tuple[str, int | None, str]] = []  # path, line and message, of list files
        self._named: set[str] = set()

    def read(self, text: str) -> EntryList[Any]:
        """Return the list.

        Raises:
            EntriesError: with everything that is wrong.
        """
        inside = False  # the last items were entries
        for item in split_list(text):
            if is_file(item):
                self._file(item)
            else:
                if not inside:
                    self._made.begin("")
                self._item(item)
            inside = not is_file(item)
        if self._messages or self._found:
            raise EntriesError(self._messages, self._found)
        return self._made.close()

    def _item(self, item: str) -> None:
        try:
            self._add(item, 0)
        except ValueError as error:
            self._messages.append(f"{error}{' (items are separated by commas)' if ' ' in item else ''}")

    def _add(self, item: str, line: int) -> None:
        self._made.add(item, line)
        if len(self._made) > self._most:
            raise _TooManyError(f"more than {self._most} entries: write fewer{self._why}")

    def _file(self, item: str) -> None:
        """Add the entries of a list file."""
        try:
            path = names.file_path(item.removeprefix(PREFIX))
        except ValueError:
            self._messages.append(f"{quoted(item)} is no list file: write its path from the root, as {PREFIX}/path")
            return
        if path in self._named:
            return
        self._named.add(path)
        if self._read_file is None:
            self._messages.append(f"{quoted(item)}: no file is read here")
            return
        try:
            data = self._read_file(path)
        except ValueError as error:
            self._found.append((path, None, str(error)))
            return
        self._made.begin(path)
        self._lines(path, data)

    def _lines(self, path: str, data: bytes) -> None:
        wrong = 0
        for number, raw in _lines_of(data):
            try:
                text = _entry(raw)
                if text:
                    not_nested(text)
                    self._add(text, number)
            except _TooManyError as error:
                self._found.append((path, number, str(error)))
                return
            except ValueError as error:
                wrong += 1
                if wrong <= _TOLD:
                    self._found.append((path, number, f"{error}{_hint(raw)}"))
        if wrong > _TOLD:
            self._found.append((path, None, f"{wrong - _TOLD} more lines are wrong as well: correct these first"))


class _TooManyError(ValueError):
    """A list has too many entries; what follows is not read."""


def _lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers, one after the other: all of them at once would take a lot of memory."""
    start, number = len(_BOM) if data.startswith(_BOM) else 0, 0
    while start < len(data):
        number += 1
        end = data.find(b"\n", start)
        end = end if end >= 0 else len(data)
        yield number, data[start:end]
        start = end + 1


def _entry(raw: bytes) -> str:
    """Return the entry of a line; empty: it has none.

    Raises:
        ValueError: the line cannot be one.
    """
    if len(raw) > _LINE:
        raise ValueError(f"the line has {len(raw)} bytes: write one entry a line, of {_LINE} bytes at most")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"byte 0x{raw[error.start]:02x} is not UTF-8: save the file in that encoding") from None
    text = text.strip()
    if "#" in text:
        text = _COMMENT.sub("", text).rstrip()
    if (bad := unprintable(text)) is not None:
        raise ValueError(bad)
    return text


def _hint(raw: bytes) -> str:
    """Return what may be meant by a wrong line."""
    if raw.lstrip().startswith((b";", b"//")):
        return " (a comment begins with #)"
    return " (a list file has one entry a line)" if b"," in raw or b" " in raw.strip() else ""
