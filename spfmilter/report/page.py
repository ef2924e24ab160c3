"""The report as one HTML page that needs nothing else: no script, no request. The only owner of Jinja2 here.

Knows how the values are laid out for the template. Everything is escaped; the numbers of the charts are our own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from jinja2 import Environment, PackageLoader, StrictUndefined

from spfmilter.report import chart, wording
from spfmilter.report.chart import Bar
from spfmilter.report.findings import ABOUT, KINDS, Pointer
from spfmilter.report.summary import RESULTS, MailReport

_STEPS = 124  # bars of a chart
_DECIDED = 12
_OVERRIDES = 20
_POINTERS = 30  # of one kind
_LABELS = 10  # of which all are shown below a chart
# What a chart of the trend stacks, from the ground up: what was refused has a common base.
_LAYERS = {
    "refused": "refused",
    "would": "would have been refused",
    "marked": "quarantined or tagged",
    "accepted": "accepted",
}


@dataclass(frozen=True, slots=True)
class Series:
    """One row of numbers over time, as bars."""

    name: str
    kind: str  # the class in the style sheet
    total: int
    highest: int
    bars: Sequence[Bar | None]


@dataclass(frozen=True, slots=True)
class TrendChart:
    """The trend: one large chart, and a small one for each action."""

    labels: Sequence[str]  # one for each bar
    values: Sequence[Counter[str]]  # the same, by action; ``would`` for what monitor mode would have refused
    each: str  # how long a bar is
    highest: int  # messages of the highest bar
    top: int  # the value of the upper end
    layers: Sequence[Series]
    small: Sequence[Series]

    @property
    def ticks(self) -> Sequence[str]:
        """Return the labels that are shown below: the first, one in the middle, and the last."""
        count = len(self.labels)
        chosen = dict.fromkeys((0, count // 2, count - 1) if count > 2 else range(count))
        return [self.labels[number] for number in chosen]

    @property
    def all_fit(self) -> bool:
        """Return whether a wide window has room for the label of each bar."""
        return len(self.labels) <= _LABELS


def page(report: MailReport, pointers: Sequence[Pointer]) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("spfmilter.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    totals = report.totals
    found = []
    for kind, same in groupby(pointers, key=lambda pointer: pointer.kind):
        listed = list(same)
        found.append((kind, KINDS[kind], ABOUT[kind], listed[:_POINTERS], len(listed)))
    lists = [("Refused", "refused", report.refused), ("Monitor mode would have refused", "would", report.would)]
    return environment.get_template("report.html").render(
        report=report,
        period=report.period,
        totals=totals,
        trend=_trend(report) if totals.messages else None,
        results=[*RESULTS, *wording.others(totals.mailfrom + totals.helo, RESULTS)],
        decided=totals.decided.most_common(_DECIDED),
        skips=totals.skips.most_common(10),
        overrides=report.overrides[:_OVERRIDES],
        findings=found,
        finding_count=len(pointers),
        lists=[(title, key, one) for title, key, one in lists if one.domains],
        words=wording,
    )


def _trend(report: MailReport) -> TrendChart:
    steps = report.trend
    size = max(1, -(-len(steps) // _STEPS))
    groups = [steps[at : at + size] for at in range(0, len(steps), size)]
    values = []
    for group in groups:
        added: Counter[str] = Counter()
        for step in group:
            added.update(step.actions)
            added["would"] += step.would_refuse
        values.append(added)
    whole = [sum(one[action] for action in wording.DONE) for one in values]
    top = chart.round_top(max(whole))
    below = [0] * len(values)
    layers = []
    for kind, name in _LAYERS.items():
        counts = [_layer(one)[kind] for one in values]
        layers.append(Series(name, kind, sum(counts), max(counts), chart.bars(counts, top, below)))
        below = [base + count for base, count in zip(below, counts, strict=True)]
    small = [_small(word, action, [one[action] for one in values]) for action, word in wording.DONE.items()]
    small.append(_small("would be refused", "would", [one["would"] for one in values]))
    return TrendChart(
        labels=[group[0].label for group in groups],
        values=values,
        each=wording.each(report, size),
        highest=max(whole),
        top=top,
        layers=[series for series in layers if series.total],
        small=[series for series in small if series.total],
    )


def _layer(one: Counter[str]) -> dict[str, int]:
    """Return a step's messages by layer. What monitor mode spared was accepted, or tagged for its recipients."""
    would = min(one["would"], one["accept"])
    return {
        "refused": one["reject"] + one["defer"],
        "would": would,
        "marked": one["quarantine"] + one["tag"],
        "accepted": one["accept"] - would,
    }


def _small(name: str, kind: str, counts: list[int]) -> Series:
    return Series(name, kind, sum(counts), max(counts), chart.bars(counts, max(counts)))
