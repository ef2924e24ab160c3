"""Show a report in the terminal: totals, sparklines, tables, and the findings with their commands.

Knows the layout only. Untrusted input is shown as plain text, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from spfmilter.report import chart, wording
from spfmilter.report.findings import ABOUT, KINDS, Pointer
from spfmilter.report.summary import RESULTS, MailReport, TopRefused
from spfmilter.text import unicode_line

_MARKS = 60  # characters of a sparkline
_NAME = 34  # columns of a name
_SHOWN = 20  # findings of one kind
_STYLES = {"reject": "red", "defer": "yellow", "quarantine": "magenta", "tag": "cyan", "pass": "green", "fail": "red"}


def as_text(report: MailReport, pointers: Sequence[Pointer], *, blocks: bool) -> RenderableType:
    """Return the report for a terminal.

    Args:
        report: what it says.
        pointers: its findings.
        blocks: the terminal can show block characters.
    """
    parts: list[RenderableType] = [_heading(report)]
    if not report.totals.messages:
        return Group(*parts, Text(""), Text(wording.nothing(report)))
    parts += [_lead(report), Text("")]
    parts += [*_trend(report, chart.BLOCKS if blocks else chart.ASCII), Text(""), _results(report), Text("")]
    parts += [_decided(report), Text("")] if report.totals.decided else []
    parts += _refusals("Refused", report.refused)
    parts += _refusals("Monitor mode would have refused", report.would)
    parts += _findings(pointers)
    parts += _temperrors(report)
    parts += _overrides(report)
    return Group(*parts)


def _heading(report: MailReport) -> Text:
    period = report.period
    hosts = wording.host_names(report)
    text = Text.assemble((f"SPF report: {_line(hosts)}" if hosts else "SPF report", "bold"), "\n")
    text.append(f"{period.shown(report.asked)} to {period.shown(period.until)} ({period.zone_name})", "dim")
    if later := wording.begins_later(report):
        text.append(f"\n{later}", "dim")
    return text


def _lead(report: MailReport) -> Text:
    totals = report.totals
    text = Text(f"\n{totals.messages:,} messages: {wording.listed(totals.actions)}.")
    if totals.would:
        text.append(f"\nMonitor mode spared some. Enforce mode: {wording.listed(totals.would)}.")
    return text


def _trend(report: MailReport, ramp: str) -> Iterator[RenderableType]:
    steps = report.trend
    rows = [
        ("messages", [step.messages for step in steps], ""),
        *(
            (wording.DONE[action], [step.actions[action] for step in steps], _STYLES[action])
            for action in ("reject", "defer", "quarantine", "tag")
        ),
        ("would refuse", [step.would_refuse for step in steps], "red"),
    ]
    _, size = chart.merged(range(len(steps)), _MARKS)
    wide = max(1, min(6, _MARKS // max(1, -(-len(steps) // size))))
    yield Text.assemble(
        ("Trend", "bold"), f", {steps[0].label} to {steps[-1].label}; one mark: {wording.each(report, size)}"
    )
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=12)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, values, style in rows:
        if any(values):
            fitting, _ = chart.merged(values, _MARKS)
            line = "".join(mark * wide for mark in chart.sparkline(fitting, ramp))
            table.add_row(name, Text(f"|{line}|", style=style), f"to {max(fitting):,}")
    yield table


def _table(title: str, *columns: tuple[str, str]) -> Table:
    """Return a table; a column is its heading, and "left" or "right"."""
    table = Table(
        title=title,
        title_style="bold",
        title_justify="left",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    for heading, side in columns:
        name = side == "left"
        table.add_column(
            heading,
            justify="left" if name else "right",
            overflow="fold",
            no_wrap=not name,
            max_width=_NAME if name else None,
        )
    return table


def _results(report: MailReport) -> Table:
    totals = report.totals
    table = _table("Results", ("", "left"), ("MAIL FROM", "right"), ("", "right"), ("HELO", "right"), ("", "right"))
    for result in (*RESULTS, *wording.others(totals.mailfrom + totals.helo, RESULTS)):
        pairs = [(counts[result], counts.total()) for counts in (totals.mailfrom, totals.helo)]
        if any(count for count, _ in pairs):
            cells = [cell for count, total in pairs for cell in (f"{count:,}", wording.share(count, total))]
            table.add_row(Text(_line(result), style=_STYLES.get(result, "")), *cells)
    for skip, messages in totals.skips.most_common(10):
        table.add_row(
            Text(f"not checked: {_line(skip)}"), f"{messages:,}", wording.share(messages, totals.messages), "", ""
        )
    return table


def _decided(report: MailReport) -> Table:
    spared = bool(report.totals.would)
    title = "Not simply accepted, or would not have been" if spared else "Not simply accepted"
    table = _table(title, ("action", "left"), ("because", "left"), ("messages", "right"), ("", "right"))
    for (action, identity, result), messages in report.totals.decided.most_common(12):
        because = f"{wording.IDENTITIES.get(identity, identity)} {result}"
        table.add_row(
            Text(_line(action), style=_STYLES.get(action, "")),
            Text(_line(because)),
            f"{messages:,}",
            wording.share(messages, report.totals.messages),
        )
    return table


def _refusals(title: str, refusals: TopRefused) -> Iterator[RenderableType]:
    if not refusals.domains:
        return
    table = _table(
        f"{title}: domains",
        ("domain", "left"),
        ("messages", "right"),
        ("clients", "right"),
        ("mostly", "left"),
        ("newest case", "left"),
    )
    for one, case in zip(refusals.domains, refusals.cases, strict=True):
        domain = Text(_line(one.domain or "(no domain)"))
        table.add_row(
            domain, f"{one.messages:,}", f"{one.clients:,}", Text(wording.mostly(one)), Text(_line(case or ""))
        )
    yield from (table, Text(""))
    table = _table(
        f"{title}: networks", ("network", "left"), ("messages", "right"), ("clients", "right"), ("name", "left")
    )
    for network in refusals.networks:
        table.add_row(
            Text(_line(network.network)), f"{network.messages:,}", f"{network.clients:,}", Text(_line(network.name))
        )
    yield from (table, Text(""))


def _findings(pointers: Sequence[Pointer]) -> Iterator[RenderableType]:
    for kind, same in groupby(pointers, key=lambda pointer: pointer.kind):
        found = list(same)
        yield Text(f"{KINDS[kind]}: {len(found)}", style="bold")
        yield Text(ABOUT[kind], style="dim")
        for pointer in found[:_SHOWN]:
            yield Text.assemble(
                "\n• " if pointer.facts else "• ", (_line(pointer.title), "bold" if pointer.facts else "")
            )
            yield from (Padding(Text(_line(fact, 500)), (0, 0, 0, 2), expand=False) for fact in pointer.facts)
            yield from _steps(pointer)
        if len(found) > _SHOWN:
            yield Text(f"• {len(found) - _SHOWN} more: see --json")
        yield Text("")


def _steps(pointer: Pointer) -> Iterable[RenderableType]:
    for step in pointer.steps:
        yield Text(f"  {step.purpose}:")
        # In one piece, so that it can be copied: the terminal breaks it.
        mark = "$ " if step.kind == "command" else "  "
        yield Text.assemble(f"    {mark}", (_line(step.text, 2000), "green"), no_wrap=True, overflow="ignore")


def _temperrors(report: MailReport) -> Iterator[RenderableType]:
    if not report.temperrors:
        return
    table = _table(
        "Temperrors: domains whose DNS failed",
        ("domain", "left"),
        ("messages", "right"),
        ("timeouts", "right"),
        ("deferred", "right"),
        ("last", "left"),
    )
    for one in report.temperrors:
        domain = Text(_line(one.domain or "(no domain)"))
        table.add_row(
            domain, f"{one.messages:,}", f"{one.timeouts:,}", f"{one.deferred:,}", report.period.shown(one.last)
        )
    yield from (table, Text(""))


def _overrides(report: MailReport) -> Iterator[RenderableType]:
    if not report.overrides:
        return
    table = _table(
        "Overrides that let mail in", ("type", "left"), ("by", "left"), ("messages", "right"), ("last", "left")
    )
    for one in report.overrides[:_SHOWN]:
        table.add_row(
            Text(_line(one.type or "")), Text(_line(one.by or "")), f"{one.messages:,}", report.period.shown(one.last)
        )
    yield table


def _line(text: str, limit: int = 255) -> str:
    return unicode_line(text, limit)
