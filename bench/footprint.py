"""What spfmilter takes of the machine: memory, the time until it serves, and CPU for records made to cost some."""

import time
from contextlib import suppress
from statistics import median

from bench import zones
from bench.hostile import FAMILIES, LOCAL_PART, SHAPES, ZONE
from bench.programs import Spfmilter, cpu_seconds, load, nameserver, resident_mb
from bench.setting import Setting
from bench.table import Report, Target
from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.milterwire import MilterError
from lab.processes import until

_FULL = 50_000  # names, the default of [dns] cache_entries
_CPU_MS = Target(20)
_TRIES = 2
_COSTLY_MS = 5000.0  # a record beyond this is not asked for again


def memory(setting: Setting) -> Report:
    """One worker's resident memory, idle and after as many sender domains as its cache holds, and some more."""
    report = Report("memory", "resident memory of a worker, MB", ("messages", "messages/s", "MB"))
    with nameserver(setting.shop) as server, setting.spfmilter(server, workers="1") as each:
        (worker,) = each.workers()
        idle = resident_mb(worker)
        report.add("idle", None, None, compared=idle, target=Target(45))
        names = _FULL // 20 if setting.quick else _FULL + _FULL // 10
        loaded = load(setting.shop, each, [zones.sender("ip4")], per_connection=10, messages=names, **zones.MAIL_ONLY)
        full = resident_mb(worker)
        if setting.quick:
            full = idle + (full - idle) * 20
            report.notes.append(f"quick: the full cache is reckoned from {names} names.")
        report.add(f"cache of {_FULL} names", loaded.messages, loaded.rate, compared=full, target=Target(120))
        if loaded.errors:
            report.notes.append(f"{loaded.errors} errors under load")
    return report


def start(setting: Setting) -> Report:
    """From exec to READY=1."""
    report = Report("start", "seconds from exec to READY=1", ("slowest", "median"))
    taken = []
    with nameserver(setting.shop) as server:
        for _ in range(3 if setting.quick else 7):
            with setting.spfmilter(server) as each:
                taken.append(each.start_seconds)
    report.add("spfmilter run", max(taken), compared=median(taken), target=Target(1.0))
    return report


def cpu(setting: Setting) -> Report:
    """CPU of a worker for one message from the publisher of a hostile record, above that of a plain one."""
    report = Report("cpu", "CPU ms of a worker for one message, above a plain one, by the sender's record")
    report.columns = (*SHAPES, "worst")
    with ScriptedDNS(ZONE) as server, setting.spfmilter(server.address, workers="1") as each:
        (worker,) = each.workers()
        plain = median(_cpu_ms(each, worker, "user@plain.example") for _ in range(9))
        report.notes.append(f"A plain message (one ip4) costs {plain:.2f} ms. The smaller of {_TRIES} messages counts.")
        for family, shapes in FAMILIES.items():
            found = {shape: _cheapest(each, worker, names) - plain for shape, names in shapes.items()}
            report.add(family, *(found.get(shape) for shape in SHAPES), compared=max(found.values()), target=_CPU_MS)
    return report


def _cheapest(each: Spfmilter, worker: int, names: list[str]) -> float:
    """The CPU of a message in ms: the smallest of a few, each from another domain; noise only ever adds."""
    costs: list[float] = []
    for name in names[:_TRIES]:
        costs.append(_cpu_ms(each, worker, f"{LOCAL_PART}@{name}"))
        if costs[-1] > _COSTLY_MS:
            break
    return min(costs)


def _cpu_ms(each: Spfmilter, worker: int, sender: str) -> float:
    """CPU of the worker for one message, in ms."""
    with MilterClient(each.socket, timeout=60) as mta:
        mta.greet(zones.CLIENT, "mta")
        before = cpu_seconds(worker)
        with suppress(MilterError):  # what it costs is the question, not what comes of it
            mta.deliver(f"<{sender}>", ["<somebody@example.net>"])
        _wait_until_quiet(worker)
        return (cpu_seconds(worker) - before) * 1000


def _wait_until_quiet(worker: int) -> None:
    """Until its CPU clock stands still: what it does after its reply counts, too."""

    def quiet() -> bool:
        before = cpu_seconds(worker)
        time.sleep(0.01)
        return cpu_seconds(worker) - before < 0.0005

    until(quiet, 60, "the worker is quiet")
