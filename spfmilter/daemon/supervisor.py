"""The supervisor: keeps the workers alive, reloads, stops; never enters libmilter itself.

Knows processes, the settings of each generation, and the service manager. It owns the listening socket, which outlives
every worker, so that no connection is refused while they come and go. It decides nothing about its workers: signals and
the workers' words become events of the fleet, and it performs the commands that ``fleet.step`` answers with.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from types import FrameType

from spfmilter.daemon import child as children
from spfmilter.daemon import exemptiontask, fleet
from spfmilter.daemon.beside import Beside
from spfmilter.daemon.child import Child
from spfmilter.daemon.events import (
    Announce,
    AnnounceStop,
    CloseListener,
    Command,
    Dismiss,
    Ended,
    Event,
    GiveUp,
    Heard,
    Hurry,
    Kill,
    LogDeath,
    LogEnd,
    LogWaitingReload,
    News,
    ReadSettings,
    RefuseReload,
    ReloadRequested,
    SettingsRead,
    SettingsRefused,
    Start,
    StartFailed,
    StopRequested,
    Switch,
    Tick,
    WorkerPlan,
)
from spfmilter.daemon.guard import Guard
from spfmilter.daemon.listener import remove_socket
from spfmilter.daemon.notify import notify, reloading, watchdog_interval
from spfmilter.daemon.reload import RefusedError, read
from spfmilter.daemon.shared import Shared
from spfmilter.daemon.slots import begin
from spfmilter.daemon.statusreport import StatusReport
from spfmilter.daemon.worker import Worker
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics, forget, open_metrics, try_again
from spfmilter.settings import Settings

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_LIMITS = "raise the limits of the process (ulimit -a), or free memory"
_CORRECT = "correct what this line or the lines before it name, then systemctl reload spfmilter"
_CLEAN, _KILLED = children.ending(0), children.ending(signal.SIGKILL)
_SEARCH = "look for the kernel's memory killer (journalctl -k), and at the lines before this one"
_REPORT = "correct what the lines before this one name; if there are none, report it"


class Supervisor:
    """One daemon: its settings, its socket, its processes."""

    def __init__(
        self, path: Path, settings: Settings, listener: socket.socket, metrics_folder: Path | None, hostname: str
    ) -> None:
        self._path, self._settings, self._listener, self._hostname = path, settings, listener, hostname
        self._metrics_folder = metrics_folder
        self._metrics: Metrics = open_metrics(metrics_folder, "supervisor")
        self._shared = Shared()
        exemptiontask.begin(settings, self._shared.exemptions)
        self._beside = Beside(metrics_folder, self._shared, self._let_go_of_all)
        self._workers: dict[int, Child] = {}  # by slot, of all generations
        self._fleet = begin(_plan(settings), time.monotonic())
        self._events: deque[Event] = deque()  # on which the fleet has not decided yet
        self._deciding = False
        self._settings_of = {self._fleet.serving.number: settings}  # by generation, while it may start workers
        self._watchdog = watchdog_interval()
        self._next_sign = 0.0
        self._trouble = ""  # for the service manager's status line
        counting, processes = metrics_folder is not None, self._beside.processes
        self._report = StatusReport(path, listener, processes, self._shared, counting=counting)
        self._report.begin(settings, time.monotonic())
        self._status = 0
        self._selector = selectors.DefaultSelector()
        self._wakeup, self._wake = socket.socketpair()
        self._guard = Guard()

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status."""
        self._catch_signals()
        children.raise_file_limit()
        while not self._fleet.has_ended:
            self._tick(time.monotonic())
            for key, _ in self._selector.select(self._fleet.seconds_until_due(time.monotonic())):
                if key.data is None:
                    self._on_signals(self._wakeup.recv(4096))
                else:
                    self._guard.run(self._listen, key.data)
        self._guard.run(self._beside.finish, self._settings, time.monotonic())
        self._guard.run(self._shared.close)
        self._report.remove()
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
                self._note(StopRequested(signal.Signals(number).name))
            elif number == signal.SIGHUP:
                self._note(ReloadRequested())

    def _tick(self, now: float) -> None:
        """Do what is due. A step that fails leaves the others."""
        self._guard.run(self._reap)
        self._note(Tick())
        if self._fleet.stop_at is None:
            self._guard.run(self._beside.keep_exporter, self._settings, now)
            self._guard.run(self._sign_of_life, now)
        self._guard.run(self._beside.keep_storage, self._settings, now)  # also for the last rows
        self._guard.run(self._write_status, now)
        self._guard.run(self._say_what_waits)

    def _write_status(self, now: float) -> None:
        self._report.keep(self._fleet, self._workers, now)

    def _say_what_waits(self) -> None:
        """Write to the log and the service manager what they have not taken before."""
        log.flush()
        notify()
        self._metrics.log_lines_lost(log.lost())
        exemptions = self._shared.exemptions.state()
        self._metrics.exemptions(exemptions.number, exemptions.errors)
        rows = self._shared.rows()
        self._metrics.journal(
            written=rows.written, dropped=rows.dropped, waiting=rows.waiting, reachable=rows.reachable
        )

    def _sign_of_life(self, now: float) -> None:
        """Feed the service manager's watchdog, as long as a worker beats."""
        if self._watchdog is not None and now >= self._next_sign and self._fleet.is_alive(now):
            self._next_sign = now + self._watchdog
            notify("WATCHDOG=1")

    # -- events and commands -----------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        """Let the fleet decide on an event, and perform its commands; what they report in turn comes after them."""
        self._events.append(event)
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._events:
                self._guard.run(self._decide, self._events.popleft())
        finally:
            self._deciding = False

    def _decide(self, event: Event) -> None:
        self._fleet, commands = fleet.step(self._fleet, event, time.monotonic())
        for command in commands:
            self._perform(command)

    def _perform(self, command: Command) -> None:  # noqa: C901, PLR0912 - one line for each command
        run = self._guard.run
        match command:
            case Start():
                run(self._start, command)
            case Dismiss() | Hurry():
                run(self._tell_to_end, command)
            case Kill():
                run(self._kill, command)
            case LogDeath():
                run(self._log_death, command)
            case LogEnd():
                run(self._log_end, command)
            case ReadSettings(generation=generation):
                run(self._read_settings, generation)
            case LogWaitingReload(draining=draining):
                log.info("reload waiting", draining=draining)
            case Switch(generation=generation):
                run(self._switch, generation)
            case RefuseReload(reason=reason):
                run(self._refuse_reload, reason)
            case Announce(news=news):
                run(self._announce, news)
            case GiveUp():
                self._status = os.EX_SOFTWARE
                log.error("cannot serve: workers exit as soon as they start", fix="what the workers logged before")
            case AnnounceStop(why=why):
                run(self._announce_stop, why)
            case CloseListener():
                run(remove_socket, self._settings.milter.socket, self._listener)

    # -- workers -----------------------------------------------------------------------------------------------------

    def _start(self, command: Start) -> None:
        settings, slot = self._settings_of[command.generation], command.slot
        folder, listener, hostname, shared = self._metrics_folder, self._listener, self._hostname, self._shared
        processor = self._processor_for(command.generation) if settings.milter.pin_workers else None

        def work(link: socket.socket) -> int:
            if processor is not None:
                children.keep_to(processor)
            children.use_batch_scheduling()
            metrics = open_metrics(folder, f"worker{slot}")
            return Worker(settings, listener, link, metrics, hostname, shared.of_worker(slot, settings)).serve()

        try:
            child = children.fork(work, slot, self._let_go)
        except OSError as error:  # too many processes or files, or too little memory: perhaps not for long
            log.error("worker cannot be started", reason=error.strerror or str(error), fix=_LIMITS)
            self._note(StartFailed(slot))
            return
        child.processor = processor
        self._workers[slot] = child
        try:
            self._selector.register(child.link, selectors.EVENT_READ, child)
        except OSError as error:  # what it says would not be heard
            log.error("worker cannot be started", reason=error.strerror or str(error), fix=_LIMITS)
            child.signal(signal.SIGKILL)

    def _processor_for(self, generation: int) -> int:
        """The processor, of those that we may use, on which the fewest of a generation's workers are."""
        slots = {slot.number for slot in self._fleet.of(generation)}
        busy = Counter(child.processor for child in self._workers.values() if child.slot in slots)
        return min(sorted(os.sched_getaffinity(0)), key=lambda processor: busy[processor])

    def _let_go(self) -> None:
        """In a new worker: close what is the supervisor's, so that workers see its end, and each other's."""
        self._selector.close()
        for sock in (self._wakeup, self._wake, *(c.link for c in self._workers.values())):
            sock.close()
        self._beside.let_go()

    def _let_go_of_all(self) -> None:
        """In a background process: the listening socket, too."""
        self._let_go()
        self._listener.close()

    def _listen(self, child: Child) -> None:
        """Report what a worker has said, unless its end has been reported since."""
        words = child.listen()
        if words is not None and self._workers.get(child.slot) is child:
            self._note(Heard(child.slot, words))

    def _tell_to_end(self, command: Dismiss | Hurry) -> None:
        if child := self._workers.get(command.slot):
            if isinstance(command, Dismiss):
                child.dismiss()
            else:
                child.hurry()

    def _kill(self, command: Kill) -> None:
        child = self._workers.get(command.slot)
        if child is None:  # its start failed in a way that was not reported
            self._note(Ended(command.slot, 0, "not started"))
            return
        if command.silent is not None:
            fix = "report it, unless this host was too busy, or its disk or memory too slow"
            log.error("worker not responding, killed", pid=child.pid, silent=round(command.silent, 1), fix=fix)
        child.signal(signal.SIGKILL)

    def _reap(self) -> None:
        """Report the children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._guard.run(self._shared.ended, pid)
            child = next((child for child in self._workers.values() if child.pid == pid), None)
            if child is None:
                self._beside.ended(pid, status)
                continue
            self._guard.run(self._listen, child)  # its last words
            del self._workers[child.slot]
            self._guard.run(self._let_go_of, child)
            self._note(Ended(child.slot, pid, children.ending(status)))

    def _let_go_of(self, child: Child) -> None:
        with suppress(KeyError):  # it was never registered
            self._selector.unregister(child.link)
        child.link.close()
        log.ended(child.slot)
        forget(self._metrics_folder, f"worker{child.slot}")

    def _log_death(self, command: LogDeath) -> None:
        self._metrics.worker_ended(command.how)
        self._report.worker_exited(command.slot, command.how, time.monotonic())
        seconds, restart_in = round(command.seconds, 1), round(command.restart_in, 1)
        log.error(
            "worker exited unexpectedly",
            pid=command.pid,
            how=command.how,
            seconds=seconds,
            restart_in=restart_in,
            fix=_SEARCH if command.how == _KILLED else _REPORT,
        )

    def _log_end(self, command: LogEnd) -> None:
        level = log.info if command.how == _CLEAN else log.warning
        level("worker exited", pid=command.pid, how=command.how)

    # -- settings ----------------------------------------------------------------------------------------------------

    def _read_settings(self, generation: int) -> None:
        """Validate the settings of a new generation; a bad file changes nothing."""
        reloading()
        try:
            fresh = read(self._path, self._settings, counting=self._metrics_folder is not None)
        except RefusedError as error:
            self._note(SettingsRefused(str(error)))
            return
        self._settings_of[generation] = fresh
        log.configure(fresh.log)
        self._note(SettingsRead(_plan(fresh)))

    def _switch(self, generation: int) -> None:
        self._settings = self._settings_of[generation]
        self._settings_of = {generation: self._settings}
        exemptiontask.settle(self._settings, self._shared.exemptions)
        self._report.begin(self._settings, time.monotonic())
        self._trouble = ""
        self._metrics = try_again(self._metrics, self._metrics_folder, "supervisor")

    def _refuse_reload(self, reason: str) -> None:
        self._settings_of = {self._fleet.serving.number: self._settings}
        log.configure(self._settings.log)
        log.error("configuration rejected, old settings stay in force", reason=reason, fix=_CORRECT)
        self._metrics.reload("refused")
        self._report.reload_ended(time.monotonic(), refused=reason)
        self._trouble = f"; reload refused: {reason}"

    def _announce(self, news: News) -> None:
        """Tell the log and the service manager how things are."""
        if news is News.RELOADED:
            self._metrics.reload("done")
            self._report.reload_ended(time.monotonic())
        milter, mode = self._settings.milter, self._settings.policy.mode
        number = self._fleet.serving.plan.workers
        self._metrics.workers(number)
        log.info(news.value, socket=str(milter.socket), mode=mode, workers=number)
        notify("READY=1", f"STATUS=serving on {milter.socket}, mode {mode}, {number} workers{self._trouble}")

    def _announce_stop(self, why: str) -> None:
        log.info("stopping", signal=why, drain_timeout=str(self._settings.milter.drain_timeout))
        state = "cannot serve: workers exit as soon as they start; the log says why" if self._status else "draining"
        notify("STOPPING=1", f"STATUS={state}")


def worker_count(settings: Settings) -> int:
    """How many workers the settings ask for; auto: one a processor, but two at least, so that one can fail."""
    wanted = settings.milter.workers
    return max(2, len(os.sched_getaffinity(0))) if wanted == "auto" else int(wanted)


def _plan(settings: Settings) -> WorkerPlan:
    return WorkerPlan(workers=worker_count(settings), drain_timeout=settings.milter.drain_timeout.seconds)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """The signal's number has been written to the wake-up descriptor: that is all."""
