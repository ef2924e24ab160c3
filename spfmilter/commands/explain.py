"""Show a checked message to people and machines: the tree of terms, result, rule, reply and header fields.

Knows the layout only. Evaluates and decides nothing. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from spfmilter.model import (
    Action,
    Condition,
    Consideration,
    Edits,
    Facts,
    HeaderField,
    Identity,
    LookupStep,
    Plan,
    RecordStep,
    Replacement,
    Result,
    Rule,
    TermStep,
    Verdict,
)
from spfmilter.reply import Reply, problem_text
from spfmilter.text import unicode_line

_STYLES = {
    Result.PASS: "bold green",
    Result.FAIL: "bold red",
    Result.SOFTFAIL: "bold yellow",
    Result.PERMERROR: "bold magenta",
    Result.TEMPERROR: "bold magenta",
    Result.NEUTRAL: "bold",
    Result.NONE: "bold",
}
_PLAIN = "not bold default"
_QUALIFIERS = {"-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
_LABEL = 14  # columns
_SHOWN_ANSWERS = 6
_SHOWN_TEXT = 1000  # characters of a record


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


def as_json(explained: Explained, *, rules: bool = False) -> dict[str, object]:
    """Return the message for machines. Keys that the log has, too, are named as there.

    ``rules``: whether to list all considered rules.
    """
    facts, action = explained.facts, explained.action
    considered = [
        {"rule": _rule_json(one.rule), "applied": one.applied, "why": one.why} for one in explained.considered
    ]
    return {
        "client": str(facts.client.address) if facts.client.address else None,
        "helo": facts.helo,
        "mail_from": str(facts.reverse_path),
        "skip": explained.plan.skip,
        "verdicts": [_verdict_json(verdict, explained.action) for verdict in explained.verdicts],
        "action": action.disposition,
        "would": action.would,
        "override": None
        if action.override is None
        else {"type": action.override.type, "by": action.override.by or None},
        "rule": _rule_json(action.rule),
        **({"considered": considered} if rules else {}),
        "reply": str(explained.reply).split("\n") if explained.reply else None,
        "headers": [{"name": field.name, "value": field.value} for field in _fields(explained)],
        "quarantine": explained.edits.quarantine,
    }


def _rule_json(rule: Rule) -> dict[str, object]:
    return {
        "section": rule.section,
        "key": rule.key,
        "value": rule.value,
        "line": rule.line,
        "remark": rule.remark or None,
    }


def _verdict_json(verdict: Verdict, action: Action) -> dict[str, object]:
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
        "lookups": verdict.lookups,
        "void": verdict.void_lookups,
        "ms": _ms(verdict.elapsed),
        "ttl": verdict.ttl,
        "tree": _record_json(verdict.trace) if verdict.trace else None,
    }


def _record_json(record: RecordStep) -> dict[str, object]:
    return {
        "domain": record.domain,
        "text": record.text,
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
        "ms": _ms(lookup.elapsed),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def as_text(explained: Explained, *, rules: bool = False) -> RenderableType:
    """Return the message for a person at a terminal: a tree for each identity, then the decision."""
    parts: list[RenderableType] = []
    for verdict in explained.verdicts:
        parts += [verdict_tree(verdict), Text()]
    if rules:
        parts += [*_rules(explained.considered), Text()]
    return Group(*parts, *_rows(explained))


def _rules(considered: Iterable[Consideration]) -> Iterator[RenderableType]:
    """Yield the considered rules, and mark those that applied."""
    yield Text("rules looked at", style="bold")
    for one in considered:
        mark = "✔" if one.applied else "·"
        text = Text(f"{mark} {_rule(one.rule)}: {one.why}", style="" if one.applied else "dim")
        yield _Lines((text,), "  ", "  ")


def _rule(rule: Rule) -> str:
    is_default = rule.line is None and rule.section and ":" not in rule.section
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


def _rows(explained: Explained) -> Iterator[_Lines]:
    action = explained.action
    if explained.plan.skip is not None:
        yield _row("not checked", Text(explained.plan.skip))
    for verdict in explained.verdicts:
        yield _row(_identity(verdict), _result(verdict, _condition(verdict, action)))
    yield _row("rule", Text(_rule(action.rule)))
    if action.override is not None and action.override.by:
        yield _row("override by", Text(unicode_line(action.override.by)))
    done = f"{action.disposition}" + (f" (monitor mode; would be: {action.would})" if action.would else "")
    yield _row("action", Text(done, style="bold"))
    if explained.edits.quarantine is not None:
        yield _row("held because", Text(explained.edits.quarantine))
    if explained.reply is not None:
        yield from _block("reply", str(explained.reply).split("\n"))
    if fields := [f"{field.name}: {field.value}" for field in _fields(explained)]:
        yield from _block("header fields", "\n".join(fields).split("\n"))


def _fields(explained: Explained) -> tuple[HeaderField | Replacement, ...]:
    """Return the header fields that are inserted or replaced."""
    return *explained.edits.insert, *explained.edits.replace


def _row(label: str, value: Text) -> _Lines:
    return _Lines((value,), f"{label:<{_LABEL}}", " " * _LABEL)


def _block(label: str, lines: Iterable[str]) -> Iterator[_Lines]:
    """Yield lines as they are sent, below their label: beside the label they would not fit into 80 columns."""
    yield _Lines((Text(),), label, "")
    yield _Lines(tuple(Text(line) for line in lines), "  ", "  ")


def _condition(verdict: Verdict, action: Action) -> Condition | None:
    """Return the condition that decided, for the verdict that decided; else the one that its record shows."""
    decided = verdict is action.verdict and action.condition is not None
    return action.condition if decided else verdict.condition


def _identity(verdict: Verdict) -> str:
    return "HELO" if verdict.check.identity is Identity.HELO else "MAIL FROM"


def _result(verdict: Verdict, condition: Condition | None) -> Text:
    text = Text(verdict.result, style=_STYLES[verdict.result])
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


def verdict_tree(verdict: Verdict) -> Tree:
    """Return the tree of an evaluation: records, their terms, and each term's lookups. Mark the term that decided."""
    check = verdict.check
    title = Text(f"{_identity(verdict)} {unicode_line(check.as_sent) or '(empty)'}", style="bold")
    sender = ", for the empty MAIL FROM" if check.null_sender else ""
    title.append(f"{sender} from {check.address}: ", style="not bold")
    title.append(verdict.result, style=_STYLES[verdict.result])
    terms = f"{verdict.lookups} lookup term{'s' if verdict.lookups != 1 else ''}"
    title.append(f"  ({terms}, {verdict.void_lookups} void, {_ms(verdict.elapsed)} ms)", style="dim not bold")
    tree = Tree(title)
    if verdict.trace is not None:
        _add_record(tree, verdict.trace)
    if verdict.explanation:
        tree.add(Text(f"the domain's own explanation: {unicode_line(verdict.explanation)}", style="italic"))
    if verdict.problem is not None:
        tree.add(Text(problem_text(verdict.problem), style="magenta"))
    return tree


