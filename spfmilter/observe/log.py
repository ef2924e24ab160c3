"""The log: one function per event.

Knows the events and their keys. Untrusted input passes the sanitizer (``text``) before it becomes part of a line: in
``targets``, which knows the forms of a line and the places where it goes. Recipients are never logged.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from spfmilter.addresses import is_idna2008
from spfmilter.model import Condition, Facts, Override, Transaction, Verdict
from spfmilter.observe.sink import hold_standard_descriptors
from spfmilter.observe.targets import Event, Target, Value, open_target
from spfmilter.settings.schema import LogSection
from spfmilter.text import NAME_LIMIT

_LOGGER = logging.getLogger("spfmilter")
_PATH_LIMIT = 320  # characters of a reverse-path in the log
_STRAY_LIMIT = 1024  # characters of captured output without a line break; longer output is logged at once
_MAX_ANSWERS = 20  # records of one lookup


def configure(settings: LogSection) -> None:
    """Send the log to the configured target. If that is not possible, use stderr and log a warning."""
    _LOGGER.setLevel(settings.level.upper())
    _LOGGER.propagate = False
    logging.raiseExceptions = False  # an error in logging must not be printed to stderr
    old = _targets()
    if [(target.section.to, target.section.format) for target in old] == [(settings.to, settings.format)]:
        return  # keep the target, with its waiting lines
    target, trouble = open_target(settings)
    _LOGGER.handlers[:] = [target]
    for before in old:
        before.close()
        target.sink.inherit(before.sink)
    if trouble:
        warning("log target unavailable, using stderr", target=settings.to, reason=trouble, fix="[log] to")


def _targets() -> list[Target]:
    return [target for target in _LOGGER.handlers if isinstance(target, Target)]


def flush() -> None:
    """Write the lines that could not be written before. Call this about once a second."""
    for target in _targets():
        target.flush()


def lost() -> int:
    """Return how many lines this process has lost so far."""
    return sum(target.sink.lost for target in _targets())


def forked(child: int) -> None:
    """Drop the waiting lines in a process that was just forked: the parent writes them.

    ``child`` is a number that no other living child has.
    """
    for target in _targets():
        target.sink.forget(child)


def ended(child: int) -> None:
    """Count, in the parent, the lines that an ended child could not write as lost."""
    for target in _targets():
        target.sink.bury(child)


class _Stray(io.TextIOBase):
    """Replace sys.stdout and sys.stderr: log what Python or a library prints."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Log the complete lines, and keep the rest."""
        *lines, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > _STRAY_LIMIT:
            lines, self._begun = [*lines, self._begun], ""
        for line in lines:
            if line.strip():
                warning("unexpected output", text=line)
        return len(text)


def capture_output() -> None:
    """Log all output of this process, since printing a traceback or a warning could block on a slow reader.

    A daemon calls this before it opens anything and before it configures its log.
    """
    with suppress(OSError):  # there is no /dev/null
        hold_standard_descriptors()
    sys.stdout = sys.stderr = _Stray()


def _event(level: int, event: str, fields: Mapping[str, Value], trace: str = "") -> None:
    if _LOGGER.isEnabledFor(level):
        _LOGGER.handle(Event(level, event, fields, trace))


def debug(event: str, **fields: Value) -> None:
    """Log a detail that helps to explain the decision about a message."""
    _event(logging.DEBUG, event, fields)


def info(event: str, **fields: Value) -> None:
    """Log information for the administrator."""
    _event(logging.INFO, event, fields)


def warning(event: str, **fields: Value) -> None:
    """Log a condition that the administrator should check."""
    _event(logging.WARNING, event, fields)


def error(event: str, **fields: Value) -> None:
    """Log a failure."""
    _event(logging.ERROR, event, fields)


def fault(where: str, trace: str, **fields: Value) -> None:
    """Log an internal error with its traceback. ``on_error`` decides about the message."""
    _event(logging.ERROR, "internal error", {"where": where, **fields}, trace)


def lookup(  # noqa: PLR0913 - what is known of a lookup
    name: str, rdtype: str, outcome: str, answers: Sequence[str], *, reason: str, ttl: int, seconds: float
) -> None:  # fmt: skip
    """Log one answer of the DNS, at level debug. The answers are untrusted input."""
    more: dict[str, Value] = {"answers": " | ".join(answers[:_MAX_ANSWERS])} if answers else {}
    more |= {"reason": reason} if reason else {"ttl": ttl}
    debug("lookup", name=name, type=rdtype, outcome=outcome, **more, ms=round(seconds * 1000, 1))


