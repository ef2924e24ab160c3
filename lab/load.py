"""Put load on a milter from separate processes, so it slows neither the test's nor the daemon's interpreter.

It knows connections, messages and their results. It knows nothing about SPF, nor what happens to the daemon
meanwhile. In a test: `with Load(address, mails, connections=32) as load: load.wait_for(1000); tally = load.stop()`.
By hand: `python -m lab.load inet:8890@127.0.0.1 --connections 32 --messages 100` (see --help).
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from lab.milterclient import MilterClient, Outcome
from lab.milterwire import MilterError
from lab.processes import until

_PROGRESS_EVERY = 0.05  # seconds
_RETRY_AFTER = 0.01  # seconds between two attempts to connect if no process listens


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A message to offer, with its claimed sender and client; `headers` are (name, value) pairs."""

    sender: str
    client: str = "192.0.2.1"
    helo: str = "mail.example"
    recipient: str = "<bob@example.net>"
    headers: Sequence[Sequence[str]] = (("From", "alice@example.com"), ("Subject", "Greetings"))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A session that was cut, and the time (seconds since the epoch, which all processes share)."""

    local: str
    began: float
    at: float
    reason: str
    waiting: bool  # whether a message was in progress, which now has no verdict


@dataclass(kw_only=True)
class Tally:
    """The results of all offered messages."""

    offered: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)  # "eom:continue", "mail:550"...
    by_sender: Counter[str] = field(default_factory=Counter)  # "<sender> verdict"
    sessions: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # reason -> connections
    cuts: list[Cut] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)  # seconds from MAIL FROM to the verdict
    seconds: float = 0.0

    @property
    def verdict_count(self) -> int:
        """Return the number of messages with a verdict."""
        return self.verdicts.total()

    @property
    def rate(self) -> float:
        """Return the messages with a verdict per second."""
        return self.verdict_count / self.seconds if self.seconds else 0.0

    def latency(self, quantile: float) -> float:
        """Return a quantile of the time to a verdict, in seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else 0.0

    def add(self, other: "Tally") -> None:
        """Add the results of another process or connection."""
        self.offered += other.offered
        self.verdicts.update(other.verdicts)
        self.by_sender.update(other.by_sender)
        self.sessions += other.sessions
        self.refused.update(other.refused)
        self.cuts += other.cuts
        self.latencies += other.latencies
        self.seconds = max(self.seconds, other.seconds)

    def __str__(self) -> str:
        quantiles = ", ".join(f"p{q * 100:g} {self.latency(q) * 1000:.1f} ms" for q in (0.5, 0.99, 1.0))
        return (
            f"{self.offered} messages offered in {self.sessions} sessions, {self.verdict_count} verdicts "
            f"({', '.join(f'{kind} {n}' for kind, n in sorted(self.verdicts.items()))}), "
            f"{self.refused.total()} connections refused, {len(self.cuts)} sessions cut; "
            f"{self.rate:.0f} messages/s, {quantiles}"
        )


class Load:
    """`connections` at a time offer `messages` each (0: until stop()), the mails in turn, spread over processes.

    A connection ends after `per_session` messages and is replaced by a new one; a MILTER session has the client and
    HELO of its first mail, so that mails of several clients need `per_session=1`.
    """

    def __init__(
        self,
        address: str,
        mails: Sequence[Mail],
        *,
        connections: int = 8,
        messages: int = 0,
        per_session: int = 1,
        processes: int = 2,
        timeout: float = 60.0,
    ) -> None:
        shares = [len(range(number, connections, processes)) for number in range(processes)]
        common = {
            "address": address,
            "mails": [asdict(mail) for mail in mails],
            "messages": messages,
            "per_session": per_session,
            "timeout": timeout,
        }
        self._plans = [{**common, "connections": share} for share in shares if share]
        self._processes: list[_Process] = []

    def start(self) -> Self:
        """Start the processes. Once the first message has its verdict, they are working (see wait_for)."""
        self._processes = [_Process(plan) for plan in self._plans]
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()

    @property
    def verdict_count(self) -> int:
        """Return the number of verdicts so far."""
        return sum(process.verdict_count for process in self._processes)

    @property
    def at_work(self) -> bool:
        """Return whether a connection has not finished its share yet."""
        return any(not process.ended for process in self._processes)

    def wait_for(self, verdict_count: int, timeout: float = 60.0) -> None:
        """Wait until `verdict_count` messages have their verdict, or all work is done."""
        until(
            lambda: self.verdict_count >= verdict_count or not self.at_work,
            timeout,
            lambda: f"{verdict_count} verdicts, not {self.verdict_count}",
        )

    def stop(self) -> Tally:
        """Begin no further message. Return the results."""
        for process in self._processes:
            process.say_stop()
        return self.finish()

    def finish(self, timeout: float = 600.0) -> Tally:
        """Wait until each connection has finished its share. Return the results."""
        until(lambda: not self.at_work, timeout, lambda: f"the end of the load, at {self.verdict_count} verdicts")
        total = Tally()
        for process in self._processes:
            if process.result is None:
                raise RuntimeError("a process of the load died; its traceback is on stderr")
            total.add(process.result)
        return total


