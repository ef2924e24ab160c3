"""Show a checked message to people and machines: the tree of terms, result, rule, reply and header fields.

Knows the layout only. Evaluates and decides nothing. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from spfmilter.commands.tree import STYLES, identity_name, milliseconds, verdict_tree
from spfmilter.edits import Edits, HeaderField, Replacement
from spfmilter.evaluation.recordflaws import record_flaws
from spfmilter.model import (
    EXEMPTION,
    Action,
    Condition,
    Consideration,
    Facts,
    IPAddress,
    LookupStep,
    Plan,
    RecordStep,
    Rule,
    Verdict,
)
from spfmilter.reply import Reply, flaw_text, problem_text
from spfmilter.text import unicode_line

_PLAIN = "not bold default"
_LABEL = 14  # columns
_SHOWN_VALUE = 4000  # characters of a list in the INI file


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderAdvice:
    """The client's names in the reverse DNS, and what to set if it is a forwarder."""

    address: IPAddress
    ptr: LookupStep
    names: tuple[LookupStep, ...]  # the lookup of each name's addresses
    confirmed: frozenset[str]  # the names that have the client's address
    wanted: bool  # a listed forwarder's message would be treated otherwise
    lines: tuple[Rule, ...]  # of the INI file, each of which is enough; ``line``: the one to replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """Everything about one message that was checked by hand."""

    facts: Facts
    plan: Plan
    verdicts: tuple[Verdict, ...]
    action: Action
    reply: Reply | None
    edits: Edits
    considered: tuple[Consideration, ...] = ()  # the lines of the settings that were considered, in order
    forwarder: ForwarderAdvice | None = None  # None: not asked for, or the message was not checked


def as_json(explained: Explained, *, rules: bool = False) -> dict[str, object]:
    """Return the message for machines. Keys that the log has, too, are named as there.

    ``rules``: whether to list all considered rules, and what is known of a forwarder.
    """
    facts, action = explained.facts, explained.action
    considered = [{"rule": rule_json(one.rule), "applied": one.applied, "why": one.why} for one in explained.considered]
    return {
        "client": str(facts.client.address) if facts.client.address else None,
        "helo": facts.helo,
        "mail_from": str(facts.reverse_path),
        "skip": explained.plan.skip,
        "verdicts": [verdict_json(verdict, explained.action) for verdict in explained.verdicts],
        "action": action.disposition,
        "would": action.would,
        "override": None
        if action.override is None
        else {"type": action.override.type, "by": action.override.by or None},
        "rule": rule_json(action.rule),
        **({"considered": considered, **_forwarder_json(explained.forwarder)} if rules else {}),
        "reply": str(explained.reply).split("\n") if explained.reply else None,
        "headers": [{"name": field.name, "value": field.value} for field in _fields(explained)],
        "quarantine": explained.edits.quarantine,
    }


def _forwarder_json(advice: ForwarderAdvice | None) -> dict[str, object]:
    names = advice.names if advice is not None else ()
    return {
        "reverse_names": [
            {"name": step.name, "confirmed": advice is not None and step.name in advice.confirmed} for step in names
        ],
        "forwarder_settings": [rule_json(rule) for rule in advice.lines] if advice is not None else [],
    }


def rule_json(rule: Rule) -> dict[str, object]:
    """Return a line of the settings for machines."""
    return {
        "section": rule.section,
        "key": rule.key,
        "value": rule.value,
        "file": rule.file or None,
        "line": rule.line,
        "remark": rule.remark or None,
    }


def verdict_json(verdict: Verdict, action: Action | None = None) -> dict[str, object]:
    """Return a verdict for machines, with its tree. ``action``: the one that it led to, if there is one."""
    problem = verdict.problem
    return {
        "identity": verdict.check.identity,
        "domain": verdict.check.domain or None,
        "result": verdict.result,
        "condition": _condition(verdict, action),
        "pinned": bool(verdict.check.record),
        "term": verdict.term,
        "record": verdict.term_domain,
        "problem": None
        if problem is None
        else {"kind": problem.kind, "text": problem.text, "term": problem.term, "domain": problem.domain},
        "explanation": verdict.explanation,
        "flaws": [
            {"kind": flaw.kind, "term": flaw.term, "instead": flaw.instead or None, "text": flaw_text(flaw)}
            for flaw in record_flaws(verdict)
        ],
        "lookups": verdict.lookups,
        "void": verdict.void_lookups,
        "ms": milliseconds(verdict.elapsed),
        "ttl": verdict.ttl,
        "tree": _record_json(verdict.trace) if verdict.trace else None,
    }


def _record_json(record: RecordStep) -> dict[str, object]:
    return {
        "domain": record.domain,
        "text": record.text,
        "unread": record.unread,
        "lookups": [_lookup_json(lookup) for lookup in record.lookups],
        "terms": [
            {
                "term": term.text,
                "matched": term.matched,
                "lookups": [_lookup_json(lookup) for lookup in term.lookups],
                "record": _record_json(term.record) if term.record else None,
            }
            for term in record.terms
        ],
    }


def _lookup_json(lookup: LookupStep) -> dict[str, object]:
    return {
        "name": lookup.name,
        "type": lookup.type,
        "outcome": lookup.outcome,
        "answers": list(lookup.answers),
        "ms": milliseconds(lookup.elapsed),
        "nameservers": [{"address": server, "said": said or None} for server, said in lookup.heard],
    }


