"""Start the daemon: log, secrets, socket, self-test, supervisor, in this order. Clean up after it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from spfmilter.daemon import folders, freed
from spfmilter.daemon.listener import ListenError, open_listener, remove_socket
from spfmilter.daemon.reload import report_journal, report_without_effect
from spfmilter.daemon.supervisor import Supervisor
from spfmilter.dns import selftest
from spfmilter.dns.answer import Answer, Status
from spfmilter.dns.resolver import Resolver
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.observe import log
from spfmilter.settings import Settings
from spfmilter.settings.values import Nameserver

_SELF_TEST_TIME = 5.0  # seconds


class StartError(Exception):
    """The daemon cannot start; the log says why."""


def serve(path: Path, settings: Settings, *, self_test: bool = False) -> int:
    """Run the daemon until it is told to stop. Return the exit status.

    Raises:
        StartError: the socket cannot be opened, the system lacks descriptors or memory, or the secrets are wrong.
    """
    log.capture_output()
    log.configure(settings.log)
    try:
        _make_secrets(settings)
        listener = open_listener(settings.milter)
    except (ListenError, SecretError) as error:
        log.error("cannot start", reason=str(error))
        raise StartError(str(error)) from None
    report_without_effect(settings)
    report_journal(settings)
    if next(settings.lists(), None) is not None:
        freed.give_back()
    if self_test:
        test_resolvers(settings)
    folder = _metrics_folder(settings)
    try:
        return _supervisor(path, settings, listener, folder).run()
    finally:
        remove_socket(settings.milter.socket, listener)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _make_secrets(settings: Settings) -> None:
    """Create the secrets if there are none yet, so all workers have the same.

    If the disk is full, start all the same: mail must not wait for links. The workers log that links are disabled.

    Raises:
        SecretError: the settings or the file are wrong.
    """
    try:
        open_signer(settings)
    except SecretError as error:
        if not error.passing:
            raise


def _supervisor(path: Path, settings: Settings, listener: socket.socket, folder: Path | None) -> Supervisor:
    # Look up the host's name once, and here: without a working DNS, it may take longer than a worker may take to start.
    try:
        return Supervisor(path, settings, listener, folder, socket.getfqdn())
    except OSError as error:
        reason = error.strerror or str(error)
        log.error("cannot start", reason=reason, fix="raise the limits of the process (ulimit -a)")
        raise StartError(reason) from None


def ask_nameservers(settings: Settings) -> Iterator[tuple[Nameserver, Answer]]:
    """Ask each nameserver, one after the other, for a name that exists. Yield it with its answer."""
    for server in Resolver(settings.dns.nameservers).nameservers():
        yield server, selftest.ask(server, _SELF_TEST_TIME)


def test_resolvers(settings: Settings) -> bool:
    """Query each nameserver for a name that exists, and log why a nameserver does not answer.

    Returns:
        Whether at least one answered. If none did, the daemon starts all the same: failed lookups are temperrors.
    """
    servers = []
    working = 0
    for server, answer in ask_nameservers(settings):
        servers.append(server)
        if answer.status is Status.FAILED:
            log.error(
                "self-test: nameserver does not answer",
                nameserver=str(server),
                reason=answer.failure,
                fix=selftest.FIX,
            )
        else:
            working += 1
            log.info("self-test: nameserver answers", nameserver=str(server), outcome=answer.status.value)
    if not working:
        log.error(
            "self-test: no nameserver answers; every check will be a temperror until one does",
            nameservers=", ".join(map(str, servers)),
            fix=selftest.FIX,
        )
    return bool(working)


def _metrics_folder(settings: Settings) -> Path | None:
    """Return the folder for the processes' counters: in the service's runtime folder, else a temporary one."""
    if not settings.metrics.listen:
        return None
    try:
        return folders.make("spfmilter-metrics-")
    except OSError as error:  # mail must not wait for metrics
        reason = error.strerror or str(error)
        log.error("metrics disabled, no folder for them", reason=reason, fix="make space, and restart")
        return None
