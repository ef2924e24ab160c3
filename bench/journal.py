"""What the journal costs mail: the rate with it and without, and the time of a message while its database is killed."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import mean, median

from bench import zones
from bench.programs import Nameserver, Spfmilter, load, nameserver
from bench.setting import Setting, ratios
from bench.table import Report, Target
from lab import postgresql
from lab.postgresql import PostgreSQL

_CONNECTIONS = 8
_DOMAINS = 250  # of each of the four kinds
_PLENTY = 1_000_000  # messages: more than fit into a turn
_RATE_LEFT = Target(0.95, at_least=True)
_DELAY = Target(1.01)
_REST = 0.6  # seconds after a turn: the last rows are written then, and not in the turn of another daemon
_STEADY = 300  # messages a second: what the machine does beside is not what is measured
_UNITS = {"a connection a message": 1, "connections kept": 0}


@dataclass(slots=True)
class _Turns:
    """What one daemon came to, turn by turn."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # microseconds a message
    p50: list[float] = field(default_factory=list)  # ms of a message
    messages: int = 0

    def by_daemon(self) -> list[float]:
        """The rates of the daemons, each the mean of its two turns."""
        return [mean(pair) for pair in zip(self.rates[::2], self.rates[1::2], strict=True)]


def _turn(setting: Setting, target: Spfmilter, turns: _Turns, unit: int, seconds: float, **more: float | str) -> None:
    before = target.cpu_seconds()
    options: dict[str, float | str] = {"cycle": _DOMAINS, "per_connection": unit, **zones.MAIL_ONLY, **more}
    loaded = load(
        setting.shop,
        target,
        zones.EVERYDAY,
        connections=_CONNECTIONS,
        messages=_PLENTY,
        seconds=seconds,
        **options,
    ).check(target.name)
    turns.rates.append(loaded.rate)
    turns.cpu.append((target.cpu_seconds() - before) / loaded.messages * 1e6)
    turns.p50.append(loaded.message_ms["p50"])
    turns.messages += loaded.messages


def _warm(setting: Setting, target: Spfmilter) -> None:
    """Let every worker see every name."""
    options: dict[str, float | str] = {"cycle": _DOMAINS, **zones.MAIL_ONLY}
    load(setting.shop, target, zones.EVERYDAY, messages=16 * _DOMAINS, per_connection=1, seconds=4, **options)


@contextmanager
def _daemons(setting: Setting, server: Nameserver, database: str, number: int) -> Iterator[dict[str, Spfmilter]]:
    """One daemon without a journal, and one for each database that is installed."""
    folder = setting.shop.place("journal")
    with ExitStack() as stack:
        urls = {"off": "", "SQLite": f"sqlite:///{folder}/journal-{number}.db", "PostgreSQL": database}
        found = {}
        for name, url in urls.items():
            if name == "off" or url:
                daemon = setting.spfmilter(server, more=f"[journal]\nurl = {url}\n" if url else "")
                found[name] = stack.enter_context(daemon)
                _warm(setting, daemon)
        yield found


def rate(setting: Setting) -> Report:
    """The rate with a journal, of the rate without; known senders, which is the hardest: nothing else takes time.

    Two daemons with the same settings differ by some percent as long as they live, by where their memory lies. So each
    round has daemons of its own.
    """
    report = Report("journal", "messages/s, 1,000 known domains, unix socket, 8 connections; of the rate without")
    report.columns = ("messages/s", "p50 ms", "CPU us/msg", "ratio")
    turns: dict[tuple[str, str], _Turns] = {}
    with ExitStack() as stack:
        server = stack.enter_context(nameserver(setting.shop))
        database = "" if postgresql.unavailable() else stack.enter_context(PostgreSQL()).url
        for number in range(2 * setting.rounds):
            with _daemons(setting, server, database, number) as daemons:
                for label, unit in _UNITS.items():
                    # There and back: who comes first after a pause, or after whom, matters to none of them.
                    for name in (*daemons, *reversed(daemons)):
                        own = turns.setdefault((label, name), _Turns())
                        _turn(setting, daemons[name], own, unit, setting.seconds(0.5, 1.0))
                        time.sleep(_REST)
    for (label, name), each in turns.items():
        figures = median(each.rates), median(each.p50), median(each.cpu)
        ratio = ratios(each.by_daemon(), turns[label, "off"].by_daemon()) if name != "off" else None
        report.add(f"{label}, {name}", *figures, compared=ratio, target=_RATE_LEFT if ratio else None)
    return report


def _wait_until_available(target: Spfmilter, times: int) -> None:
    """Wait until the journal has had its database back so many times. Counted: a pattern with as many gaps is slow."""
    daemon, line = target.daemon, "journal database available"
    daemon.wait_for(lambda: daemon.log().count(line) >= times, 60, f"{times} times: {line}")


def killed(setting: Setting) -> Report:
    """The time of a message while PostgreSQL is there, and in the seconds after it has been killed, in turns."""
    report = Report("journal-killed", f"ms a message at {_STEADY} messages/s; with PostgreSQL dead, of with it alive")
    report.columns = ("p50 ms", "messages/s", "ratio")
    if reason := postgresql.unavailable():
        report.notes.append(reason)
        return report
    lives, dead = _Turns(), _Turns()
    with ExitStack() as stack:
        server, database = stack.enter_context(nameserver(setting.shop)), stack.enter_context(PostgreSQL())
        target = stack.enter_context(setting.spfmilter(server, more=f"[journal]\nurl = {database.url}\n"))
        _warm(setting, target)
        target.daemon.wait_for_log("journal opened", 60)
        for number in range(2 * setting.rounds):
            _turn(setting, target, lives, 1, setting.seconds(1, 4), rate=_STEADY)
            database.kill()
            _turn(setting, target, dead, 1, setting.seconds(1, 4), rate=_STEADY)
            database.start()
            _wait_until_available(target, number + 1)
    report.add("PostgreSQL lives", median(lives.p50), median(lives.rates))
    ratio = ratios(dead.p50, lives.p50)
    report.add("PostgreSQL was killed", median(dead.p50), median(dead.rates), compared=ratio, target=_DELAY)
    return report
