"""The journal, as the status file shows it: its rows, and whether its database takes them."""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.daemon.snapshot import JournalState
from spfmilter.health.known import Known
from spfmilter.health.parts import Gauge, Level, Part, ago, counted, span

_LOG = "journalctl -u spfmilter -p err, which says what to do"


def journal(known: Known) -> Iterator[Part]:
    """Yield the part ``journal``, if the settings in force ask for one."""
    if known.snapshot is not None and known.snapshot.journal is not None:
        yield journal_part(known.snapshot.journal, known.age)


def journal_part(state: JournalState, age: float) -> Part:
    """Return how the journal stands; ``age``: seconds of what the status file says."""
    last = None if state.last is None else state.last + age
    rows = f"{counted(state.written, 'row')} written" + (f", the last {ago(last)}" if last is not None else "")
    rows += f"; {state.waiting} waiting" if state.waiting else ""
    rows += f"; {counted(state.dropped, 'row')} lost" if state.dropped else ""
    level, text = Level.OK, f"{state.url}: {rows}"
    if state.reachable is None:
        text = f"{state.url} has not been opened yet: {rows}"
    elif not state.reachable:
        level = Level.WARNING
        text = f"{state.url} has taken no rows for {span(round(state.age + age))}: {state.reason}; {rows}"
    return Part(
        name="journal",
        level=level,
        text=text,
        fix="" if level is Level.OK else _LOG,
        data={
            "url": state.url,
            "reachable": state.reachable,
            "reason": state.reason or None,
            "written": state.written,
            "waiting": state.waiting,
            "dropped": state.dropped,
            "last": last,
        },
        gauges=(
            Gauge(label="journal_written", value=state.written, unit="c"),
            Gauge(label="journal_waiting", value=state.waiting, limits=";;0"),
            Gauge(label="journal_dropped", value=state.dropped, unit="c"),
        ),
    )
