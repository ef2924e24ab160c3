"""The settings in force: the values of the INI file, and defaults for all others.

Knows one attribute a section, and which line of which file, or which variable, sets a value. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from spfmilter.model import Identity, Rule
from spfmilter.settings import schema
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.lists import EntryList, Origin
from spfmilter.settings.values import to_ini
from spfmilter.spf.services import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the INI file with defaults; one attribute a section."""

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
    domains: Mapping[str, schema.DomainSection] = field(default_factory=dict)  # by the name of [domain:NAME]
    recipients: Mapping[str, schema.RecipientSection] = field(default_factory=dict)  # by the pattern
    services: Mapping[str, schema.ServiceSection] = field(default_factory=dict)  # by the name
    # (section, key) -> line in the file, key "" for the section itself; two files that say the same are equal settings
    # None: an environment variable sets it
    lines: Mapping[tuple[str, str], int | None] = field(default_factory=dict, compare=False, repr=False)
    # The same places -> the file, where it is one of conf.d; or the variable
    files: Mapping[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)
    further: tuple[str, ...] = field(default=(), compare=False, repr=False)  # the files of conf.d, in their order
    variables: tuple[str, ...] = field(default=(), compare=False, repr=False)  # those that set a key, sorted
    folder: str = field(default="", compare=False, repr=False)  # of the INI file
    _rules: dict[tuple[str, str], Rule] = field(default_factory=dict, init=False, compare=False, repr=False)  # a cache

    def table(self, identity: Identity) -> schema.ResultTable:
        """Return the policy table of an identity."""
        return self.helo if identity is Identity.HELO else self.mailfrom

    @property
    def own_services(self) -> tuple[Service, ...]:
        """Return the administrator's mail services."""
        return tuple(
            Service(name=name, include=section.include, hosts=tuple(section.hosts), provider=name)
            for name, section in self.services.items()
        )

    @property
    def public_name(self) -> str:
        """Return the mail server's name for people: of ``[headers]``, else of the help page's links; empty: none."""
        return self.headers.own_id or urlsplit(str(self.reply.help_url or "")).hostname or ""

    def rule(self, section: str, key: str, place: int | None = None) -> Rule:
        """Return the line of the file or the variable that sets a key, or the default, for the log and for people.

        Args:
            section: its name in the file, such as ``policy.mailfrom`` or ``domain:example.com``.
            key: its name in the file, such as ``pass``.
            place: of the entry that decided, if the value is a list. An entry of a list file is then the line.

        Raises:
            KeyError: these settings have no such section, or the section has no such key: an error of the caller.
        """
        if place is not None and (origin := self._origin(section, key, place)) is not None:
            return Rule(
                section=section, key=key, value=origin.text, line=origin.line, file=self.short_name(origin.path)
            )
        # Each message is decided by such a line, and most messages by the same few.
        rule = self._rules.get((section, key))
        if rule is None:
            value, line = to_ini(self._value(section, key)), self.lines.get((section, key))
            file = self.short_name(self.files.get((section, key), ""))
            rule = self._rules[section, key] = Rule(section=section, key=key, value=value, line=line, file=file)
        return rule

    def variable(self, section: str, key: str) -> str:
        """Return the environment variable that sets a key; empty: none does."""
        by_variable = (section, key) in self.lines and self.lines[section, key] is None
        return self.files.get((section, key), "") if by_variable else ""

    def _origin(self, section: str, key: str, place: int) -> Origin | None:
        value = self._value(section, key)
        return value.origin(place) if isinstance(value, EntryList) else None

    def short_name(self, path: str) -> str:
        """Return the name of a file: from the folder of the INI file on, if it is there, else from the root."""
        return path.removeprefix(f"{self.folder}/") if self.folder else path

    def problem(self, section: str, key: str, message: str, place: int | None = None) -> SettingProblem:
        """Return a problem with a key, or with an entry of its list; an empty key is the section itself."""
        origin = self._origin(section, key, place) if place is not None else None
        where = (section, key) if (section, key) in self.lines else (section, "")
        line, file = (origin.line, origin.path) if origin else (self.lines.get(where), self.files.get(where))
        return SettingProblem(message=message, line=line, file=file, section=section, key=key or None)

    def lists(self) -> Iterator[tuple[str, str, EntryList[Any]]]:
        """Yield each list that has list files, with its section and key."""
        sections = [(name, getattr(self, attribute)) for name, (attribute, _) in schema.SECTIONS.items()]
        for kind, (_, _, attribute) in schema.NAMED_SECTIONS.items():
            sections += [(f"{kind}:{name}", value) for name, value in getattr(self, attribute).items()]
        for section, model in sections:
            for name in type(model).model_fields:
                value = getattr(model, name)
                if isinstance(value, EntryList) and value.files:
                    yield section, schema.key_of(type(model), name), value

    def _value(self, section: str, key: str) -> object:
        found = self.section(section)
        attribute = schema.attribute_of(type(found), key) if found is not None else None
        if attribute is None:
            raise KeyError(f"[{section}] {key}")
        return getattr(found, attribute)

    def section(self, name: str) -> schema.SectionModel | None:
        """Return a section by its name in the file; None: these settings have no such section."""
        if name in schema.SECTIONS:
            found: schema.SectionModel = getattr(self, schema.SECTIONS[name][0])
            return found
        kind, _, own_name = name.partition(":")
        if kind not in schema.NAMED_SECTIONS:
            return None
        named: Mapping[str, schema.SectionModel] = getattr(self, schema.NAMED_SECTIONS[kind][2])
        return named.get(own_name)


def show(settings: Settings, *, changed: bool = False, variables: bool = False) -> str:
    """Return the effective settings as INI text with defaults; parsed again, it gives equal settings.

    Args:
        settings: those of the file.
        changed: only the keys that differ from their defaults. The text gives equal settings, too.
        variables: with a comment above each key that an environment variable sets.
    """
    blocks = []
    for section, (attribute, _) in schema.SECTIONS.items():
        lines = list(_shown(settings, section, getattr(settings, attribute), changed=changed, variables=variables))
        if lines or not changed:
            blocks.append("\n".join([f"[{section}]", *lines]))
    for kind, (_, _, attribute) in schema.NAMED_SECTIONS.items():
        for name, value in getattr(settings, attribute).items():
            section = f"{kind}:{name}"
            lines = list(_shown(settings, section, value, changed=changed, variables=variables))
            blocks.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def _shown(
    settings: Settings, section: str, value: schema.SectionModel, *, changed: bool, variables: bool
) -> Iterator[str]:
    """Yield the lines of a section; with ``variables``, a comment above each key that a variable sets."""
    model = type(value)
    for name, info in model.model_fields.items():
        chosen = getattr(value, name)
        if not changed or chosen != info.default:
            text = to_ini(chosen).replace("\n", "\n    ")
            key = schema.key_of(model, name)
            if variables and (name_of_variable := settings.variable(section, key)):
                yield f"# set by {name_of_variable}"
            yield f"{key} = {text}".rstrip()
