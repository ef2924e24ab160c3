"""The supervisor: keeps the workers alive, reloads, stops; never enters libmilter itself.

Knows processes, generations of settings, and the service manager. It owns the listening socket, which outlives every
worker, so that no connection is refused while they come and go. One thread, one loop: signals and the workers' words
come in, and ``_tick`` does what is due.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from spfmilter.daemon import child as children
from spfmilter.daemon import exporter
from spfmilter.daemon.child import Child
from spfmilter.daemon.guard import Guard
from spfmilter.daemon.listener import remove_socket
from spfmilter.daemon.notify import notify, reloading, watchdog_interval
from spfmilter.daemon.reload import MOST_OLD, Pace, RefusedError, read
from spfmilter.daemon.worker import Worker
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics, forget, open_metrics, try_again
from spfmilter.settings import Settings
from spfmilter.state import Table, open_deferrals

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_TICK = 0.5  # seconds at most between two looks at what is due
_SILENCE = 15.0  # seconds without a heartbeat after which a worker is killed
_FRESH = 5.0  # seconds for which a heartbeat makes the service manager believe in us
_START = 30.0  # seconds that a worker may take to serve
_SHORT_LIFE = 10.0  # seconds: a worker that ends sooner is restarted more slowly each time
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # seconds; the first restart has none
_GIVE_UP_AFTER = 5  # short-lived workers before the daemon has ever served
_GRACE = 5.0  # seconds beyond drain_timeout before workers are killed at the end


@dataclass(slots=True)
class _Coming:
    """A reload under way: the settings whose workers are starting."""

    settings: Settings
    generation: int
    deadline: float


class Supervisor:
    """One daemon: its settings, its socket, its processes."""

    def __init__(
        self, path: Path, settings: Settings, listener: socket.socket, metrics_folder: Path | None, hostname: str
    ) -> None:
        self._path, self._settings, self._listener, self._hostname = path, settings, listener, hostname
        self._metrics_folder = metrics_folder
        self._metrics: Metrics = open_metrics(metrics_folder, "supervisor")
        self._exporter = exporter.ExporterProcess(metrics_folder, self._let_go_of_all)
        self._table = Table()  # outlives every worker and every reload
        self._workers: dict[int, Child] = {}  # by pid, of all generations
        self._generation = 0  # the one that serves
        self._newest = 0
        self._coming: _Coming | None = None
        self._wanted = False  # a reload has been asked for and has not begun
        self._pace = Pace()
        self._switching = False  # the new generation serves, but the old one has not let go of the socket yet
        self._served = False
        self._stopping: float | None = None  # when workers that are left are killed
        self._short_lives = 0
        self._next_start = 0.0
        self._last_tick = time.monotonic()
        self._watchdog = watchdog_interval()
        self._next_sign = 0.0
        self._trouble = ""  # for the service manager's status line
        self._status = 0
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wake = socket.socketpair()
        self._guard = Guard()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        self._catch_signals()
        children.raise_file_limit()
        while not self._finished():
            self._tick(time.monotonic())
            for key, _ in self._selector.select(_TICK):
                if key.data is None:
                    self._on_signals(self._wakeup.recv(4096))
                else:
                    self._guard.run(key.data.listen, time.monotonic())
        self._exporter.stop()
        log.info("stopped")
        return self._status

    def _catch_signals(self) -> None:
        for end in (self._wakeup, self._wake):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, _ignore)  # a handler, so that the wake-up descriptor is written to
        self._selector.register(self._wakeup, selectors.EVENT_READ, None)

    def _on_signals(self, numbers: bytes) -> None:
        self._guard.run(self._reap)
        for number in numbers:
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._guard.run(self._stop, signal.Signals(number).name)
            elif number == signal.SIGHUP:
                self._wanted = True

    def _finished(self) -> bool:
        return self._stopping is not None and not self._workers

    def _tick(self, now: float) -> None:
        """Whatever is due; what goes wrong with one thing leaves the others."""
        self._guard.run(self._reap)
        self._guard.run(self._watch, now)
        if self._stopping is not None:
            self._guard.run(self._end, now)
        else:
            for step in (self._begin_reload, self._fill, self._settle, self._replace_tired):
                self._guard.run(step, now)
            self._guard.run(self._exporter.keep, self._settings.metrics.listen, now)
            self._guard.run(self._sign_of_life, now)
        self._guard.run(self._say_what_waits)

    def _end(self, now: float) -> None:
        # Now and not at the end: an MTA that finds nobody here tempfails at once, instead of waiting in the queue of a
        # socket that nobody serves any more.
        if all(c.draining for c in self._workers.values()):
            remove_socket(self._settings.milter.socket, self._listener)
        if self._stopping is not None and now > self._stopping:
            self._signal_all(signal.SIGKILL)

    def _say_what_waits(self) -> None:
        """Write to the log and the service manager what they have not taken before."""
        log.flush()
        notify()
        self._metrics.log_lines_lost(log.lost())

    # -- workers -----------------------------------------------------------------------------------------------------

    def _of(self, generation: int) -> Iterator[Child]:
        return (c for c in self._workers.values() if c.generation == generation and not c.leaving)

    def _fill(self, now: float) -> None:
        """Start the workers that are missing, in the serving generation and in the coming one."""
        plans = [(self._generation, self._settings)]
        if self._coming is not None:
            plans.append((self._coming.generation, self._coming.settings))
        for generation, settings in plans:
            missing = worker_count(settings) - sum(not _is_due(c, now) for c in self._of(generation))
            for _ in range(missing):
                if now < self._next_start:
                    break
                self._start(generation, settings, now)

    def _start(self, generation: int, settings: Settings, now: float) -> None:
        taken = {c.slot for c in self._workers.values()}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        folder, listener, hostname, table = self._metrics_folder, self._listener, self._hostname, self._table
        processor = self._processor_for(generation) if settings.milter.pin_workers else None

        def work(link: socket.socket) -> int:
            if processor is not None:
                children.keep_to(processor)
            children.use_batch_scheduling()
            metrics = open_metrics(folder, f"worker{slot}")
            deferrals = open_deferrals(settings.state.url, table, bound=settings.policy.defer_at_most.seconds)
            return Worker(settings, listener, link, metrics, hostname, deferrals=deferrals).serve()

        try:
            child = children.fork(work, slot, generation, now, self._let_go)
        except OSError as error:  # too many processes or files, or too little memory: perhaps not for long
            log.error("worker cannot be started", reason=error.strerror or str(error))
            self._next_start = now + _LONGEST_DELAY
            return
        child.processor = processor
        self._workers[child.pid] = child
        try:
            self._selector.register(child.link, selectors.EVENT_READ, child)
        except OSError as error:  # what it says would not be heard
            log.error("worker cannot be started", reason=error.strerror or str(error))
            self._next_start = now + _LONGEST_DELAY
            child.signal(signal.SIGKILL)

    def _processor_for(self, generation: int) -> int:
        """The processor, of those that we may use, on which the fewest of a generation's workers are."""
        busy = Counter(child.processor for child in self._of(generation))
        return min(sorted(os.sched_getaffinity(0)), key=lambda processor: busy[processor])

    def _let_go(self) -> None:
        """In a new worker: close what is the supervisor's, so that workers see its end, and each other's."""
        self._selector.close()
        for sock in (self._wakeup, self._wake, *(c.link for c in self._workers.values())):
            sock.close()
        self._exporter.let_go()

    def _let_go_of_all(self) -> None:
        """In the exporter: the listening socket, too."""
        self._let_go()
        self._listener.close()

    def _reap(self) -> None:
        """Take note of the children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._workers.pop(pid, None)
            if child is None:
                self._exporter.ended(pid, status)
                continue
            self._guard.run(self._let_go_of, child)
            self._guard.run(self._on_end, child, status, time.monotonic())

    def _let_go_of(self, child: Child) -> None:
        with suppress(KeyError):  # it was never registered
            self._selector.unregister(child.link)
        child.link.close()
        log.ended(child.slot)
        forget(self._metrics_folder, f"worker{child.slot}")

    def _on_end(self, child: Child, status: int, now: float) -> None:
        how = children.ending(status)
        if child.leaving:
            level = log.info if status == 0 else log.warning
            level("worker exited", pid=child.pid, how=how)
            return
        seconds = round(now - child.started, 1)
        self._metrics.worker_ended(how)
        if self._coming is not None and child.generation == self._coming.generation:
            log.error("worker exited unexpectedly", pid=child.pid, how=how, seconds=seconds)
            self._give_up_reload(f"a worker with the new settings ended: {how}")
            return
        self._short_lives = self._short_lives + 1 if now - child.started < _SHORT_LIFE else 0
        pause = 0.0
        if self._short_lives > 1:
            pause = min(_FIRST_DELAY * 2 ** min(self._short_lives - 2, 10), _LONGEST_DELAY)
        self._next_start = now + pause
        log.error("worker exited unexpectedly", pid=child.pid, how=how, seconds=seconds, restart_in=pause)
        if not self._served and self._short_lives >= _GIVE_UP_AFTER:
            log.error("cannot serve: workers exit as soon as they start")
            self._status = os.EX_SOFTWARE
            self._stop("failure")

    def _watch(self, now: float) -> None:
        """Kill what does not answer; its end is then noticed as any other."""
        late = now - self._last_tick - _TICK
        self._last_tick = now
        for child in self._workers.values():
            if late > _TICK:  # we were frozen or starved: what the workers said meanwhile is still to be read
                child.last_beat += late
            silence = _SILENCE if child.ready else _START
            if now - child.last_beat > silence:
                log.error("worker not responding, killed", pid=child.pid, silent=round(now - child.last_beat, 1))
                child.signal(signal.SIGKILL)
                child.ready, child.last_beat = False, now

    def _replace_tired(self, now: float) -> None:
        """Let workers that have asked for it go, once others serve in their place; too many of those must hurry.

        Where no other can be started, perhaps for want of what these hold (processes, threads), one goes before that,
        as long as another is left to serve.
        """
        ready = [c for c in self._of(self._generation) if c.ready]
        due = [c for c in self._of(self._generation) if _is_due(c, now)]
        if sum(c not in due for c in ready) >= worker_count(self._settings):
            for child in due:
                child.dismiss()
        elif due and now < self._next_start and len(ready) > 1 and not any(c.leaving for c in self._workers.values()):
            due[0].dismiss()
        old = [c for c in self._workers.values() if c.generation == self._generation and c.leaving]
        for child in sorted(old, key=lambda c: c.started)[: -MOST_OLD * worker_count(self._settings)]:
            child.hurry()

    # -- settings ----------------------------------------------------------------------------------------------------

    def _begin_reload(self, now: float) -> None:
        """After SIGHUP: validate, then start workers with the new settings; a bad file changes nothing."""
        if not self._wanted or self._coming is not None or self._switching:
            return
        if not self._pace.allows([c for c in self._workers.values() if c.generation != self._generation], now):
            return
        self._wanted = False
        reloading()
        try:
            fresh = read(self._path, self._settings, counting=self._metrics_folder is not None)
        except RefusedError as error:
            self._give_up_reload(str(error))
            return
        self._newest += 1
        self._coming = _Coming(fresh, self._newest, now + _START)
        log.configure(fresh.log)

    def _settle(self, now: float) -> None:
        """Whether the first generation serves, and how far a reload has come."""
        if self._coming is not None:
            ready = sum(c.ready for c in self._of(self._coming.generation))
            if ready >= worker_count(self._coming.settings):
                self._switch(self._coming)
            elif now > self._coming.deadline:
                self._give_up_reload(f"workers with the new settings did not serve within {_START:g} s")
        elif self._switching:
            old = [c for c in self._workers.values() if c.generation < self._generation]
            if all(c.draining for c in old):
                self._switching = False
                self._metrics.reload("done")
                self._announce("reloaded")
        elif not self._served:
            serving = sum(c.ready for c in self._of(self._generation))
            if serving >= worker_count(self._settings):
                self._served = True
                self._announce("serving")

    def _switch(self, coming: _Coming) -> None:
        self._settings, self._generation, self._coming = coming.settings, coming.generation, None
        self._switching, self._trouble, self._short_lives = True, "", 0
        self._metrics = try_again(self._metrics, self._metrics_folder, "supervisor")
        for child in list(self._workers.values()):
            if child.generation < self._generation and not child.leaving:
                child.dismiss()

    def _give_up_reload(self, why: str) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            for child in list(self._of(coming.generation)):
                child.hurry()
        log.configure(self._settings.log)
        log.error("configuration rejected, old settings stay in force", reason=why)
        self._metrics.reload("refused")
        self._trouble = f"; reload refused: {why}"
        self._announce("not reloaded")

    def _announce(self, event: str) -> None:
        """Tell the log and the service manager how things are."""
        milter, mode = self._settings.milter, self._settings.policy.mode
        number = worker_count(self._settings)
        self._metrics.workers(number)
        log.info(event, socket=str(milter.socket), mode=mode, workers=number)
        notify("READY=1", f"STATUS=serving on {milter.socket}, mode {mode}, {number} workers{self._trouble}")

    # -- the end and signs of life -----------------------------------------------------------------------------------

    def _stop(self, why: str) -> None:
        """Let the workers finish; a second call does not wait for them."""
        now = time.monotonic()
        if self._stopping is not None:
            self._stopping = now
            return
        self._stopping = now + self._settings.milter.drain_timeout.seconds + _GRACE
        log.info("stopping", signal=why, drain_timeout=str(self._settings.milter.drain_timeout))
        notify("STOPPING=1", "STATUS=draining")
        for child in self._workers.values():
            child.hurry()

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._workers.values():
            child.signal(number)

    def _sign_of_life(self, now: float) -> None:
        """Feed the service manager's watchdog, as long as a worker beats."""
        if self._watchdog is None or now < self._next_sign:
            return
        if any(c.ready and now - c.last_beat < _FRESH for c in self._workers.values()):
            self._next_sign = now + self._watchdog
            notify("WATCHDOG=1")


def worker_count(settings: Settings) -> int:
    """How many workers the settings ask for; auto: one a processor, but two at least, so that one can fail."""
    wanted = settings.milter.workers
    return max(2, len(os.sched_getaffinity(0))) if wanted == "auto" else int(wanted)


def _is_due(child: Child, now: float) -> bool:
    """Whether a worker is to be replaced; not at once, lest a memory_limit that is too low keep us forking."""
    return child.tired and now - child.started > _SHORT_LIFE


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The signal's number has been written to the wake-up descriptor: that is all."""