def _add_record(tree: Tree, record: RecordStep) -> None:
    text = unicode_line(record.text, _SHOWN_TEXT) if record.text is not None else "no SPF record"
    domain = unicode_line(record.domain)
    branch = tree.add(Text.assemble((domain, "bold"), "  ", (text, "cyan" if record.text else "dim")))
    own = [lookup for lookup in record.lookups if lookup.name == record.domain]
    for lookup in own:
        branch.add(_lookup(lookup))
    for term in record.terms:
        _add_term(branch, term)
    for lookup in record.lookups:
        if lookup not in own:  # the lookup for the explanation, made after the terms had decided
            branch.add(_lookup(lookup))


def _add_term(tree: Tree, term: TermStep) -> None:
    """Add a term: passed over, matched (with the result for its record), or the one at which the evaluation ended."""
    shown = unicode_line(term.text)
    if term.matched:
        result = _QUALIFIERS.get(term.text[:1], Result.PASS)
        label = Text.assemble(f"✔ {shown}  ", (result, _STYLES[result]))
    elif term.matched is not None:
        label = Text(f"· {shown}", style="dim")
    elif term.record is not None:
        label = Text(f"→ {shown}")
    else:
        label = Text(f"✘ {shown}", style="magenta")
    branch = tree.add(label)
    for lookup in term.lookups:
        branch.add(_lookup(lookup))
    if term.record is not None:
        _add_record(branch, term.record)


def _lookup(lookup: LookupStep) -> Text:
    text = Text.assemble((f"{lookup.type} {unicode_line(lookup.name)}: ", "dim"))
    if lookup.answers and lookup.type != "TXT":
        shown = ", ".join(unicode_line(answer) for answer in lookup.answers[:_SHOWN_ANSWERS])
        more = len(lookup.answers) - _SHOWN_ANSWERS
        text.append(shown + (f" and {more} more" if more > 0 else ""))
    else:
        text.append(unicode_line(lookup.outcome))
    text.append(f"  {_ms(lookup.elapsed)} ms", style="dim")
    return text
