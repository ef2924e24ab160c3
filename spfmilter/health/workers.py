"""The workers, their caches, and the storage process, as the status file shows them."""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.daemon import life
from spfmilter.daemon.life import Life
from spfmilter.daemon.snapshot import ProcessState, Snapshot, WorkerState
from spfmilter.health.known import Known
from spfmilter.health.parts import Data, Gauge, Level, Part, ago, counted, size, span

_SILENT = 5.0  # seconds without a sign of life after which a worker does not count; it gives one each second
_RECENT = 300.0  # seconds for which an unexpected exit is a warning
_LOG = "journalctl -u spfmilter -p err"


def unknown(name: str) -> Part:
    """Return a part of which only the daemon could tell, if it does not."""
    return Part(name=name, level=Level.UNKNOWN, text="not known without the daemon's status file")


# -- workers -----------------------------------------------------------------------------------------------------------


def workers(known: Known) -> Iterator[Part]:
    """Yield the part ``workers``."""
    snapshot = known.snapshot
    if snapshot is None:
        yield unknown("workers")
        return
    stopped = {worker.pid for worker in snapshot.workers if _is_stopped(worker, snapshot)}
    yield workers_part(snapshot, known.age, stopped=stopped, is_old=known.is_old)


def _is_stopped(worker: WorkerState, snapshot: Snapshot) -> bool:
    return worker.pid is not None and life.life(worker.pid, snapshot.namespace) is Life.STOPPED


def workers_part(snapshot: Snapshot, age: float, *, stopped: set[int | None], is_old: bool) -> Part:
    """Return how the workers stand.

    Args:
        snapshot: what the daemon has written.
        age: seconds since.
        stopped: the pids of processes that the kernel does not let run.
        is_old: the daemon should have written again since.
    """
    serving = [worker for worker in snapshot.workers if worker.phase == "serving"]
    silent = [worker for worker in serving if worker.pid in stopped or worker.silent > _SILENT]
    number = len(serving) - len(silent)
    figures = [worker.figures for worker in snapshot.workers if worker.figures is not None]
    # None, and not 0, until a worker has written its figures for the first time, within a second of its start.
    is_known = bool(figures) or not snapshot.workers
    sessions = sum(each.sessions for each in figures) if is_known else None
    memory = sum(each.memory for each in figures) if is_known else None
    text = f"{number} of {snapshot.wanted} serve"
    if sessions is not None and memory is not None:
        text += f": {counted(sessions, 'session')}, {size(memory)}"
    if is_old:
        text = f"{ago(age)}: {text}"
    if silent:
        names = ", ".join(f"process {worker.pid}" for worker in silent)
        text += f"; {names} {'gives' if len(silent) == 1 else 'give'} no sign of life"
    exits, recent = snapshot.exits, False
    if exits is not None:
        recent = exits.age + age < _RECENT
        text += f"; {exits.number} exited unexpectedly, the last {ago(exits.age + age)}: {exits.how}"
    level = Level.WARNING if number < snapshot.wanted or recent else Level.OK
    if not number:
        level = Level.CRITICAL
    return Part(
        name="workers",
        level=level,
        text=text,
        fix="" if level is Level.OK else _LOG,
        short=f"{number} of {snapshot.wanted} workers serve",
        details=tuple(_line(worker, age, is_stopped=worker.pid in stopped) for worker in snapshot.workers),
        data={
            "serving": number,
            "wanted": snapshot.wanted,
            "generation": snapshot.generation,
            "sessions": sessions,
            "memory": memory,
            "restarts": exits.number if exits is not None else 0,
            "workers": [_data(worker, age, is_stopped=worker.pid in stopped) for worker in snapshot.workers],
        },
        gauges=(
            Gauge(label="workers", value=number, limits=f"{snapshot.wanted}:;1:;0"),
            *([Gauge(label="sessions", value=sessions, limits=";;0")] if sessions is not None else []),
            *([Gauge(label="memory", value=memory, unit="B", limits=";;0")] if memory is not None else []),
            Gauge(label="restarts", value=exits.number if exits is not None else 0, unit="c"),
        ),
    )


