"""What the tables say of a verdict: the rows of all sections that apply to it, the most particular first.

Knows the order (recipient, then domain, then the general table of the identity), how a domain finds its section, and
that inside a section a condition goes before its plain result. Knows nothing of pardons, stages and modes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from spfmilter.addresses import patterns_of
from spfmilter.model import (
    CONDITIONS,
    Addressee,
    Condition,
    Disposition,
    Identity,
    Rule,
    Verdict,
)
from spfmilter.policy.evidence import Evidence
from spfmilter.settings import Settings
from spfmilter.settings.schema import OnError, PolicyEntries

_TABLES = {identity: f"policy.{identity}" for identity in Identity}
_GIVEN, _NOT_GIVEN = "the condition is given", "the condition is not given"
_APPLIES, _EMPTY = "this is the row of the result", "empty, so that the next section speaks"


class AppliedEntry(NamedTuple):
    """What one row says of one verdict; a tuple, since there are two for each message that passes."""

    disposition: Disposition
    identity: Identity  # whose table was looked at; for a null sender not always the verdict's own
    verdict: Verdict
    section: str
    key: str
    condition: Condition | None  # whose entry this is; None: the plain result's

    def rule(self, settings: Settings, remark: str = "") -> Rule:
        """The row, as a line of the settings."""
        if self.verdict.fault is not None:
            return on_fault(settings)[1]
        rule = settings.rule(self.section, self.key)
        return replace(rule, remark=remark) if remark else rule


def domain_section(domain: str, settings: Settings) -> str | None:
    """The name of the ``[domain:...]`` section for a domain: its own, else the longest ``.name`` above it."""
    return next((name for name in patterns_of(domain) if name in settings.domains), None) if domain else None


def sections(
    verdict: Verdict, identity: Identity, settings: Settings, addressee: Addressee
) -> list[tuple[str, PolicyEntries]]:
    """The sections that may speak, the most particular first, by name.

    A domain's section is about the domain in the MAIL FROM address: a bounce has none.
    """
    found: list[tuple[str, PolicyEntries]] = []
    if addressee.section:
        found.append((f"recipient:{addressee.section}", settings.recipients[addressee.section]))
    if settings.domains and identity is Identity.MAILFROM and not verdict.check.null_sender:
        name = domain_section(verdict.check.domain, settings)
        if name is not None:
            found.append((f"domain:{name}", settings.domains[name]))
    found.append((_TABLES[identity], settings.table(identity)))
    return found


def applied_entries(
    verdict: Verdict, settings: Settings, evidence: Evidence, addressee: Addressee
) -> list[AppliedEntry]:
    """What is called for; for a null sender by the tables of both identities, as far as they are checked."""
    if verdict.fault is not None:
        return [AppliedEntry(on_fault(settings)[0], verdict.check.identity, verdict, "milter", "on_error", None)]
    if not verdict.check.null_sender:
        return [_applied_entry(verdict, verdict.check.identity, settings, evidence, addressee)]
    wanted = [identity for identity in Identity if identity in settings.policy.check]  # HELO first, as in ``plan``
    return [_applied_entry(verdict, identity, settings, evidence, addressee) for identity in wanted]


def _applied_entry(
    verdict: Verdict, identity: Identity, settings: Settings, evidence: Evidence, addressee: Addressee
) -> AppliedEntry:
    result, condition = verdict.result, CONDITIONS.get(verdict.result)
    for name, entries in sections(verdict, identity, settings, addressee):
        finer = entries.entry(condition) if condition is not None else None
        if finer is not None and condition is not None:
            given = evidence.holds(condition, verdict)
            evidence.note(name, condition, _GIVEN if given else _NOT_GIVEN, applied=given)
            if given:
                return AppliedEntry(finer, identity, verdict, name, condition, condition)
        plain = entries.entry(result)
        evidence.note(name, result, _APPLIES if plain is not None else _EMPTY, applied=plain is not None)
        if plain is not None:
            return AppliedEntry(plain, identity, verdict, name, result, None)
    raise AssertionError(f"[policy.{identity}] has no row for {result}")  # its rows cannot be empty


def on_fault(settings: Settings) -> tuple[Disposition, Rule]:
    """What stands in the place of a row where the evaluation itself has failed."""
    chosen = settings.milter.on_error
    disposition = Disposition.DEFER if chosen is OnError.TEMPFAIL else Disposition.ACCEPT
    return disposition, settings.rule("milter", "on_error")


def asks_for(condition: Condition, settings: Settings) -> bool:
    """Whether any row anywhere is about a condition."""
    tables: list[PolicyEntries] = [
        settings.mailfrom,
        settings.helo,
        *settings.domains.values(),
        *settings.recipients.values(),
    ]
    return any(entries.entry(condition) is not None for entries in tables)
