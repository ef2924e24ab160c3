"""A decision as a row of the journal: which columns there are, and how a transaction becomes one.

Knows the columns and their limits. Knows no database: a worker makes rows, and another process writes them. A recipient
is never in a row. The local part of the sender is, only if the settings want it.
"""

from __future__ import annotations

from typing import NamedTuple

from spfmilter.addresses import dns_domain
from spfmilter.model import Condition, Identity, Transaction, Verdict
from spfmilter.text import unicode_line

NAME_LIMIT = 255  # characters of a name from outside: a domain, HELO, a host
TEXT_LIMIT = 500  # characters of a term, a problem, a rule

Cell = str | int | bytes | None
Row = tuple[Cell, ...]


class Decision(NamedTuple):
    """One row of the journal, in the order of its columns. Texts are sanitized and shortened; None: there is none."""

    time: int  # milliseconds since 1970-01-01 UTC, when the decision was recorded
    host: str  # the MTA's own name
    queue_id: str | None  # of the MTA; none for most messages refused before DATA
    case_id: str | None  # ``caseid``; none for a message that was simply accepted
    client: str | None  # the address that was checked; None: unknown, or a local client
    client_name: str | None  # what the MTA calls the client
    relay: str | None  # our own server that handed the message on
    helo: str | None
    sender_local: str | None  # only with [journal] local_parts
    sender_domain: str | None  # ASCII, lower case; None: the null sender, or no domain
    authenticated: int  # 1: the client had logged in
    mailfrom_result: str | None  # an SPF result; None: not evaluated
    mailfrom_condition: str | None
    mailfrom_problem: str | None  # ``ProblemKind``
    helo_result: str | None
    helo_condition: str | None
    helo_problem: str | None
    decided_by: str | None  # the identity whose verdict decided: helo or mailfrom
    term: str | None  # of the deciding verdict
    term_domain: str | None
    problem_text: str | None
    skip: str | None  # ``SkipReason``
    override: str | None  # ``OverrideType``
    override_by: str | None
    action: str  # ``Disposition``: what was done
    would: str | None  # in monitor mode: what enforce mode would have done
    rule: str  # the line of the settings that decided, as the log writes it
    recipient_rules: int  # 1: rules of recipients took part
    ended: str  # message, refused, abandoned
    lookups: int  # terms that cost a lookup, of all evaluations together
    void_lookups: int
    elapsed: int  # milliseconds that the evaluations took
    answers: bytes | None  # the DNS answers from which the verdicts were made; None for a plain accept


COLUMNS = Decision._fields
_NO_CHECK: tuple[Cell, Cell, Cell] = (None, None, None)  # result, condition, problem


def row_of(ended: Transaction, *, time: int, host: str, local_parts: bool = False, answers: bytes | None = None) -> Row:
    """Return the row for a transaction.

    Args:
        ended: the transaction.
        time: now, in milliseconds since 1970 UTC.
        host: the MTA's name where the transaction does not tell.
        local_parts: whether to keep the local part of the sender.
        answers: the DNS answers, packed.
    """
    facts, action = ended.facts, ended.action
    client, path, override = facts.client, facts.reverse_path, action.override
    mailfrom = helo = _NO_CHECK
    lookups = void = 0
    elapsed = 0.0
    for verdict in ended.verdicts:
        found = _found(verdict, action.condition if verdict is action.verdict else None)
        if verdict.check.identity is Identity.MAILFROM:
            mailfrom = found
        else:
            helo = found
        lookups, void = lookups + verdict.lookups, void + verdict.void_lookups
        elapsed += verdict.elapsed
    return (
        time,
        _text(facts.hostname or host) or "",
        _text(ended.queue_id),
        ended.case or None,
        str(client.address) if client.address is not None else None,
        _text(client.name),
        str(facts.relay.address) if facts.relay is not None and facts.relay.address is not None else None,
        _text(facts.helo),
        _text(path.local) if local_parts else None,
        _text(dns_domain(path.domain) or path.domain.lower()),
        int(bool(facts.authenticated)),
        *mailfrom,
        *helo,
        *_deciding(action.verdict),
        ended.plan.skip.value if ended.plan.skip is not None else None,
        override.type.value if override is not None else None,
        _text(override.by) if override is not None else None,
        action.disposition.value,
        action.would.value if action.would is not None else None,
        _text(str(action.rule), TEXT_LIMIT) or "",
        int(bool(ended.recipients)),
        ended.ended,
        lookups,
        void,
        round(elapsed * 1000),
        answers,
    )


def _found(verdict: Verdict, applied: Condition | None) -> tuple[Cell, Cell, Cell]:
    condition, problem = applied or verdict.condition, verdict.problem
    return (
        verdict.result.value,
        condition.value if condition is not None else None,
        problem.kind.value if problem is not None else None,
    )


def _deciding(verdict: Verdict | None) -> tuple[Cell, Cell, Cell, Cell]:
    if verdict is None:
        return None, None, None, None
    problem = verdict.problem
    return (
        verdict.check.identity.value,
        _text(verdict.term, TEXT_LIMIT),
        _text(verdict.term_domain),
        _text(problem.text, TEXT_LIMIT) if problem is not None else None,
    )


def _text(text: str | None, limit: int = NAME_LIMIT) -> str | None:
    """Return a text from outside as a database takes it: one line, no NUL, no half of a surrogate pair."""
    return unicode_line(text, limit) if text else None
