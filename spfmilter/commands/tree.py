"""Draw the tree of an evaluation: records, their terms, each term's lookups, and the term that decided.

Knows the layout only. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text
from rich.tree import Tree

from spfmilter.dns.answer import ANSWERED
from spfmilter.evaluation.recordflaws import record_flaws
from spfmilter.model import Identity, LookupStep, ProblemKind, RecordStep, Result, TermStep, Verdict
from spfmilter.reply import flaw_text, problem_text
from spfmilter.spf.loops import loop_at
from spfmilter.text import unicode_line

STYLES = {
    Result.PASS: "bold green",
    Result.FAIL: "bold red",
    Result.SOFTFAIL: "bold yellow",
    Result.PERMERROR: "bold magenta",
    Result.TEMPERROR: "bold magenta",
    Result.NEUTRAL: "bold",
    Result.NONE: "bold",
}
_QUALIFIERS = {"-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
# What stands before a term that matched. A check mark would read as "all is well", so only a pass has one.
_MARKS = {Result.PASS: "✔", Result.FAIL: "✘", Result.SOFTFAIL: "✘", Result.NEUTRAL: "○"}
_SHOWN_ANSWERS = 6
_VERSION = "v=spf1"  # RFC 7208 section 4.5
_SHOWN_FLAWS = 8  # of one record
_SHOWN_TEXT = 1000  # characters of a record

Question = tuple[str, str]  # type and name, in lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a tree shows of each lookup beside its answer and its time."""

    nameservers: bool = False  # who was asked, and what each said
    then: Mapping[Question, LookupStep] | None = None  # the lookups of an earlier evaluation: what differs is marked


_USUAL = Details()


def question(lookup: LookupStep) -> Question:
    """Return what a lookup asked."""
    return lookup.type, lookup.name.lower().removesuffix(".")


def differs(one: LookupStep, other: LookupStep) -> bool:
    """Return whether two answers to a question differ in what an evaluation reads: not in order, times or proofs."""
    return _content(one) != _content(other)


def _content(lookup: LookupStep) -> frozenset[str]:
    """Return the records that count. Most TXT records of a domain prove its ownership to other services."""
    if lookup.type != "TXT" or len(lookup.answers) < 2:
        return frozenset(lookup.answers or (lookup.outcome,))
    return frozenset(text for text in lookup.answers if text.lower().startswith("v="))


def verdict_tree(verdict: Verdict, details: Details = _USUAL) -> Tree:
    """Return the tree of an evaluation: records, their terms, and each term's lookups. Mark the term that decided."""
    check = verdict.check
    title = Text(f"{identity_name(verdict)} {unicode_line(check.as_sent) or '(empty)'}", style="bold")
    sender = ", for the empty MAIL FROM" if check.null_sender else ""
    title.append(f"{sender} from {check.address}: ", style="not bold")
    title.append(verdict.result, style=STYLES[verdict.result])
    terms = f"{verdict.lookups} lookup term{'s' if verdict.lookups != 1 else ''}"
    title.append(f"  ({terms}, {verdict.void_lookups} void, {milliseconds(verdict.elapsed)} ms)", style="dim not bold")
    tree = Tree(title)
    if verdict.trace is not None:
        _add_record(tree, verdict.trace, details)
    if verdict.explanation:
        tree.add(Text(f"the domain's own explanation: {unicode_line(verdict.explanation)}", style="italic"))
    if verdict.problem is not None:
        tree.add(Text(problem_text(verdict.problem), style="magenta"))
    for flaw in record_flaws(verdict)[:_SHOWN_FLAWS]:
        tree.add(Text(flaw_text(flaw), style="magenta"))
    return tree


def _add_record(tree: Tree, record: RecordStep, details: Details, above: tuple[RecordStep, ...] = ()) -> None:
    """Add a record. ``above``: the records that led to it, the first one first."""
    text, style = _text(record)
    branch = tree.add(Text.assemble((unicode_line(record.domain), "bold"), "  ", (text, style)))
    own = [lookup for lookup in record.lookups if lookup.name == record.domain]
    for lookup in own:
        _add_lookup(branch, lookup, details, published=record.unread is not None)
    for term in record.terms:
        _add_term(branch, term, details, (*above, record))
    for lookup in record.lookups:
        if lookup not in own:  # the lookup for the explanation, made after the terms had decided
            _add_lookup(branch, lookup, details)


