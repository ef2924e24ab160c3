"""What an administrator can do about a finding: a command, or a line of the INI file, ready to copy. Pure.

Every name here is untrusted input. What the INI file would not take as a name is put into no command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from spfmilter.addresses import parse_address
from spfmilter.caseid import FORM
from spfmilter.settings import Settings, names
from spfmilter.settings.values import network

_CASE = re.compile(FORM)
_LONG = 10  # values of a list that are not written out


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that can be done."""

    kind: str  # command, or ini
    text: str

    @property
    def words(self) -> str:
        """Return what to do with the text."""
        return "run" if self.kind == "command" else "or write"


def command(*words: str) -> Step:
    """Return a command of spfmilter, quoted for a shell."""
    return Step("command", shlex.join(("spfmilter", *words)))


def why(case: str | None) -> tuple[Step, ...]:
    """Return the command that explains a case; none if the journal holds no case id."""
    return (command("why", case),) if case is not None and _CASE.fullmatch(case) else ()


def exempt(option: str, value: str, *more: str, days: int, because: str) -> Step:
    """Return the command that lets somebody in for some days."""
    return command("exempt", "add", option, value, *more, "--for", f"{days}d", "--because", because)


def listed(key: str, value: str, settings: Settings) -> Step:
    """Return the line of ``[exempt]`` with one more value."""
    present = settings.rule("exempt", key)
    place = f"[exempt]{f' (line {present.line})' if present.line is not None else ''} {key}"
    if present.value.count(",") >= _LONG:
        return Step("ini", f"{place}: with {value}")
    return Step("ini", f"{place} = {present.value}, {value}" if present.value else f"{place} = {value}")


def without(key: str, value: str, values: Sequence[str], settings: Settings) -> Step:
    """Return the line of ``[exempt]`` with one value less; of a long list, which value to take out."""
    present = settings.rule("exempt", key)
    place = f"[exempt]{f' (line {present.line})' if present.line is not None else ''} {key}"
    if len(values) > _LONG:
        return Step("ini", f"{place}: without {value}")
    return Step("ini", f"{place} = {', '.join(other for other in values if other != value)}".rstrip())


def is_name(text: str) -> bool:
    """Return whether a text is a domain as the INI file takes it."""
    try:
        return names.domain_name(text) == text
    except ValueError:
        return False


def is_client(text: str) -> bool:
    """Return whether a text is an address or a network as the INI file takes it."""
    try:
        network(text)
    except ValueError:
        return False
    return "/" in text or parse_address(text) is not None
