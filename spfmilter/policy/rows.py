"""What the tables say of a verdict: the rows of all sections that apply to it, the most particular first.

Knows the order (recipient, then domain, then the general table of the identity), how a domain finds its section, and
that inside a section a condition goes before its plain result. Knows nothing of pardons, stages and modes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spfmilter.addresses import patterns_of
from spfmilter.model import (
    ANYBODY,
    CONDITIONS,
    Addressee,
    Condition,
    Disposition,
    Identity,
    Result,
    Rule,
    Verdict,
)
from spfmilter.policy.evidence import Evidence
from spfmilter.settings import Settings
from spfmilter.settings.schema import OnError, Rows


@dataclass(frozen=True, slots=True)
class Treatment:
    """What one row says of one verdict."""

    disposition: Disposition
    identity: Identity  # whose table was looked at; for a null sender not always the verdict's own
    verdict: Verdict
    section: str
    key: str

    def rule(self, settings: Settings, remark: str = "") -> Rule:
        """The row, as a line of the settings."""
        if self.verdict.fault is not None:
            return on_fault(settings)[1]
        rule = settings.rule(self.section, self.key, self.disposition)
        return replace(rule, remark=remark) if remark else rule


def domain_section(domain: str, settings: Settings) -> str | None:
    """The name of the ``[domain:...]`` section for a domain: its own, else the longest ``.name`` above it."""
    return next((name for name in patterns_of(domain) if name in settings.domains), None) if domain else None


def sections(
    verdict: Verdict, identity: Identity, settings: Settings, addressee: Addressee = ANYBODY
) -> Iterator[tuple[str, Rows]]:
    """The sections that may speak, the most particular first, by name.

    A domain's section is about the domain in the MAIL FROM address: a bounce has none.
    """
    if addressee.section:
        yield f"recipient:{addressee.section}", settings.recipients[addressee.section]
    if settings.domains and identity is Identity.MAILFROM and not verdict.check.null_sender:
        name = domain_section(verdict.check.domain, settings)
        if name is not None:
            yield f"domain:{name}", settings.domains[name]
    yield f"policy.{identity}", settings.table(identity)


def treatments(
    verdict: Verdict, settings: Settings, evidence: Evidence, addressee: Addressee = ANYBODY
) -> list[Treatment]:
    """What is called for; for a null sender by the tables of both identities, as far as they are checked."""
    if verdict.fault is not None:
        return [Treatment(on_fault(settings)[0], verdict.check.identity, verdict, "milter", "on_error")]
    if not verdict.check.null_sender:
        return [_treatment(verdict, verdict.check.identity, settings, evidence, addressee)]
    wanted = [identity for identity in Identity if identity in settings.policy.check]  # HELO first, as in ``plan``
    return [_treatment(verdict, identity, settings, evidence, addressee) for identity in wanted]


def _treatment(
    verdict: Verdict, identity: Identity, settings: Settings, evidence: Evidence, addressee: Addressee
) -> Treatment:
    result, condition = verdict.result, CONDITIONS.get(verdict.result)
    for name, rows in sections(verdict, identity, settings, addressee):
        finer = rows.row(condition) if condition is not None else None
        if finer is not None and condition is not None and evidence.holds(condition, verdict):
            found = verdict if verdict.condition is condition else replace(verdict, condition=condition)
            return Treatment(finer, identity, found, name, condition)
        plain = rows.row(result)
        if plain is not None:
            return Treatment(plain, identity, verdict, name, result)
    raise AssertionError(f"[policy.{identity}] has no row for {result}")  # its rows cannot be empty


def on_fault(settings: Settings) -> tuple[Disposition, Rule]:
    """What stands in the place of a row where the evaluation itself has failed."""
    chosen = settings.milter.on_error
    disposition = Disposition.DEFER if chosen is OnError.TEMPFAIL else Disposition.ACCEPT
    return disposition, settings.rule("milter", "on_error", chosen)


def asks_for(condition: Condition, settings: Settings) -> bool:
    """Whether any row anywhere is about a condition."""
    tables: list[Rows] = [settings.mailfrom, settings.helo, *settings.domains.values(), *settings.recipients.values()]
    return any(rows.row(condition) is not None for rows in tables)


def keys_for(result: Result) -> tuple[Result | Condition, ...]:
    """The keys of the rows that can speak of a result, the finer first."""
    condition = CONDITIONS.get(result)
    return (result,) if condition is None else (condition, result)
