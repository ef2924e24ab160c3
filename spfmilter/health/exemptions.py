"""The temporary exemptions and their store, as the daemon's status file shows them."""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.daemon.snapshot import ExemptionsState
from spfmilter.health import workers
from spfmilter.health.known import Known
from spfmilter.health.parts import Gauge, Level, Part, ago, span

_OLD = 10.0  # seconds; the storage process asks the store twice a second


def exemptions(known: Known) -> Iterator[Part]:
    """Yield the part ``exemptions``, if the daemon has a store for them."""
    if known.snapshot is None:
        yield workers.unknown("exemptions")
    elif known.snapshot.exemptions is not None:
        yield exemptions_part(known.snapshot.exemptions, known.age)


def exemptions_part(state: ExemptionsState, age: float) -> Part:
    """Return how the exemptions stand.

    Args:
        state: what the daemon has written.
        age: seconds since.
    """
    asked = state.age + age
    text = f"{state.number or 'none'} in force, {state.store}"
    level, fix = Level.OK, ""
    if state.reason:
        level, fix = Level.WARNING, "look after the store; see [state] folder and url, and docs/exemptions.md"
        since = f"for {span(round(asked))}" if state.answered else "since the start"
        text += f" cannot be used {since}: {state.reason}; those in force stay so, and changes wait"
    elif asked > _OLD:
        level, fix = Level.WARNING, "journalctl -u spfmilter -p err"
        since = f"was last asked {ago(asked)}" if state.answered else f"has not answered for {span(round(asked))}"
        text += f" {since}: changes wait"
    else:
        text += f" {'answers' if state.answered else 'is being asked'}"
    return Part(
        name="exemptions",
        level=level,
        text=text,
        fix=fix,
        data={
            "number": state.number,
            "store": state.store,
            "answers": state.answered and not state.reason and asked <= _OLD,
            "seconds": asked,
            "errors": state.errors,
            "reason": state.reason or None,
        },
        gauges=(Gauge(label="exemptions", value=state.number, limits=";;0"),),
    )
