"""Show a recorded decision to people and machines: what it was, its tree of then, the DNS now, and what lets it in.

Knows the layout only. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spfmilter.commands.explain import Explained, indented, row, rule_json, verdict_json
from spfmilter.commands.letin import Way
from spfmilter.commands.moment import Moment, RuleToday, local_time, lookups_of, utc_time
from spfmilter.commands.tree import STYLES, Details, differs, identity_name, question, verdict_tree
from spfmilter.journal.rows import Decision
from spfmilter.model import Result, Verdict
from spfmilter.text import unicode_line

_RECORDED = ("host", "queue_id", "client", "client_name", "relay", "helo", "sender_local", "sender_domain", "skip")
_DECIDED = ("decided_by", "term", "term_domain", "override", "override_by", "action", "would", "rule", "ended")
_SHOWN_VALUE = 4000  # characters of a list in the INI file


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Everything about one recorded decision. Its row is sanitized."""

    row: Decision
    moment: Moment
    rule: RuleToday | None  # None: no line of the INI file decided
    now: Explained | None  # None: not evaluated now
    not_now: str = ""  # why not
    ways: Sequence[Way] = ()

    @property
    def same_now(self) -> bool:
        """Return whether the DNS gives the same answers as then to all that is asked now."""
        then = self.moment.lookups()
        traces = [one.trace for one in self.now.verdicts if one.trace is not None] if self.now is not None else []
        asked = [step for trace in traces for step in lookups_of(trace)]
        return bool(asked) and all(question(step) in then and not differs(step, then[question(step)]) for step in asked)

    @property
    def accepted_now(self) -> bool:
        """Return whether the same message would simply be accepted now."""
        return self.now is not None and self.now.action.plain


# -- for people --------------------------------------------------------------------------------------------------------


def as_text(story: Story) -> RenderableType:
    """Return a decision for a person at a terminal."""
    parts: list[RenderableType] = [*_then(story), Text(), *_moment(story.moment), *_now(story)]
    if story.accepted_now and story.ways:
        parts += [Text("the same message would be accepted now", style="bold"), Text()]
    if story.ways:
        parts += [Text("what would let it in", style="bold"), *_ways(story.ways)]
    return Group(*parts)


def _then(story: Story) -> Iterator[RenderableType]:
    found = story.row
    yield row("case", Text(found.case_id or "none: the message was simply accepted", style="bold"))
    yield row("when", Text(local_time(found.time)))
    yield row("host", Text(found.host))
    if found.queue_id:
        yield row("queue id", Text(found.queue_id))
    name = f" ({found.client_name})" if found.client_name else ""
    behind = f", handed on by our relay {found.relay}" if found.relay else ""
    yield row("client", Text(f"{found.client or 'unknown'}{name}{behind}"))
    if found.authenticated:
        yield row("logged in", Text("yes"))
    yield row("HELO", _result(found, "helo", found.helo or "(none)"))
    yield row("MAIL FROM", _result(found, "mailfrom", sender_of(found)))
    if found.skip:
        yield row("not checked", Text(found.skip))
    yield row("rule", Text(found.rule))
    if story.rule is not None:
        yield row("rule today", Text(_today(story.rule)))
    if found.override:
        by = f" by {found.override_by}" if found.override_by else ""
        yield row("override", Text(f"{found.override}{by}"))
    yield row("action", Text(_action(found), style="bold"))


def sender_of(found: Decision) -> str:
    """Return the sender as the journal has it: its domain, and its local part if that was kept."""
    if not found.sender_domain:
        return found.sender_local or "<>"
    return f"{found.sender_local}@{found.sender_domain}" if found.sender_local else found.sender_domain


def _result(found: Decision, identity: str, name: str) -> Text:
    result, condition, problem = (getattr(found, f"{identity}_{what}") for what in ("result", "condition", "problem"))
    text = Text(name)
    if result is None:
        return text.append("  not evaluated", style="dim")
    text.append("  ").append(result, style=STYLES.get(_known(result), "bold"))
    if condition:
        text.append(f" ({condition})")
    if found.decided_by == identity and found.term:
        text.append(f'  matched "{found.term}" of {found.term_domain or name}')
    if problem:
        text.append(f"  {found.problem_text if found.decided_by == identity and found.problem_text else problem}")
    return text


def _known(result: str) -> Result:
    return Result(result) if result in set(Result) else Result.NONE


def _today(today: RuleToday) -> str:
    if today.rule is None:
        return "the INI file no longer has this section or key"
    if today.same:
        return "the same" + (f" ({today.rule.place})" if today.rule.place else " (the default)")
    return f"changed: {unicode_line(str(today.rule), _SHOWN_VALUE)}"


def _action(found: Decision) -> str:
    would = f" (monitor mode; would be: {found.would})" if found.would else ""
    recipients = "; recipients have rules of their own" if found.recipient_rules else ""
    ended = "; the client gave up before the end" if found.ended == "abandoned" else ""
    return f"{found.action}{would}{recipients}{ended}"