def _text(record: RecordStep) -> tuple[str, str]:
    """Return the text of a record, or why there is none; and its style."""
    if record.text is not None:
        return unicode_line(record.text, _SHOWN_TEXT), "cyan"
    match record.unread:
        case None:
            return "no SPF record", "dim"
        case ProblemKind.SEVERAL_RECORDS:
            return "more than one SPF record", "magenta"
        case ProblemKind.NOT_ASCII:
            return "an SPF record that is not ASCII", "magenta"
        case ProblemKind.DNS_FAILURE | ProblemKind.OWN_RESOLVER | ProblemKind.TIME_LIMIT:
            return "the SPF record could not be looked up", "magenta"
        case _:
            return "the SPF record could not be read", "magenta"


def _add_term(tree: Tree, term: TermStep, details: Details, above: tuple[RecordStep, ...]) -> None:
    """Add a term: passed over, matched (with the result for its record), or the one at which the evaluation ended.

    A term that leads back to a record above ends the branch: the same terms would follow, until a limit is exceeded.
    """
    loop = loop_at(term, above)
    if loop is not None:
        verb = "redirects to" if loop.direct and term.redirects else "includes"
        subject = "it" if loop.direct else unicode_line(loop.domain)
        tree.add(Text(f"! {unicode_line(term.text)}  {subject} {verb} itself", style="magenta"))
        return
    shown = unicode_line(term.text)
    if term.matched:
        result = _QUALIFIERS.get(term.text[:1], Result.PASS)
        label = Text.assemble((_MARKS[result], STYLES[result]), f" {shown}  ", (result, STYLES[result]))
    elif term.matched is not None:
        label = Text(f"· {shown}", style="dim")
    elif term.record is not None:
        label = Text(f"→ {shown}")
    else:
        label = Text(f"! {shown}", style="magenta")
    branch = tree.add(label)
    broke_off = term.matched is None and term.record is None
    for lookup in term.lookups:
        _add_lookup(branch, lookup, details, published=broke_off)
    if term.record is not None:
        _add_record(branch, term.record, details, above)


def _add_lookup(tree: Tree, lookup: LookupStep, details: Details, *, published: bool = False) -> None:
    """Add a lookup. ``published``: with the SPF records in its answer, none of which was read."""
    branch = tree.add(_lookup(lookup, details))
    if published and lookup.type == "TXT":
        records = [text for text in lookup.answers if text.split(" ", 1)[0].lower() == _VERSION]
        for text in records[:_SHOWN_ANSWERS]:
            branch.add(Text(unicode_line(text, _SHOWN_TEXT), style="cyan"))


def _lookup(lookup: LookupStep, details: Details) -> Text:
    text = Text.assemble((f"{lookup.type} {unicode_line(lookup.name)}: ", "dim"), _answer(lookup))
    text.append(f"  {milliseconds(lookup.elapsed)} ms", style="dim")
    if details.nameservers:
        text.append(f"  {nameservers(lookup)}", style="dim")
    if details.then is not None:
        then = details.then.get(question(lookup))
        if then is None:
            text.append("  ≠ not asked then", style="bold")
        elif differs(lookup, then):
            text.append(f"  ≠ then: {_records(then) or _answer(then)}", style="bold")
    return text


def _answer(lookup: LookupStep) -> str:
    if not lookup.answers or lookup.type == "TXT":
        return unicode_line(lookup.outcome)
    shown = ", ".join(unicode_line(answer) for answer in lookup.answers[:_SHOWN_ANSWERS])
    more = len(lookup.answers) - _SHOWN_ANSWERS
    return shown + (f" and {more} more" if more > 0 else "")


def _records(lookup: LookupStep) -> str:
    """Return the text of TXT records that count, as the records of a tree are shown."""
    found = sorted(_content(lookup)) if lookup.type == "TXT" and lookup.answers else []
    return ", ".join(unicode_line(text, _SHOWN_TEXT) for text in found[:_SHOWN_ANSWERS])


def nameservers(lookup: LookupStep) -> str:
    """Return which nameservers were asked for a lookup, and what each said."""
    if not lookup.heard:
        return "no nameserver was asked"
    if len(lookup.heard) == 1 and lookup.heard[0][1] == ANSWERED:
        return f"from {unicode_line(lookup.heard[0][0])}"
    return ", ".join(f"{unicode_line(server)} {_said(said)}" for server, said in lookup.heard)


def _said(said: str) -> str:
    if said in {ANSWERED, ""}:
        return said or "did not answer"
    return f"said {unicode_line(said)}"


def identity_name(verdict: Verdict) -> str:
    """Return what people call the identity of a verdict."""
    return "HELO" if verdict.check.identity is Identity.HELO else "MAIL FROM"


def milliseconds(seconds: float) -> float:
    """Return a time as it is shown: in milliseconds, with one decimal."""
    return round(seconds * 1000, 1)
