"""Messages a second through the milter protocol: senders that are known, and senders never seen before."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench import zones
from bench.programs import Filter, Nameserver, load, nameserver
from bench.setting import Setting, ratios
from bench.table import Report, Target

_CONNECTIONS = 8
_PLENTY = 1_000_000  # messages: more than fit into a turn
_OF_NOTHING = Target(0.60, at_least=True)
_OF_PYSPF = Target(5, at_least=True)
_DOMAINS = 250  # of each of the four kinds
_UNITS = {"a connection a message": 1, "connections kept": 0, "10 messages a connection": 10}  # the last not if quick
# what -> senders, client, messages on a connection (0: kept); the first two have a target, the last three not if quick
_NEVER_SEEN = {
    "everyday mixture, a connection a message": (zones.EVERYDAY, zones.KNOWN_HELO, 1),
    "everyday mixture, connections kept": (zones.EVERYDAY, zones.KNOWN_HELO, 0),
    "the mixture, HELO new each time, a connection a message": (zones.EVERYDAY, zones.NEW_HELO, 1),
    "one ip4, a connection a message": ((zones.sender("ip4"),), zones.KNOWN_HELO, 1),
    "include of include of its own, kept": ((zones.sender("googleown"),), zones.KNOWN_HELO, 0),
    "one ip4, no HELO to check, a connection a message": ((zones.sender("ip4"),), zones.MAIL_ONLY, 1),
    "one ip4, no HELO to check, connections kept": ((zones.sender("ip4"),), zones.MAIL_ONLY, 0),
}
_WITH_TARGET, _QUICK = 2, 4  # so many of them


@dataclass(slots=True)
class _Turns:
    """What the filters came to, turn by turn."""

    rates: dict[str, list[float]] = field(default_factory=dict)
    queries: list[float] = field(default_factory=list)  # of spfmilter, a message
    p99: list[float] = field(default_factory=list)  # of spfmilter, in ms
    cpu: dict[str, list[float]] = field(default_factory=dict)  # microseconds a message
    lost: dict[str, int] = field(default_factory=dict)

    def row(self, names: list[str], over: str) -> tuple[list[float], float | None]:
        """The medians of spfmilter's and the others' figures, and spfmilter's rate in the other's."""
        figures = [median(self.rates["spfmilter"]), median(self.queries), median(self.p99)]
        figures += [median(self.rates[name]) for name in names]
        return figures, ratios(self.rates["spfmilter"], self.rates[over]) if over in self.rates else None


def _take_turns(
    setting: Setting,
    server: Nameserver,
    filters: dict[str, Filter],
    senders: tuple[str, ...],
    options: Callable[[], dict[str, Any]],
) -> _Turns:
    """Each filter in its turn, several rounds, so that what changes on the machine meets them all."""
    turns = _Turns({name: [] for name in filters})
    for _ in range(setting.rounds):
        for name, each in filters.items():
            before, cpu_before = server.asked(), each.cpu_seconds()
            loaded = load(
                setting.shop,
                each,
                senders,
                connections=_CONNECTIONS,
                messages=_PLENTY,
                seconds=setting.seconds(0.5, 3),
                **options(),
            ).check(name)
            turns.rates[name].append(loaded.rate)
            turns.cpu.setdefault(name, []).append((each.cpu_seconds() - cpu_before) / loaded.messages * 1e6)
            turns.lost[name] = turns.lost.get(name, 0) + loaded.not_accepted
            if name == "spfmilter":
                turns.queries.append((server.asked() - before) / loaded.messages)
                turns.p99.append(loaded.message_ms["p99"])
    return turns


def _note(report: Report, label: str, turns: _Turns) -> None:
    """What stands below the table: the CPU that each took, and what went wrong."""
    each = ", ".join(f"{name} {median(cpu):.0f}" for name, cpu in turns.cpu.items())
    report.notes.append(f"CPU us a message, {label}: {each}")
    for name, lost in turns.lost.items():
        if lost:
            report.notes.append(f"{name} did not accept {lost} message(s) of {label!r}.")


def repeat(setting: Setting) -> Report:
    """1,000 domains, asked for again and again, beside filters that do nothing."""
    report = Report("repeat", "messages/s, 1,000 known domains, unix socket, 8 connections")
    options: Mapping[str, float | str] = {"cycle": _DOMAINS, **zones.MAIL_ONLY}
    with nameserver(setting.shop) as server, setting.filters(server, nothing=True) as filters:
        others = ["nothing", *(name for name in filters if name not in {"nothing", "spfmilter"})]
        report.columns = ("spfmilter", "DNS/msg", "p99 ms", *others, "ratio")
        for each in filters.values():  # every worker has to have seen every name
            if each.caches:
                load(setting.shop, each, zones.EVERYDAY, messages=16 * _DOMAINS, per_connection=1, seconds=4, **options)
        for label, unit in list(_UNITS.items())[: 2 if setting.quick else None]:
            turns = _take_turns(
                setting,
                server,
                filters,
                zones.EVERYDAY,
                lambda unit=unit: {**options, "per_connection": unit},  # type: ignore[misc]  # it binds the loop's
            )
            for yardstick in ("nothing", "plain"):
                figures, ratio = turns.row(others, yardstick)
                report.add(f"{label}, of {yardstick}", *figures, compared=ratio, target=_OF_NOTHING)
            _note(report, label, turns)
    return report


def fresh(setting: Setting) -> Report:
    """Every message from a domain of its own, DNS on loopback without delay, beside pyspf-milter."""
    report = Report("fresh", "messages/s, every sender domain new, DNS on loopback, unix socket, 8 connections")
    numbers = iter(range(0, 1 << 30, _PLENTY))
    with nameserver(setting.shop) as server, setting.filters(server, nothing=not setting.quick) as filters:
        others = [name for name in filters if name != "spfmilter"]
        report.columns = ("spfmilter", "DNS/msg", "p99 ms", *others, "of pyspf-milter")
        cases = list(_NEVER_SEEN.items())[: _QUICK if setting.quick else None]
        for place, (label, (senders, client, unit)) in enumerate(cases):
            turns = _take_turns(
                setting,
                server,
                filters,
                senders,
                lambda client=client, unit=unit: {**client, "per_connection": unit, "start": next(numbers)},  # type: ignore[misc]
            )
            figures, ratio = turns.row(others, "pyspf-milter")
            report.add(label, *figures, compared=ratio, target=_OF_PYSPF if place < _WITH_TARGET else None)
            _note(report, label, turns)
    return report
