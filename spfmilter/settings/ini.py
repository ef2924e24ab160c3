"""The INI text, read into sections and entries that know their lines; every syntax problem is found.

Knows the file's syntax and nothing of its keys. (Why not configparser: it stops at the first duplicate, knows no
line numbers of values, and reads an indented key as the rest of the value above it without a word. See
docs/decisions/0003-ini-reader.md.)
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

SIZE_LIMIT = 1 << 20  # bytes: a thousand times the shipped file; anything longer is not a settings file
_SECTION = re.compile(r"\[([^\[\]]*)\]")
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)\s*=(.*)", re.DOTALL)
_SHOWN = 80  # characters of the file that a message repeats
_LOGIN = re.compile(r"(://).*@")  # of a URL, up to the last @: a password that is not encoded may hold anything


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingProblem:
    """One error; ``str()`` is the line that an administrator reads, without the name of the file."""

    message: str
    line: int | None = None
    file: str | None = None  # None: the INI file itself; also the name of an environment variable
    section: str | None = None
    key: str | None = None

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        where = f"[{self.section}] " if self.section is not None else ""
        where += f"{self.key}: " if self.key is not None else ""
        return f"{place}{where}{self.message}"


@dataclass(slots=True)
class Entry:
    """One ``key = value``; lines that continue it are joined with LF."""

    key: str
    value: str
    line: int | None  # None: it is the value of an environment variable
    continuation: list[tuple[int, str]] = field(default_factory=list)  # the continuing lines, with their numbers


@dataclass(slots=True)
class Section:
    """One ``[name]`` with its entries by key, in the file's order."""

    name: str
    line: int | None  # None: see ``Entry``
    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(slots=True)
class Document:
    """The whole file: sections by name in the file's order, and its syntax errors."""

    sections: dict[str, Section] = field(default_factory=dict)
    repeated: list[Section] = field(default_factory=list)  # second sections of a name: reported, and still looked at
    problems: list[SettingProblem] = field(default_factory=list)


def quoted(text: str) -> str:
    """Return text of the file as an error message quotes it: without the login of a URL, which no log may hold."""
    if not text:
        return "an empty value"
    text = _LOGIN.sub(r"\1***@", text)
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def unprintable(text: str) -> str | None:
    """Return an error that names the first character that is not printable; None: there is none."""
    bad = None if text.isprintable() else next((c for c in text if c != "\t" and not c.isprintable()), None)
    if bad is None:
        return None
    name = unicodedata.name(bad, "a control character")
    return f"holds U+{ord(bad):04X} ({name}), which is not printable: remove it, or type it anew"


def key_in(text: str) -> str | None:
    """Return the key, where the text looks like ``key = value``."""
    found = _KEY.fullmatch(text)
    return found[1] if found is not None else None


def header_in(text: str) -> str | None:
    """Return the section's name, where the text looks like ``[name]``."""
    found = _SECTION.fullmatch(text)
    return found[1].strip() if found is not None else None


def decode(data: bytes) -> tuple[str, list[SettingProblem]]:
    """Return the file's bytes as text; a byte-order mark is accepted, anything that is not UTF-8 is a problem."""
    if len(data) > SIZE_LIMIT:
        return "", [
            SettingProblem(message=f"the file is larger than {SIZE_LIMIT // 1024} KB: this is not a settings file")
        ]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8: save the file in that encoding"
        return "", [SettingProblem(message=message, line=line)]
    return text, []


def parse(text: str) -> Document:
    """Read the sections and entries of an INI text.

    A comment stands on a line of its own and begins with ``;`` or ``#``; inside a value these are plain characters, as
    ``%`` is. A line that begins with white space continues the value above it.
    """
    return _Reader().read(text)


def _as_entry(line: str) -> str:
    """Return how to write a line of the form ``key: value``; for another one, that it is to be removed."""
    key, colon, value = line.partition(":")
    if colon and not value.startswith("//") and _KEY.fullmatch(f"{key.strip()} ="):  # not a URL, which has a password
        return (
            f": write {key.strip()} = and then {quoted(value.strip())}" if value.strip() else f": write {key.strip()} ="
        )
    return ": correct it, or remove the line"


def _ignored(line: int) -> Entry:
    """Return an entry for the lines that continue something wrong, so that they are not reported as well."""
    return Entry("", "", line)


class _Reader:
    """Reads a file line by line; holds the section and the entry that the next line may belong to."""

    def __init__(self) -> None:
        self.document = Document()
        self.section: Section | None = None
        self.entry: Entry | None = None
        self.skipping = False  # inside a section or entry that is already reported as wrong

    def read(self, text: str) -> Document:
        for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
            line = raw.rstrip()
            if not line or line.lstrip()[0] in ";#":
                continue
            bad = unprintable(line)
            if bad is not None:
                self._unprintable(number, line, bad)
            elif line[0].isspace():
                self._continuation(number, line.strip())
            elif line[0] == "[":
                self._header(number, line)
            else:
                self._entry(number, line)
        return self.document

    def _problem(self, line: int, message: str, key: str | None = None) -> None:
        section = self.section.name if self.section else None
        self.document.problems.append(SettingProblem(message=message, line=line, section=section, key=key))

    def _unprintable(self, number: int, line: str, bad: str) -> None:
        self._problem(number, bad)
        if line[0] == "[":
            self.section, self.entry, self.skipping = None, None, True
        elif not line[0].isspace():
            self.entry = _ignored(number)

    def _header(self, number: int, line: str) -> None:
        self.entry, self.skipping = None, False
        name = header_in(line)
        if not name:
            self.section, self.skipping = None, True
            self._problem(number, f"{quoted(line)} is not a section header: write [name], and nothing else in the line")
            return
        known = self.document.sections.get(name)
        self.section = Section(name, number)
        if known is not None:
            self._problem(number, f"the section stands here a second time (first in line {known.line}): merge the two")
            self.document.repeated.append(self.section)
            return
        self.document.sections[name] = self.section

    def _entry(self, number: int, line: str) -> None:
        self.entry, found = _ignored(number), _KEY.fullmatch(line)
        if found is None:
            self._problem(
                number, f"{quoted(line)} is neither [section], key = value nor a comment (; or #){_as_entry(line)}"
            )
        elif self.section is None:
            if not self.skipping:
                self._problem(number, "stands before the first [section]: move it below its own", found[1])
        else:
            key, value = found[1], found[2].strip()
            if key in self.section.entries:
                first = self.section.entries[key].line
                self._problem(number, f"the key stands here a second time (first in line {first}): remove one", key)
            else:
                self.entry = self.section.entries[key] = Entry(key, value, number)

    def _continuation(self, number: int, line: str) -> None:
        if self.entry is not None:
            self.entry.value = f"{self.entry.value}\n{line}" if self.entry.value else line
            self.entry.continuation.append((number, line))
        elif not self.skipping:
            message = (
                f"{quoted(line)} is indented, but there is no value that it continues: remove the blanks before it"
            )
            self._problem(number, message)
