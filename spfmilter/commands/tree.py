"""Draw the tree of an evaluation: records, their terms, each term's lookups, and the term that decided.

Knows the layout only. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from spfmilter.model import Identity, LookupStep, ProblemKind, RecordStep, Result, TermStep, Verdict
from spfmilter.reply import problem_text
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
_SHOWN_TEXT = 1000  # characters of a record


def verdict_tree(verdict: Verdict) -> Tree:
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
        _add_record(tree, verdict.trace)
    if verdict.explanation:
        tree.add(Text(f"the domain's own explanation: {unicode_line(verdict.explanation)}", style="italic"))
    if verdict.problem is not None:
        tree.add(Text(problem_text(verdict.problem), style="magenta"))
    return tree


def _add_record(tree: Tree, record: RecordStep, above: tuple[RecordStep, ...] = ()) -> None:
    """Add a record. ``above``: the records that led to it, the first one first."""
    text, style = _text(record)
    branch = tree.add(Text.assemble((unicode_line(record.domain), "bold"), "  ", (text, style)))
    own = [lookup for lookup in record.lookups if lookup.name == record.domain]
    for lookup in own:
        _add_lookup(branch, lookup, published=record.unread is not None)
    for term in record.terms:
        _add_term(branch, term, (*above, record))
    for lookup in record.lookups:
        if lookup not in own:  # the lookup for the explanation, made after the terms had decided
            _add_lookup(branch, lookup)


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


def _add_term(tree: Tree, term: TermStep, above: tuple[RecordStep, ...]) -> None:
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
        _add_lookup(branch, lookup, published=broke_off)
    if term.record is not None:
        _add_record(branch, term.record, above)


def _add_lookup(tree: Tree, lookup: LookupStep, *, published: bool = False) -> None:
    """Add a lookup. ``published``: with the SPF records in its answer, none of which was read."""
    branch = tree.add(_lookup(lookup))
    if published and lookup.type == "TXT":
        records = [text for text in lookup.answers if text.split(" ", 1)[0].lower() == _VERSION]
        for text in records[:_SHOWN_ANSWERS]:
            branch.add(Text(unicode_line(text, _SHOWN_TEXT), style="cyan"))


def _lookup(lookup: LookupStep) -> Text:
    text = Text.assemble((f"{lookup.type} {unicode_line(lookup.name)}: ", "dim"))
    if lookup.answers and lookup.type != "TXT":
        shown = ", ".join(unicode_line(answer) for answer in lookup.answers[:_SHOWN_ANSWERS])
        more = len(lookup.answers) - _SHOWN_ANSWERS
        text.append(shown + (f" and {more} more" if more > 0 else ""))
    else:
        text.append(unicode_line(lookup.outcome))
    text.append(f"  {milliseconds(lookup.elapsed)} ms", style="dim")
    return text


def identity_name(verdict: Verdict) -> str:
    """Return what people call the identity of a verdict."""
    return "HELO" if verdict.check.identity is Identity.HELO else "MAIL FROM"


def milliseconds(seconds: float) -> float:
    """Return a time as it is shown: in milliseconds, with one decimal."""
    return round(seconds * 1000, 1)