class _Process:
    """One process of the load, seen from the test: JSON lines on its pipes."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.verdict_count = 0
        self.result: Tally | None = None
        self.ended = False
        self._child = subprocess.Popen(
            [sys.executable, "-m", "lab.load", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say(json.dumps(plan))
        threading.Thread(target=self._read, daemon=True).start()

    def say_stop(self) -> None:
        self._say("stop")

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # the process has already ended
            self._child.stdin.write(line + "\n")
            self._child.stdin.flush()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with suppress(ValueError):  # closed by kill()
            for line in self._child.stdout:
                state = json.loads(line)
                self.verdict_count = state["count"]
                if "tally" in state:
                    self.result = _tally(state["tally"])
        self.ended = True


def _tally(raw: Mapping[str, Any]) -> Tally:
    counters = {name: Counter(raw[name]) for name in ("verdicts", "by_sender", "refused")}
    return Tally(**{**raw, **counters, "cuts": [Cut(**cut) for cut in raw["cuts"]]})


# -- inside a process of the load --------------------------------------------------------------------------------------


class _Worker:
    """Run one connection after the other, in one thread."""

    def __init__(self, plan: Mapping[str, Any], first: int, stop: threading.Event) -> None:
        self.tally = Tally()
        self._mails = [Mail(**mail) for mail in plan["mails"]]
        self._plan, self._next, self._stop = plan, first, stop
        self._verdicts_here = 0  # in the session at work

    def run(self) -> None:
        """Run until the share is done, or until told to stop."""
        start = time.monotonic()
        while not self._done():
            self._session()
        self.tally.seconds = time.monotonic() - start

    def _done(self) -> bool:
        return self._stop.is_set() or 0 < self._plan["messages"] <= self.tally.offered

    def _session(self) -> None:
        began = time.time()
        try:
            client = MilterClient(self._plan["address"], timeout=self._plan["timeout"], buffered=True)
        except MilterError as error:
            self.tally.refused[str(error)] += 1
            self._stop.wait(_RETRY_AFTER)
            return
        self.tally.sessions += 1
        local, before = client.local, self.tally.offered
        try:
            self._talk(client)
        except MilterError as error:
            waiting = self.tally.offered - before > self._verdicts_here
            cut = Cut(local=local, began=began, at=time.time(), reason=str(error), waiting=waiting)
            self.tally.cuts.append(cut)
        finally:
            client.close()

    def _talk(self, client: MilterClient) -> None:
        self._verdicts_here = 0
        first = self._mails[self._next % len(self._mails)]
        client.greet(first.client, first.helo)
        for _ in range(self._plan["per_session"]):
            mail = self._mails[self._next % len(self._mails)]
            self._next += 1
            self.tally.offered += 1
            start = time.perf_counter()
            outcome = client.deliver(mail.sender, [mail.recipient], [(h[0], h[1]) for h in mail.headers])
            self.tally.latencies.append(round(time.perf_counter() - start, 6))
            verdict = _verdict(outcome)
            self.tally.verdicts[verdict] += 1
            self.tally.by_sender[f"{mail.sender} {verdict}"] += 1
            self._verdicts_here += 1
            if self._done():
                break
        client.quit()


def _verdict(outcome: Outcome) -> str:
    return f"{outcome.stage}:{outcome.reply.code or outcome.reply.kind}"


def _run(plan: Mapping[str, Any], stop: threading.Event, report: Callable[[int], None]) -> Tally:
    """Run all connections of this process. Call `report` with the number of verdicts so far."""
    # Each connection begins with another mail, so they do not all ask for the same name at the same time.
    workers = [_Worker(plan, number, stop) for number in range(plan["connections"])]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(_PROGRESS_EVERY)
            # Not the Counters, which may change their size while they are summed up.
            report(sum(len(worker.tally.latencies) for worker in workers))
    total = Tally()
    for worker in workers:
        total.add(worker.tally)
    return total


def _obey(lines: Iterable[str], stop: threading.Event) -> None:
    """Stop when told to, or when the test has exited."""
    for _ in lines:
        break
    stop.set()


def _as_child() -> None:
    plan, stop = json.loads(sys.stdin.readline()), threading.Event()
    threading.Thread(target=_obey, args=(sys.stdin, stop), daemon=True).start()
    total = _run(plan, stop, lambda verdict_count: print(json.dumps({"count": verdict_count}), flush=True))
    raw = {**vars(total), "cuts": [asdict(cut) for cut in total.cuts]}
    print(json.dumps({"count": total.verdict_count, "tally": raw}), flush=True)


def main() -> None:
    """Run the command line. The address "-" is for the test: it reads a plan from stdin and prints JSON lines."""
    parser = argparse.ArgumentParser(prog="python -m lab.load", description=__doc__.partition("\n")[0])
    parser.add_argument("address", help="inet:PORT@HOST, inet6:PORT@HOST or unix:PATH")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--messages", type=int, default=100, help="of each connection")
    parser.add_argument("--per-session", type=int, default=1, help="messages before a connection is replaced")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sender", action="append", help="with its angle brackets; several are taken in turn")
    parser.add_argument("--client", default="192.0.2.1")
    parser.add_argument("--helo", default="mail.example")
    arguments = parser.parse_args()
    if arguments.address == "-":
        _as_child()
        return
    senders = arguments.sender or ["<alice@example.com>"]
    load = Load(
        arguments.address,
        [Mail(sender=sender, client=arguments.client, helo=arguments.helo) for sender in senders],
        connections=arguments.connections,
        messages=arguments.messages,
        per_session=arguments.per_session,
        processes=arguments.processes,
    )
    with load:
        print(load.finish())


if __name__ == "__main__":
    main()
