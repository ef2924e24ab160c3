"""A process that serves sessions: libmilter in a side thread over our own socket, the main thread for signals.

Knows libmilter's life: how our socket is put under it, how it is drained, why it is not stopped (its own stop takes up
to five seconds and resets open sessions). Serves the settings with which it began.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

import milter

from spfmilter.evaluation.evaluator import Evaluator, Limits
from spfmilter.evaluation.lookups import Resolver
from spfmilter.milter.callbacks import Callbacks
from spfmilter.milter.listener import remove_socket
from spfmilter.milter.notify import notify
from spfmilter.observe import log
from spfmilter.settings import Settings

_MTA_PATIENCE = 7210  # seconds without a word from the MTA: libmilter's default, an SMTP session's longest pause


def serve(settings: Settings, listener: socket.socket) -> int:
    """Serve sessions until SIGTERM or SIGINT; the exit status."""
    stop = threading.Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()

    hostname = settings.headers.authserv_id or socket.gethostname()
    resolver = Resolver(settings.dns.nameservers)
    limits = Limits(
        time=settings.dns.timeout.seconds,
        lookups=settings.dns.lookup_limit,
        void_lookups=settings.dns.void_lookup_limit,
    )
    callbacks = Callbacks(settings, Evaluator(resolver, limits, receiver=hostname), hostname)
    callbacks.register()
    descriptor = _hand_over(listener)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # libmilter would stop on it
    failed = threading.Event()
    threading.Thread(target=_run_libmilter, args=(stop, failed), name="libmilter", daemon=True).start()
    servers = ", ".join(str(server) for server in resolver.nameservers())
    log.info("serving", socket=str(settings.milter.socket), mode=settings.policy.mode, nameservers=servers)
    notify("READY=1", f"STATUS=serving on {settings.milter.socket}, mode {settings.policy.mode}")
    stop.wait()
    notify("STOPPING=1")
    _drain(descriptor, callbacks, settings.milter.drain_timeout.seconds)
    remove_socket(settings.milter.socket, listener)
    return 1 if failed.is_set() else 0


def _hand_over(listener: socket.socket) -> int:
    """Put our socket in the place of the one that libmilter opens; the descriptor that libmilter knows.

    libmilter takes no descriptor, so it opens a socket of the same family somewhere harmless, which is then replaced
    (dup2). Its address family must be that of ours.
    """
    with tempfile.TemporaryDirectory(prefix="spfmilter-") as folder:
        names = {
            socket.AF_INET: "inet:0@127.0.0.1",
            socket.AF_INET6: "inet6:0@::1",
            socket.AF_UNIX: f"unix:{folder}/socket",
        }
        milter.setconn(names[socket.AddressFamily(listener.family)])
        milter.settimeout(_MTA_PATIENCE)
        before = _descriptors()
        milter.opensocket(False)  # noqa: FBT003 - pymilter's signature; nothing of this name can be there
        (descriptor,) = _descriptors() - before
    os.dup2(listener.fileno(), descriptor, inheritable=False)
    return descriptor


def _descriptors() -> set[int]:
    """The open sockets of this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith("socket:"):
                found.add(int(entry.name))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return found


def _run_libmilter(stop: threading.Event, failed: threading.Event) -> None:
    try:
        milter.main()
    except milter.error as error:
        log.error("libmilter has ended", reason=str(error))
    if not stop.is_set():
        failed.set()
        stop.set()


def _drain(descriptor: int, callbacks: Callbacks, timeout: float) -> None:
    """Take no new session, let the open ones finish their work, ``timeout`` seconds at most.

    A socket that nobody can reach takes the place of the listening one: libmilter goes on to wait for connections on
    it, which never come, and serves those that it has.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as dead_end:
        dead_end.bind("")  # an abstract name that the kernel chooses
        dead_end.listen(1)
        os.dup2(dead_end.fileno(), descriptor, inheritable=False)
    start = time.monotonic()
    left = callbacks.wait_until_idle(timeout)
    log.info("stopped", open_sessions=left, seconds=round(time.monotonic() - start, 1))