def as_text(explained: Explained, *, rules: bool = False) -> RenderableType:
    """Return the message for a person at a terminal: a tree for each identity, then the decision."""
    parts: list[RenderableType] = []
    for verdict in explained.verdicts:
        parts += [verdict_tree(verdict), Text()]
    if rules:
        parts += [*_rules(explained.considered), Text()]
    if explained.forwarder is not None:
        parts += [*_forwarder(explained.forwarder), Text()]
    return Group(*parts, *_rows(explained))


def _rules(considered: Iterable[Consideration]) -> Iterator[RenderableType]:
    """Yield the considered rules, and mark those that applied."""
    yield Text("rules looked at", style="bold")
    for one in considered:
        mark = "→" if one.applied else "·"
        text = Text(f"{mark} {_rule(one.rule)}: {one.why}", style="" if one.applied else "dim")
        yield indented([text])


def _forwarder(advice: ForwarderAdvice) -> Iterator[RenderableType]:
    """Yield the client's reverse names, and the lines to set if it is a forwarder."""
    yield Text(f"reverse names of {advice.address}", style="bold")
    if not advice.names:
        why = "its names cannot be looked up" if advice.ptr.answers else advice.ptr.outcome
        yield _Lines((Text(f"· none: {why}", style="dim"),), "  ", "  ")
    for step in advice.names:
        if step.name in advice.confirmed:
            text = Text(f"→ {unicode_line(step.name)}: confirmed, the name has this address")
        else:
            why = "the name has other addresses" if step.answers else step.outcome
            text = Text(f"· {unicode_line(step.name)}: not confirmed, {why}", style="dim")
        yield indented([text])
    if not advice.wanted:
        return
    yield Text()
    if not advice.lines:
        yield Text("if you know this client as a forwarder", style="bold")
        why = "it has no confirmed name, and no domain of its names lets it send"
        yield _Lines((Text(f"no line in [exempt] forwarders or forwarder_spf fits: {why}"),), "  ", "  ")
        return
    either = ", either of these lines" if len(advice.lines) > 1 else ", this line"
    yield Text(f"if you know this client as a forwarder{either} accepts its mail", style="bold")
    lines = [Text("[exempt]")]
    for rule in advice.lines:
        lines.append(Text(unicode_line(f"{rule.key} = {rule.value}", _SHOWN_VALUE)))
        if rule.place:
            lines.append(Text(f"# in place of {rule.place}", style="dim"))
    yield indented(lines)


def _rule(rule: Rule) -> str:
    is_default = not rule.place and rule.section not in {"", EXEMPTION} and ":" not in rule.section
    return f"{rule} (the default)" if is_default else f"{rule}"


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines that keep their breaks. A line too long for the terminal continues below, indented."""

    lines: tuple[Text, ...]
    first: str  # before the first line
    others: str  # before the others

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for place, line in enumerate(self.lines):
            before = self.first if place == 0 else self.others
            room = max(options.max_width - len(before) - 2, 20)
            for piece, text in enumerate(line.wrap(console, room, overflow="fold")):
                text.rstrip()
                yield Text.assemble((before, "bold") if piece == 0 else self.others + "  ", text)


def _rows(explained: Explained) -> Iterator[RenderableType]:
    action = explained.action
    if explained.plan.skip is not None:
        yield row("not checked", Text(explained.plan.skip))
    for verdict in explained.verdicts:
        yield row(identity_name(verdict), _result(verdict, _condition(verdict, action)))
    yield row("rule", Text(_rule(action.rule)))
    if action.override is not None and action.override.by:
        yield row("override by", Text(unicode_line(action.override.by)))
    done = f"{action.disposition}" + (f" (monitor mode; would be: {action.would})" if action.would else "")
    yield row("action", Text(done, style="bold"))
    if explained.edits.quarantine is not None:
        yield row("held because", Text(explained.edits.quarantine))
    if explained.reply is not None:
        yield from _block("reply", str(explained.reply).split("\n"))
    if fields := [f"{field.name}: {field.value}" for field in _fields(explained)]:
        yield from _block("header fields", "\n".join(fields).split("\n"))


def _fields(explained: Explained) -> tuple[HeaderField | Replacement, ...]:
    """Return the header fields that are inserted or replaced."""
    return *explained.edits.insert, *explained.edits.replace


def row(label: str, value: Text) -> RenderableType:
    """Return a label and its value. A value too long for the terminal continues below, beside the label."""
    return _Lines((value,), f"{label:<{_LABEL}}", " " * _LABEL)


def indented(lines: Iterable[Text]) -> RenderableType:
    """Return lines that stand below a heading."""
    return _Lines(tuple(lines), "  ", "  ")


def _block(label: str, lines: Iterable[str]) -> Iterator[RenderableType]:
    """Yield lines as they are sent, below their label: beside the label they would not fit into 80 columns."""
    yield _Lines((Text(),), label, "")
    yield indented(Text(line) for line in lines)


def _condition(verdict: Verdict, action: Action | None) -> Condition | None:
    """Return the condition that decided, for the verdict that decided; else the one that its record shows."""
    decided = action is not None and verdict is action.verdict and action.condition is not None
    return action.condition if action is not None and decided else verdict.condition


def _result(verdict: Verdict, condition: Condition | None) -> Text:
    text = Text(verdict.result, style=STYLES[verdict.result])
    if condition is not None:
        text.append(f" ({condition})", style=_PLAIN)
    if verdict.check.record:
        text.append("  by the record in the settings, not the published one", style=_PLAIN)
    if verdict.term is not None:
        where = unicode_line(verdict.term_domain or verdict.check.domain)
        text.append(f'  matched "{unicode_line(verdict.term)}" of {where}', style=_PLAIN)
    if verdict.problem is not None:
        text.append(f"  {problem_text(verdict.problem)}", style=_PLAIN)
    return text