def _line(worker: WorkerState, age: float, *, is_stopped: bool) -> str:
    if worker.pid is None:
        return f"worker {worker.slot}: no process for {span(round(worker.age + age, 1))}"
    figures = worker.figures
    facts = [
        f"process {worker.pid}",
        f"{'stopped (SIGSTOP)' if is_stopped else worker.phase}, started {ago(worker.age + age)}",
        f"generation {worker.generation}",
        *([counted(figures.sessions, "session"), size(figures.memory)] if figures is not None else []),
        counted(worker.exits, "restart"),
        *([f"processor {worker.processor}"] if worker.processor is not None else []),
        *([f"silent for {span(round(worker.silent, 1))}"] if worker.silent > _SILENT else []),
    ]
    return f"worker {worker.slot}: {', '.join(facts)}"


def _data(worker: WorkerState, age: float, *, is_stopped: bool) -> Data:
    figures = worker.figures
    return {
        "slot": worker.slot,
        "pid": worker.pid,
        "phase": "stopped" if is_stopped else worker.phase,
        "generation": worker.generation,
        "seconds": worker.age + age,
        "silent": worker.silent,
        "sessions": figures.sessions if figures is not None else None,
        "memory": figures.memory if figures is not None else None,
        "restarts": worker.exits,
        "processor": worker.processor,
    }


# -- caches ------------------------------------------------------------------------------------------------------------


def caches(known: Known) -> Iterator[Part]:
    """Yield the part ``caches``."""
    yield caches_part(known.snapshot) if known.snapshot is not None else unknown("caches")


def caches_part(snapshot: Snapshot) -> Part:
    """Return what the workers' caches hold, and how often they had an answer."""
    texts, gauges, data = [], [], {}
    all_figures = [worker.figures for worker in snapshot.workers if worker.figures is not None]
    for name, totals in (
        ("answers", [(f.answers, f.answer_hits, f.answer_misses) for f in all_figures]),
        ("verdicts", [(f.verdicts, f.verdict_hits, f.verdict_misses) for f in all_figures]),
    ):
        entries, hits, misses = (sum(column) for column in zip(*totals, strict=True)) if totals else (0, 0, 0)
        asked = hits + misses
        rate = hits / asked if asked else None
        found = f"{rate:.0%} of {counted(asked, 'lookup')} found" if rate is not None else "no lookups yet"
        texts.append(f"{entries} {name}, {found}")
        data[name] = {"entries": entries, "hits": hits, "misses": misses, "hit_rate": rate}
        gauges.append(Gauge(label=f"{name}_cached", value=entries, limits=";;0"))
        if rate is not None:
            gauges.append(Gauge(label=f"{name}_hit_rate", value=round(100 * rate, 1), unit="%", limits=";;0;100"))
    return Part(name="caches", level=Level.OK, text="; ".join(texts), data=data, gauges=tuple(gauges))


# -- storage -----------------------------------------------------------------------------------------------------------


def storage(known: Known) -> Iterator[Part]:
    """Yield the part ``storage``, if the settings in force ask for that process."""
    if known.snapshot is None:
        return
    for process in known.snapshot.processes:
        if process.name == "storage process" and process.wanted:
            yield process_part("storage", process, known.age)


def process_part(name: str, process: ProcessState, age: float) -> Part:
    """Return how a process beside the workers stands."""
    data = {"pid": process.pid, "seconds": process.age + age, "restarts": process.exits}
    for_long = span(round(process.age + age, 1))
    exits = f"; {counted(process.exits, 'exit')} before, the last: {process.how}" if process.exits else ""
    if process.pid is not None:
        return Part(name=name, level=Level.OK, text=f"process {process.pid} has run for {for_long}{exits}", data=data)
    text = f"{process.name} has not run for {for_long}{exits}"
    return Part(name=name, level=Level.WARNING, text=text, fix=_LOG, data=data)
