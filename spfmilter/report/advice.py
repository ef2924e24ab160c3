"""What an administrator can do about a finding: a command, or a line of the INI file, ready to copy. Pure.

Every name here is untrusted input. What the INI file would not take as a name is put into no command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from spfmilter.caseid import FORM
from spfmilter.settings import Settings, names

_CASE = re.compile(FORM)
_LONG = 10  # values of a list that are not written out


@dataclass(frozen=True, slots=True)
class NextStep:
    """One thing that can be done."""

    kind: str  # command, or ini
    purpose: str  # what comes of it, such as "let it in for 30 days"
    text: str  # the command, or the line


def command(purpose: str, *words: str) -> NextStep:
    """Return a command of spfmilter, quoted for a shell."""
    return NextStep("command", purpose, shlex.join(("spfmilter", *words)))


def why(case: str | None) -> tuple[NextStep, ...]:
    """Return the command that explains a case; none if the journal holds no case id."""
    return (command("see the newest case", "why", case),) if case is not None and _CASE.fullmatch(case) else ()


def exempt(option: str, value: str, *more: str, days: int, because: str) -> NextStep:
    """Return the command that lets somebody in for some days."""
    words = ("exempt", "add", option, value, *more, "--for", f"{days}d", "--because", because)
    return command(f"let it in for {days} days", *words)


def listed(key: str, value: str, settings: Settings) -> NextStep:
    """Return the line of ``[exempt]`` with one more value; of a long list, which value to add."""
    present = settings.rule("exempt", key).value
    if present.count(",") >= _LONG:
        line = f"{key}: with {value}"
    else:
        line = f"{key} = {present}, {value}" if present else f"{key} = {value}"
    return NextStep("ini", f"let it in for good, {_place(key, settings)}", line)


def without(key: str, value: str, values: Sequence[str], settings: Settings) -> NextStep:
    """Return the line of ``[exempt]`` with one value less; of a long list, which value to take out."""
    left = ", ".join(other for other in values if other != value)
    line = f"{key}: without {value}" if len(values) > _LONG else f"{key} = {left}".rstrip()
    return NextStep("ini", f"remove it, {_place(key, settings)}", line)


def _place(key: str, settings: Settings) -> str:
    place = settings.rule("exempt", key).place
    return f"in [exempt] at {place}" if place else "in [exempt]"


def is_name(text: str) -> bool:
    """Return whether a text is a domain as the INI file takes it."""
    try:
        return names.domain_name(text) == text
    except ValueError:
        return False