def _details(ended: Transaction) -> None:
    """Log the plan of a message and each of its verdicts, at level debug."""
    common: dict[str, Value] = {"queue_id": ended.queue_id} if ended.queue_id else {}
    checks = ",".join(f"{check.identity}:{check.domain or '(none)'}" for check in ended.plan.checks)
    plan: dict[str, Value] = {"checks": checks} if ended.plan.skip is None else {"skip": ended.plan.skip}
    plan |= {"rule": str(ended.plan.rule)} if ended.plan.rule is not None else {}
    debug("plan", **common, **_said(ended.facts), **plan)
    for verdict in ended.verdicts:
        kept: dict[str, Value] = {"ttl": verdict.ttl} if verdict.ttl is not None else {}
        found = _deciding(verdict, verdict.condition)
        debug("verdict", **common, result=verdict.result, **found, **_costs([verdict]), **kept)


def transaction(ended: Transaction) -> None:
    """Log one transaction, from MAIL FROM to its end or abort."""
    if _LOGGER.isEnabledFor(logging.DEBUG):
        _details(ended)
    if _LOGGER.isEnabledFor(logging.INFO):
        _event(logging.INFO, "message", transaction_fields(ended))
    for verdict in ended.verdicts:
        if verdict.fault is not None:
            fault("evaluation", verdict.fault, queue_id=ended.queue_id, domain=verdict.check.domain)


def transaction_fields(ended: Transaction) -> dict[str, Value]:
    """Return the keys of a transaction's line. Keys without a value are left out.

    Untrusted input is shortened here and sanitized when the line is written.
    """
    action = ended.action
    fields: dict[str, Value] = {"queue_id": ended.queue_id} if ended.queue_id else {}
    fields |= _said(ended.facts)
    for verdict in ended.verdicts:
        fields[f"spf_{verdict.check.identity}"] = verdict.result
    if action.verdict is not None:
        fields |= _deciding(action.verdict, action.condition or action.verdict.condition)
    if ended.plan.skip is not None:
        fields["skip"] = ended.plan.skip
    if action.override is not None:
        fields |= _override(action.override)
    fields["action"] = action.disposition
    if action.would is not None:
        fields["would"] = action.would
    fields |= {"rcpt": ",".join(ended.recipients)[:_PATH_LIMIT]} if ended.recipients else {}
    fields |= {"refused": ended.refused} if ended.refused else {}  # recipients
    fields |= {"separated": ended.separated} if ended.separated else {}
    fields |= {"refused_rcpt": ",".join(ended.refused_recipients)} if ended.refused_recipients else {}
    fields["rule"] = str(action.rule)
    fields |= {"case": ended.case} if ended.case else {}
    if ended.ended != "message":
        fields["ended"] = ended.ended
    fields |= {"forged": ended.removed} if ended.removed else {}
    fields |= {"untagged": ended.untagged} if ended.untagged else {}
    return fields | _costs(ended.verdicts) if ended.verdicts else fields


def _said(facts: Facts) -> dict[str, Value]:
    fields: dict[str, Value] = {"client": str(facts.client.address or ("local" if facts.client.local else "unknown"))}
    if facts.client.name:
        fields["name"] = facts.client.name[:NAME_LIMIT]
    if facts.relay is not None:
        fields["relay"] = str(facts.relay.address)
    if facts.helo:
        fields["helo"] = facts.helo[:NAME_LIMIT]
    fields["from"] = f"<{facts.reverse_path}>"[:_PATH_LIMIT]
    if not (is_idna2008(facts.reverse_path.domain) and is_idna2008(facts.helo or "")):
        fields["idna"] = "uts46"
    if facts.authenticated:
        fields["auth"] = facts.authenticated[:NAME_LIMIT]
    return fields


def _override(override: Override) -> Mapping[str, Value]:
    return {"override": override.type} | ({"override_by": override.by} if override.by else {})


def _costs(verdicts: Iterable[Verdict]) -> dict[str, Value]:
    lookups, void, elapsed = 0, 0, 0.0
    for verdict in verdicts:
        lookups, void, elapsed = lookups + verdict.lookups, void + verdict.void_lookups, elapsed + verdict.elapsed
    return {"lookups": lookups, "void": void, "ms": round(elapsed * 1000, 1)}


def _deciding(verdict: Verdict, condition: Condition | None) -> dict[str, Value]:
    check, problem = verdict.check, verdict.problem
    fields: dict[str, Value] = {"identity": check.identity}
    if check.domain:
        fields["domain"] = check.domain
    if verdict.term:
        fields["term"] = verdict.term[:NAME_LIMIT]
    if condition is not None:
        fields["condition"] = condition
    if check.record:
        fields["pinned"] = "yes"
    if verdict.term_domain and verdict.term_domain != check.domain:
        fields["record"] = verdict.term_domain
    if problem is not None:
        fields |= {"problem": problem.text, "problem_kind": problem.kind}
        if problem.term:
            fields["problem_term"] = problem.term
    return fields