def _moment(moment: Moment) -> Iterator[RenderableType]:
    yield Text("from the answers of that moment", style="bold")
    if moment.missing:
        yield indented([Text(f"cannot be shown: {moment.missing}")])
    for verdict in moment.verdicts:
        yield verdict_tree(verdict, Details(nameservers=True))
    for doubt in moment.doubts:
        yield indented([Text(f"! {doubt}", style="magenta")])
    yield Text()


def _now(story: Story) -> Iterator[RenderableType]:
    if story.now is None and not story.not_now:
        return
    yield Text("what the DNS says now", style="bold")
    if story.now is None:
        yield from (indented([Text(story.not_now)]), Text())
        return
    if story.same_now:
        yield indented([Text("the same")])
    else:
        then = story.moment.lookups() if story.moment.verdicts else None
        for verdict in story.now.verdicts:
            yield verdict_tree(verdict, Details(nameservers=True, then=then))
    yield Text()
    yield Text("what would be done now", style="bold")
    yield indented(_done_now(story.row, story.now))
    yield Text()


def _done_now(found: Decision, now: Explained) -> Iterator[Text]:
    if now.plan.skip is not None:
        yield Text(f"not checked: {now.plan.skip}")
    for verdict in now.verdicts:
        yield _change(found, verdict)
    done = f"{now.action.disposition}" + (f" (monitor mode; would be: {now.action.would})" if now.action.would else "")
    same = now.action.disposition == found.action and now.action.would == found.would
    yield Text(f"action: {done}{', as then' if same else f' ≠ then: {_action(found)}'}")
    rule = unicode_line(str(now.action.rule), _SHOWN_VALUE)
    yield Text(f"rule: {rule}{', as then' if rule == found.rule else ''}")


def _change(found: Decision, verdict: Verdict) -> Text:
    then = getattr(found, f"{verdict.check.identity}_result")
    text = Text(f"{identity_name(verdict)}: ").append(verdict.result, style=STYLES[verdict.result])
    if then is None:
        return text.append(", not evaluated then")
    return text.append(", as then" if then == verdict.result else f" ≠ then: {then}")


def _ways(ways: Sequence[Way]) -> Iterator[RenderableType]:
    for way in ways:
        yield indented([Text(f"{way.who}:")])
        if way.command:
            yield indented([Text(f"  {way.command}", style="bold")])
        lines = [Text("  or in the INI file:" if way.command else "  in the INI file:")]
        for rule in way.lines:
            lines.append(Text(f"    [{rule.section}]"))
            lines.append(Text(f"    {unicode_line(f'{rule.key} = {rule.value}', _SHOWN_VALUE)}"))
            if rule.place:
                lines.append(Text(f"    # in place of {rule.place}", style="dim"))
        yield indented(lines)


def table(found: Sequence[Decision]) -> RenderableType:
    """Return several decisions as a table, in their order."""
    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("when", "case", "client", "HELO", "sender", "result", "action"):
        shown.add_column(name, overflow="fold")
    for one in found:
        results = [one.mailfrom_result or "", f"HELO {one.helo_result}" if one.helo_result else ""]
        case = one.case_id or (f"queue id {one.queue_id}" if one.queue_id else "-")
        cells = (
            local_time(one.time).partition(" (")[0],
            case,
            one.client or "-",
            one.helo or "-",
            sender_of(one),
            ", ".join(filter(None, results)) or one.skip or "-",
            f"{one.action}, would be {one.would}" if one.would else one.action,
        )
        shown.add_row(*(Text(cell) for cell in cells))
    return shown


# -- for machines ------------------------------------------------------------------------------------------------------


def summary_json(found: Decision) -> dict[str, object]:
    """Return a decision for machines, as the journal has it."""
    return {
        "time": utc_time(found.time),
        "case": found.case_id,
        **{name: getattr(found, name) for name in _RECORDED},
        "authenticated": bool(found.authenticated),
        "results": {
            identity: {
                "result": getattr(found, f"{identity}_result"),
                "condition": getattr(found, f"{identity}_condition"),
                "problem": getattr(found, f"{identity}_problem"),
            }
            for identity in ("mailfrom", "helo")
        },
        **{name: getattr(found, name) for name in _DECIDED},
        "problem": found.problem_text,
        "recipient_rules": bool(found.recipient_rules),
        "lookups": found.lookups,
        "void": found.void_lookups,
        "ms": found.elapsed,
    }


def as_json(story: Story) -> dict[str, object]:
    """Return a decision for machines, with everything that ``as_text`` shows."""
    now, rule = story.now, story.rule
    return {
        **summary_json(story.row),
        "rule_today": None
        if rule is None
        else {"same": rule.same, "rule": rule_json(rule.rule) if rule.rule is not None else None},
        "then": {
            "missing": story.moment.missing or None,
            "doubts": list(story.moment.doubts),
            "verdicts": [verdict_json(verdict) for verdict in story.moment.verdicts],
        },
        "now": None
        if now is None
        else {
            "same_answers": story.same_now,
            "verdicts": [verdict_json(verdict, now.action) for verdict in now.verdicts],
            "skip": now.plan.skip,
            "action": now.action.disposition,
            "would": now.action.would,
            "rule": rule_json(now.action.rule),
        },
        "ways_in": [
            {"who": way.who, "command": way.command or None, "lines": [rule_json(line) for line in way.lines]}
            for way in story.ways
        ],
    }
