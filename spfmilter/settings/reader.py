"""INI text in; the typed, frozen settings of the daemon out, or every problem with its section, key and line.

Knows how the file, its schema and its problems fit together. ``parse`` is pure; ``load`` reads the file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spfmilter import ownership, units
from spfmilter.settings import ini, schema
from spfmilter.settings.consistency import contradictions
from spfmilter.settings.effective import Settings
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.values import to_ini

DEFAULT_PATH = Path("/etc/spfmilter/spfmilter.ini")
_REMARK = re.compile(r"(?:^|\s)[;#]")  # in a value that is wrong: probably meant as a comment


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds every error, ``source`` the name of the file."""

    def __init__(self, source: str, problems: Iterable[SettingProblem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))

    def counted(self) -> str:
        """Return how many problems there are in which file, as a phrase."""
        number = len(self.problems)
        return f"{number} {'problem' if number == 1 else 'problems'} in {self.source}"


def load(path: Path) -> Settings:
    """Read the settings from a file.

    Raises:
        SettingsError: the file cannot be read, or holds problems.
    """
    try:
        with path.open("rb") as file:
            data = file.read(ini.SIZE_LIMIT + 1)  # one more than is taken, so that decode() can refuse it
    except FileNotFoundError:
        message = "there is no such file: write it, or name another with -c FILE"
        raise SettingsError(str(path), [SettingProblem(message=message)]) from None
    except OSError as error:
        message = f"cannot be read: {error.strerror}{_advice(error, path)}"
        raise SettingsError(str(path), [SettingProblem(message=message)]) from None
    text, problems = ini.decode(data)
    if problems:
        raise SettingsError(str(path), problems)
    return parse(text, str(path))


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


def parse(text: str, source: str = "settings") -> Settings:
    """Read the settings from an INI text.

    Raises:
        SettingsError: with every problem of the text, not only the first.
    """
    document = ini.parse(text)
    problems = list(document.problems)
    values: dict[str, Any] = {attribute: {} for _, _, attribute in schema.NAMED_SECTIONS.values()}
    lines: dict[tuple[str, str], int] = {}
    failed: set[str] = set()
    for section in (*document.sections.values(), *document.repeated):
        known = schema.SECTIONS.get(section.name)
        name = section.name
        if known is not None:
            attribute, model = known
            value = _validated(section, model, problems)
            if value is not None:
                values[attribute] = value
            else:
                failed.add(attribute)
        else:
            repeated = document.sections[section.name] is not section
            name = _named_section(section, values, lines, problems, repeated=repeated)
        lines.setdefault((name, ""), section.line)
        lines |= {(name, key): entry.line for key, entry in section.entries.items()}
    settings = Settings(**values, lines=lines)
    # Of a section with errors there are only defaults, which are not in the file: do not compare them.
    if not failed & {"policy", "exempt", "milter", "dns", "web"}:
        problems.extend(contradictions(settings))
    if problems:
        raise SettingsError(source, problems)
    return settings


def _validated(
    section: ini.Section, model: type[schema.SectionModel], problems: list[SettingProblem]
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
        value = model.model_validate(given)
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


def _named_section(
    section: ini.Section,
    values: dict[str, Any],
    lines: Mapping[tuple[str, str], int],
    problems: list[SettingProblem],
    *,
    repeated: bool,
) -> str:
    """Add a section such as ``[domain:example.com]`` to ``values``; return its normalized name."""

    def report(message: str) -> None:
        problems.append(SettingProblem(message=message, line=section.line, section=section.name))

    kind, colon, text = section.name.partition(":")
    known = schema.NAMED_SECTIONS.get(kind)
    if known is None or not colon:
        report(f"there is no such section{_section_suggestion(kind, section.name)}")
        return section.name
    model, read_name, attribute = known
    value = _validated(section, model, problems)
    try:
        name = read_name(text.strip())
    except ValueError as error:
        report(str(error))
        return section.name
    whole = f"{kind}:{name}"
    if (whole, "") in lines:
        if not repeated:  # or the INI reader has said it
            report(f"means the same as the section in line {lines[whole, '']}: merge the two")
    elif value is not None:
        values[attribute][name] = value
    return whole


def _of_pydantic(error: ValidationError, section: ini.Section) -> Iterator[SettingProblem]:
    """Yield pydantic's errors in the words of the file."""
    for finding in error.errors():
        key = str(finding["loc"][0])
        entry = section.entries[key]
        if finding["type"] == "value_error":
            message = str(finding["ctx"]["error"])
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
