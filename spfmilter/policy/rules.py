"""The policy entry that applies to a verdict, from all sections of the settings.

Knows the order of the sections: recipient, then domain, then the table of the identity. In a section the entry of a
condition goes before that of its plain result. Knows how a domain finds its section. Knows no overrides and no modes.
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
from spfmilter.settings.schema import TABLES, OnError, PolicyEntries

_ON_ERROR = ("milter", "on_error")  # decides instead of an entry if the evaluation itself has failed
_MET, _NOT_MET = "the condition is met", "the condition is not met"
_APPLIES, _EMPTY = "this is the entry of the result", "empty, so the next section applies"


class AppliedEntry(NamedTuple):
    """The policy entry that applies to a verdict.

    A tuple, which is cheap to make: each message that passes has two.
    """

    disposition: Disposition
    identity: Identity  # whose table holds it; for a null sender not always the verdict's own
    verdict: Verdict
    section: str
    key: str
    condition: Condition | None  # whose entry this is; None: the plain result's
    afterwards: Disposition = Disposition.ACCEPT  # of a defer: once the mail has been deferred for long enough

    @property
    def own_fault(self) -> bool:
        """Whether a fault replaces the result: then ``on_error`` decides, and no override applies."""
        return self.section == _ON_ERROR[0]

    def rule(self, settings: Settings, remark: str = "") -> Rule:
        """Return the entry as a line of the settings, with a remark where it was not followed."""
        if self.own_fault:
            return on_fault(settings)[1]
        rule = settings.rule(self.section, self.key)
        return replace(rule, remark=remark) if remark else rule


def domain_section(domain: str, settings: Settings) -> str | None:
    """Return the name of the ``[domain:...]`` section for a domain: its own, else the longest ``.name`` above it."""
    return next((name for name in patterns_of(domain) if name in settings.domains), None) if domain else None


def sections(
    verdict: Verdict, identity: Identity, settings: Settings, addressee: Addressee
) -> list[tuple[str, PolicyEntries]]:
    """Return the sections that can apply, with their names, the most specific first.

    A domain's section is about the domain in the MAIL FROM address, so it never applies to a bounce.
    """
    found: list[tuple[str, PolicyEntries]] = []
    if addressee.section:
        found.append((f"recipient:{addressee.section}", settings.recipients[addressee.section]))
    if settings.domains and identity is Identity.MAILFROM and not verdict.check.null_sender:
        name = domain_section(verdict.check.domain, settings)
        if name is not None:
            found.append((f"domain:{name}", settings.domains[name]))
    found.append((TABLES[identity], settings.table(identity)))
    return found


def applied_entries(
    verdict: Verdict, settings: Settings, evidence: Evidence, addressee: Addressee
) -> list[AppliedEntry]:
    """Return the entries that apply: one, or for a null sender one from the table of each identity that is checked."""
    if verdict.fault is not None:
        return [AppliedEntry(on_fault(settings)[0], verdict.check.identity, verdict, *_ON_ERROR, None)]
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
            evidence.note(name, condition, _MET if given else _NOT_MET, applied=given)
            if given:
                return AppliedEntry(finer.disposition, identity, verdict, name, condition, condition, finer.afterwards)
        plain = entries.entry(result)
        evidence.note(name, result, _APPLIES if plain is not None else _EMPTY, applied=plain is not None)
        if plain is not None:
            return AppliedEntry(plain.disposition, identity, verdict, name, result, None, plain.afterwards)
    raise AssertionError(f"[policy.{identity}] has no entry for {result}")  # the schema requires one


def on_fault(settings: Settings) -> tuple[Disposition, Rule]:
    """Return the replacement for a policy entry if the evaluation itself has failed: ``[milter] on_error``."""
    chosen = settings.milter.on_error
    disposition = Disposition.DEFER if chosen is OnError.TEMPFAIL else Disposition.ACCEPT
    return disposition, settings.rule("milter", "on_error")


def asks_for(condition: Condition, settings: Settings) -> bool:
    """Return whether any section has an entry for a condition."""
    tables: list[PolicyEntries] = [
        settings.mailfrom,
        settings.helo,
        *settings.domains.values(),
        *settings.recipients.values(),
    ]
    return any(entries.entry(condition) is not None for entries in tables)
