"""What would let a refused message in: commands to type, and lines of the INI file. Changes nothing.

Knows the narrowest way for each kind of sender. A name from outside goes into a command only if it is a plain one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter import caseid
from spfmilter.addresses import dns_domain, parse_address
from spfmilter.commands.explain import ForwarderAdvice
from spfmilter.commands.forwarder import is_writable, with_entry
from spfmilter.journal.rows import Decision
from spfmilter.model import Condition, Disposition, Result, Rule
from spfmilter.settings import DEFAULT_PATH, Settings

_LASTS = "7d"
_KEYS = frozenset(map(str, (*Result, *Condition)))  # of policy entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to let the message in: a command for some time, and lines of the INI file for good."""

    who: str  # whom it lets in
    command: str  # empty: there is none
    lines: tuple[Rule, ...]  # ``line``: the one to replace


def ways_in(
    row: Decision, forwarder: ForwarderAdvice | None, settings: Settings, path: Path = DEFAULT_PATH
) -> Iterator[Way]:
    """Yield the ways, the narrowest first; none for a message that was simply accepted.

    Args:
        row: the decision, cleaned.
        forwarder: what is known of the client now; None: nothing.
        settings: today's.
        path: the INI file.
    """
    address, case = parse_address(row.client or ""), _case(row)
    if address is None or not case or (row.would or row.action) == Disposition.ACCEPT:
        return
    domain = dns_domain(row.sender_domain or "").lower()
    domain = domain if is_writable(domain) else ""
    exempt = _Command(case, path)
    if domain:
        yield Way(
            who=f"mail from {domain}, from this client only",
            command=exempt.by_case(),
            lines=(with_entry("senders", f"{domain} from {address}", settings),),
        )
    yield Way(
        who="all mail from this client",
        command=exempt.by_option("network", str(address)) if domain else exempt.by_case(),
        lines=(with_entry("networks", str(address), settings),),
    )
    for rule in forwarder.lines if forwarder is not None else ():
        name = rule.value.rpartition(", ")[2]
        option, who = "forwarder", f"all that this forwarder hands on, by its host name {name}"
        if rule.key == "forwarder_spf":
            option, who = "forwarder-spf", f"all that this forwarder hands on, by the SPF record of {name}"
        yield Way(who=who, command=exempt.by_option(option, name), lines=(rule,))
    key = row.mailfrom_condition or row.mailfrom_result or ""
    if domain and row.decided_by == "mailfrom" and key in _KEYS:
        section = f"domain:{domain}"
        where = (section, key)
        line, file = settings.lines.get(where), settings.short_name(settings.files.get(where, ""))
        own = Rule(section=section, key=key, value="accept", line=line, file=file)
        yield Way(who=f"mail from {domain} with this result, from every client", command="", lines=(own,))


def _case(row: Decision) -> str:
    try:
        return caseid.read(row.case_id or "")
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class _Command:
    """``spfmilter exempt add`` for a case."""

    case: str
    path: Path

    def by_case(self) -> str:
        return self._written("case", self.case)

    def by_option(self, option: str, value: str) -> str:
        return f'{self._written(option, value)} --because "case {self.case}"'

    def _written(self, option: str, value: str) -> str:
        config = "" if self.path == DEFAULT_PATH else f" -c {shlex.quote(str(self.path))}"
        return f"spfmilter exempt add{config} --{option} {shlex.quote(value)} --for {_LASTS}"
