"""INI text in; the typed, frozen settings of the daemon out, or every problem with its section, key and line.

Knows how the files, the environment, their schema and their problems fit together. ``parse`` is pure; ``load`` reads
the files and the environment.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spfmilter import ownership, units
from spfmilter.settings import environment, files, ini, schema
from spfmilter.settings.consistency import contradictions
from spfmilter.settings.effective import Settings
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.listing import ReadFile
from spfmilter.settings.lists import EntriesError
from spfmilter.settings.values import to_ini

DEFAULT_PATH = Path("/etc/spfmilter/spfmilter.ini")
_REMARK = re.compile(r"(?:^|\s)[;#]")  # in a value that is wrong: probably meant as a comment


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds every error, ``source`` the name of the INI file."""

    def __init__(self, source: str, problems: Iterable[SettingProblem]) -> None:
        self.source = source
        # By file, the INI file first; in the order of the lines.
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file or "", problem.line or 0)))
        super().__init__("\n".join(f"{self.file_of(problem)}: {problem}" for problem in self.problems))

    def file_of(self, problem: SettingProblem) -> str:
        """Return the name of the file, or of the environment variable, in which a problem is."""
        return problem.file or self.source

    def named(self, problem: SettingProblem) -> str:
        """Return a problem with the name of its file, unless that is the INI file."""
        return f"{problem.file}: {problem}" if problem.file else str(problem)

    def counted(self) -> str:
        """Return how many problems there are in which files, as a phrase."""
        number, places = len(self.problems), list(dict.fromkeys(map(self.file_of, self.problems)))
        where = places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
        return f"{number} {'problem' if number == 1 else 'problems'} in {where}"


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from an INI file, from those of ``conf.d`` beside it, and from the environment.

    Args:
        path: the INI file.
        environ: variables, which come after the files.

    Raises:
        SettingsError: a file cannot be read, or a file or variable holds problems.
    """
    texts, problems = _Texts(), []
    try:
        with path.open("rb") as file:
            data = file.read(ini.SIZE_LIMIT + 1)  # one more than is taken, so that decode() can refuse it
    except FileNotFoundError:
        message = "there is no such file: write it, or name another with -c FILE"
        raise SettingsError(str(path), [SettingProblem(message=message)]) from None
    except OSError as error:
        message = f"cannot be read: {error.strerror}{_advice(error, path)}"
        raise SettingsError(str(path), [SettingProblem(message=message)]) from None
    texts.add(None, data)
    try:
        for further in files.further(path):
            texts.read(str(further))
    except files.FileError as error:
        problems.append(SettingProblem(message=str(error)))
    merge = _Merge(str(path), files.list_file, [*problems, *texts.problems])
    return merge.settings(texts.found, *environment.parse(environ), folder=str(path.parent))


_Source = tuple[str | None, ini.Document]  # a file or variable, None for the INI file, and what it says


class _Texts:
    """The INI texts of several files, in their order."""

    def __init__(self) -> None:
        self.found: list[_Source] = []
        self.problems: list[SettingProblem] = []

    def read(self, path: str) -> None:
        """Read a file of conf.d."""
        try:
            self.add(path, files.read(path, ini.SIZE_LIMIT))
        except files.FileError as error:
            self.problems.append(SettingProblem(message=str(error), file=path))

    def add(self, path: str | None, data: bytes) -> None:
        """Add the content of a file."""
        text, problems = ini.decode(data)
        self.problems += [replace(problem, file=path) for problem in problems]
        self.found.append((path, ini.parse(text)))


def _advice(error: OSError, path: Path) -> str:
    """Return what to do where the file cannot be read; empty if that is unknown."""
    if isinstance(error, PermissionError):
        return f": {_to_let_read(path)}"
    if isinstance(error, IsADirectoryError):
        return ": name the file itself with -c FILE"
    return ": name another file with -c FILE" if isinstance(error, NotADirectoryError) else ""


def _to_let_read(path: Path) -> str:
    """Return who may not read the file, and what root does about it; a person is told to run the command as root."""
    user, place = ownership.user(), ownership.barrier(path)
    who = f"user {user} may not read it; {ownership.nearest(path)}"
    if user not in {units.daemon_user(), units.page_user()}:
        return f"{who}: run this as root"
    if place != path:
        return f"{who}, and keeps them out: chmod o+x {place}"
    if user == units.page_user():
        return f"{who}: if it holds no password, chmod 0644 {path}; else give the page its own file (docs/help-page.md)"
    return f"{who}: chgrp {ownership.group()} {path} && chmod 0640 {path}"


def parse(text: str, source: str = "settings", read_file: ReadFile | None = None) -> Settings:
    """Read the settings from an INI text.

    Args:
        text: the text.
        source: its name.
        read_file: reads a list file; None: that the text names one is an error.

    Raises:
        SettingsError: with every problem of the text, not only the first.
    """
    return _Merge(source, read_file, []).settings([(None, ini.parse(text))])


class _Merge:
    """Makes the settings of several sources: of each key, the last value that a source sets.

    Each section of each source is read by itself, so that what a later one replaces is found wrong all the same.
    """

    def __init__(self, source: str, read_file: ReadFile | None, problems: Iterable[SettingProblem]) -> None:
        self._source, self._read_file = source, read_file
        self._problems = list(problems)
        self._incomplete = bool(self._problems)  # a file could not be read
        self._values: dict[str, Any] = {attribute: {} for _, _, attribute in schema.NAMED_SECTIONS.values()}
        self._lines: dict[tuple[str, str], int | None] = {}
        self._files: dict[tuple[str, str], str] = {}  # of the same places, where it is not the INI file
        self._failed: set[str] = set()

    def settings(
        self,
        texts: Sequence[_Source],
        variables: Sequence[_Source] = (),
        misnamed: Iterable[SettingProblem] = (),
        folder: str = "",
    ) -> Settings:
        """Return the settings.

        Args:
            texts: the files.
            variables: those of the environment, which come after the files.
            misnamed: problems with the names of variables.
            folder: of the INI file.

        Raises:
            SettingsError: with every problem.
        """
        for source, document in (*texts, *variables):
            self._document(source, document)
        self._problems += misnamed
        settings = Settings(
            **self._values,
            lines=self._lines,
            files=self._files,
            folder=folder,
            further=tuple(file for file, _ in texts if file is not None),
            variables=tuple(name for name, _ in variables if name is not None),
        )
        # Of a section with errors there are only defaults, which are not in the file: do not compare them.
        if not self._incomplete and not self._failed & {"policy", "exempt", "milter", "dns", "web"}:
            self._problems.extend(contradictions(settings))
        if self._problems:
            raise SettingsError(self._source, self._problems)
        return settings

    def _document(self, file: str | None, document: ini.Document) -> None:
        """Take in what one source says."""
        problems = list(document.problems)
        seen: dict[str, int | None] = {}  # the sections of this text that carry a name, by their normalized name
        for section in (*document.sections.values(), *document.repeated):
            known = schema.SECTIONS.get(section.name)
            name = section.name
            value = None
            if known is not None:
                attribute, model = known
                value = _validated(section, model, problems, self._read_file)
                if value is not None:
                    self._values[attribute] = _merged(self._values.get(attribute), value)
                else:
                    self._failed.add(attribute)
            else:
                repeated = document.sections[section.name] is not section
                name = self._named_section(section, seen, problems, repeated=repeated)
            self._note(file, name, section)
        self._problems += [problem if problem.file else replace(problem, file=file) for problem in problems]

    def _note(self, file: str | None, name: str, section: ini.Section) -> None:
        """Note where the section and its keys stand."""
        for key, line in (("", section.line), *((key, entry.line) for key, entry in section.entries.items())):
            if key or (name, key) not in self._lines:
                self._lines[name, key] = line
                self._files.pop((name, key), None)
                if file is not None:
                    self._files[name, key] = file

    def _named_section(
        self, section: ini.Section, seen: dict[str, int | None], problems: list[SettingProblem], *, repeated: bool
    ) -> str:
        """Take in a section such as ``[domain:example.com]``; return its normalized name."""

        def report(message: str) -> None:
            problems.append(SettingProblem(message=message, line=section.line, section=section.name))

        kind, colon, text = section.name.partition(":")
        known = schema.NAMED_SECTIONS.get(kind)
        if known is None or not colon:
            report(f"there is no such section{_section_suggestion(kind, section.name)}")
            return section.name
        model, read_name, attribute = known
        value = _validated(section, model, problems, self._read_file)
        try:
            name = read_name(text.strip())
        except ValueError as error:
            report(str(error))
            return section.name
        whole = f"{kind}:{name}"
        if whole in seen:
            if not repeated:  # or the INI reader has said it
                report(f"means the same as the section in line {seen[whole]}: merge the two")
        elif value is not None:
            self._values[attribute][name] = _merged(self._values[attribute].get(name), value)
        seen.setdefault(whole, section.line)
        return whole


def _merged(former: schema.SectionModel | None, value: schema.SectionModel) -> schema.SectionModel:
    """Return a section with the keys of both, the later value of each."""
    if former is None:
        return value
    return former.model_copy(update={name: getattr(value, name) for name in value.model_fields_set})


def _validated(
    section: ini.Section,
    model: type[schema.SectionModel],
    problems: list[SettingProblem],
    read_file: ReadFile | None,
) -> schema.SectionModel | None:
    """Return the section as its model; add its errors to ``problems``."""
    by_key = {schema.key_of(model, attribute): attribute for attribute in model.model_fields}
    given = {}
    for key, entry in section.entries.items():
        swallowed = list(_swallowed(entry, section, by_key))
        problems.extend(swallowed)
        if key not in by_key:
            message = f"there is no such key{_suggestion(key, by_key) or _elsewhere(key)}"
            problems.append(SettingProblem(message=message, line=entry.line, section=section.name, key=key))
        elif not swallowed:
            given[key] = entry.value
    try:
        value = model.model_validate(given, context=read_file)
    except ValidationError as error:
        problems.extend(_of_pydantic(error, section))
        return None
    for key in given:
        info = model.model_fields[by_key[key]]
        chosen = getattr(value, by_key[key])
        if schema.LATER in info.metadata and chosen != info.default:
            default = to_ini(info.default)
            leave = f"leave it at {default!r}" if default else "leave it empty"
            message = f"{ini.quoted(to_ini(chosen))} is not available yet in this version; {leave}"
            problems.append(
                SettingProblem(message=message, line=section.entries[key].line, section=section.name, key=key)
            )
    return value


def _swallowed(entry: ini.Entry, section: ini.Section, known: Collection[str]) -> Iterator[SettingProblem]:
    """Yield a problem for each key or section that is part of the value above it because it is indented."""
    for number, text in entry.continuation:
        header, key = ini.header_in(text), ini.key_in(text)
        if header in schema.SECTIONS or (key is not None and key in known):
            message = (
                f"{ini.quoted(text)} is indented, and so continues the value of {entry.key} in line {entry.line}: "
                "remove the blanks before it"
            )
            yield SettingProblem(message=message, line=number, section=section.name)


def _of_pydantic(error: ValidationError, section: ini.Section) -> Iterator[SettingProblem]:
    """Yield pydantic's errors in the words of the file."""
    for finding in error.errors():
        key = str(finding["loc"][0])
        entry = section.entries[key]
        if finding["type"] == "value_error":
            raised = finding["ctx"]["error"]
            message = str(raised)
            if isinstance(raised, EntriesError):
                for path, line, wrong in raised.found:
                    yield SettingProblem(message=wrong, file=path, line=line, section=section.name, key=key)
                if not message:
                    continue
        else:  # every kind of value has its own reader, so that this is said by none of the present ones
            message = f"{ini.quoted(entry.value)}: {finding['msg'][0].lower()}{finding['msg'][1:]}"
        if _REMARK.search(entry.value):
            message += " (a comment stands on a line of its own)"
        yield SettingProblem(message=message, line=entry.line, section=section.name, key=key)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _elsewhere(key: str) -> str:
    """Return which sections have the key; or where all keys are listed."""
    have = [f"[{name}]" for name, (_, model) in schema.SECTIONS.items() if schema.attribute_of(model, key) is not None]
    return f" here; {' and '.join(have)} can have it" if have else "; man spfmilter.ini lists all keys"


def _section_suggestion(kind: str, name: str) -> str:
    """Return a suggestion for a section; those that carry a name are known by their kind."""
    named = difflib.get_close_matches(kind.lower(), list(schema.NAMED_SECTIONS), n=1)
    if named and kind != name:
        return f"; did you mean [{named[0]}:{name.partition(':')[2].strip()}]?"
    close = difflib.get_close_matches(name.lower(), [*schema.SECTIONS, *schema.NAMED_SECTIONS], n=1)
    if not close:
        return "; man spfmilter.ini lists all sections"
    return (
        f"; did you mean [{close[0]}:NAME]?" if close[0] in schema.NAMED_SECTIONS else f"; did you mean [{close[0]}]?"
    )
