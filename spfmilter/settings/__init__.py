"""INI text in; the typed, frozen settings of the daemon out, or every problem with its section, key and line.

Knows how the file, its schema and its problems fit together. ``parse`` is pure; ``load`` reads the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from spfmilter.model import Identity, Rule
from spfmilter.settings import ini, schema
from spfmilter.settings.ini import Problem
from spfmilter.settings.types import to_ini

DEFAULT_PATH = Path("/etc/spfmilter/spfmilter.ini")

__all__ = ["DEFAULT_PATH", "Problem", "Settings", "SettingsError", "load", "parse", "show"]


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds every reason, ``source`` the file's name."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the INI file says, defaults filled in; one attribute a section."""

    milter: schema.MilterSection = field(default_factory=schema.MilterSection)
    policy: schema.PolicySection = field(default_factory=schema.PolicySection)
    mailfrom: schema.MailFromTable = field(default_factory=schema.MailFromTable)
    helo: schema.HeloTable = field(default_factory=schema.HeloTable)
    exempt: schema.ExemptSection = field(default_factory=schema.ExemptSection)
    relays: schema.RelaysSection = field(default_factory=schema.RelaysSection)
    reply: schema.ReplySection = field(default_factory=schema.ReplySection)
    headers: schema.HeadersSection = field(default_factory=schema.HeadersSection)
    dns: schema.DnsSection = field(default_factory=schema.DnsSection)
    log: schema.LogSection = field(default_factory=schema.LogSection)
    state: schema.StateSection = field(default_factory=schema.StateSection)
    journal: schema.JournalSection = field(default_factory=schema.JournalSection)
    metrics: schema.MetricsSection = field(default_factory=schema.MetricsSection)
    web: schema.WebSection = field(default_factory=schema.WebSection)
    lines: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (section, key) -> line in the file

    def table(self, identity: Identity) -> schema.ResultTable:
        """The policy table of an identity."""
        return self.helo if identity is Identity.HELO else self.mailfrom

    def rule(self, section: str, key: str, value: object) -> Rule:
        """The line of the file that says so, for the log and for people."""
        return Rule(section=section, key=key, value=to_ini(value), line=self.lines.get((section, key)))


def load(path: Path) -> Settings:
    """The settings in a file.

    Raises:
        SettingsError: the file cannot be read, or holds problems.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SettingsError(str(path), [Problem(message=f"cannot be read: {error.strerror}")]) from None
    text, problems = ini.decode(data)
    if problems:
        raise SettingsError(str(path), problems)
    return parse(text, str(path))


def parse(text: str, source: str = "settings") -> Settings:
    """The settings in an INI text.

    Raises:
        SettingsError: with every problem of the text, not only the first.
    """
    document = ini.parse(text)
    problems = list(document.problems)
    values: dict[str, schema.SectionModel] = {}
    for section in document.sections.values():
        known = schema.SECTIONS.get(section.name)
        if known is not None:
            attribute, model = known
            value = _validated(section, model, problems)
            if value is not None:
                values[attribute] = value
        else:
            _named_section(section, problems)
    if problems:
        raise SettingsError(source, problems)
    lines = {(name, key): entry.line for name, s in document.sections.items() for key, entry in s.entries.items()}
    return Settings(**values, lines=lines)  # type: ignore[arg-type]  # SECTIONS pairs each attribute with its model


def _validated(
    section: ini.Section, model: type[schema.SectionModel], problems: list[Problem]
) -> schema.SectionModel | None:
    """The section as its model; what is wrong is added to ``problems``."""
    by_key = {schema.key_of(model, attribute): attribute for attribute in model.model_fields}
    given = {}
    for key, entry in section.entries.items():
        if key in by_key:
            given[key] = entry.value
        else:
            hint = _suggestion(key, by_key)
            problems.append(
                Problem(message=f"there is no such key{hint}", line=entry.line, section=section.name, key=key)
            )
    try:
        value = model.model_validate(given)
    except ValidationError as error:
        problems.extend(_of_pydantic(error, section))
        return None
    for key in given:
        info = model.model_fields[by_key[key]]
        chosen = getattr(value, by_key[key])
        if schema.LATER in info.metadata and chosen != info.default:
            line = section.entries[key].line
            message = f"{to_ini(chosen)!r} is not available yet in this version; leave it at {to_ini(info.default)!r}"
            problems.append(Problem(message=message, line=line, section=section.name, key=key))
    return value


def _named_section(section: ini.Section, problems: list[Problem]) -> None:
    """A section such as ``[domain:example.com]``: checked whole, then refused, since its feature is to come."""
    kind, colon, name = section.name.partition(":")
    known = schema.NAMED_SECTIONS.get(kind)
    if known is None or not colon:
        hint = _suggestion(section.name, [*schema.SECTIONS, *(f"{kind}:..." for kind in schema.NAMED_SECTIONS)])
        problems.append(Problem(message=f"there is no such section{hint}", line=section.line, section=section.name))
        return
    model, read_name = known
    try:
        read_name(name.strip())
    except ValueError as error:
        problems.append(Problem(message=str(error), line=section.line, section=section.name))
    _validated(section, model, problems)
    message = f"[{kind}:...] sections are not available yet in this version"
    problems.append(Problem(message=message, line=section.line, section=section.name))


def _of_pydantic(error: ValidationError, section: ini.Section) -> Iterator[Problem]:
    """Pydantic's findings in the file's words."""
    for finding in error.errors():
        key = str(finding["loc"][0])
        entry = section.entries[key]
        match finding["type"]:
            case "value_error":
                message = str(finding["ctx"]["error"])
            case "too_short":
                message = "at least one is needed here"
            case "int_parsing" | "int_from_float":
                message = f"{entry.value!r} is not a whole number"
            case "string_pattern_mismatch":
                message = f"{entry.value!r} is neither auto nor a number from 1 to 99"
            case _:
                message = f"{entry.value!r}: {finding['msg'][0].lower()}{finding['msg'][1:]}"
        yield Problem(message=message, line=entry.line, section=section.name, key=key)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def show(settings: Settings) -> str:
    """The effective settings as an INI text, defaults included; parsed again it gives the same settings."""
    blocks = []
    for section, (attribute, model) in schema.SECTIONS.items():
        lines = [f"[{section}]"]
        value = getattr(settings, attribute)
        for name in model.model_fields:
            text = to_ini(getattr(value, name)).replace("\n", "\n    ")
            lines.append(f"{schema.key_of(model, name)} = {text}".rstrip())
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
