"""systemd without systemd: sockets passed as sd_listen_fds(3) says, and the words of sd_notify(3)."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab.daemon import SpfmilterDaemon
from lab.load import Load
from lab.processes import has_ipv6, until
from spfmilter.settings.schema import MilterSection
from tests.survival.site import FAIL, PASS, PLAIN, NameServer, ask, changed, frozen, ini, name_server, workers

RESTARTS = 3


@pytest.fixture(scope="module")
def dns() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


@contextmanager
def listening(family: str, folder: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd would open it from a .socket unit, and its address for clients."""
    families: dict[str, tuple[int, tuple[str, int] | str]] = {
        "inet": (socket.AF_INET, ("127.0.0.1", 0)),
        "inet6": (socket.AF_INET6, ("::1", 0)),
        "unix": (socket.AF_UNIX, str(folder / "socket")),
    }
    kind, name = families[family]
    with socket.socket(kind) as sock:
        sock.bind(name)
        sock.listen(4096)
        bound = sock.getsockname()
        yield sock, f"unix:{bound}" if family == "unix" else f"{family}:{bound[1]}@{bound[0]}"


FAMILIES = [
    "inet",
    "unix",
    pytest.param("inet6", marks=pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_restarts_under_load_refuse_no_message(dns: NameServer, family: str, tmp_path: Path) -> None:
    with listening(family, tmp_path) as (sock, address), ExitStack() as stack:
        load = None
        codes = []
        for _ in range(RESTARTS):
            daemon = SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock])
            with daemon:
                if load is None:
                    load = stack.enter_context(Load(address, PLAIN, connections=16, per_session=3))
                load.wait_for(load.verdict_count + 200)
                assert ask(address, FAIL) == "550"
                codes.append(daemon.stop())
        assert load is not None
        with SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock]):
            load.wait_for(load.verdict_count + 200)
            tally = load.stop()
        assert family != "unix" or (tmp_path / "socket").is_socket(), "the name is systemd's, not ours to remove"
    print(f"\n{RESTARTS} restarts on {family}: {tally}")
    assert codes == [0] * RESTARTS
    assert not tally.refused
    assert tally.cuts == []
    assert tally.offered == tally.verdict_count >= 200 * (RESTARTS + 1)


@pytest.mark.parametrize("number", [0, 2])
def test_another_number_of_sockets_is_refused(dns: NameServer, number: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(listening("inet", tmp_path))[0] for _ in range(number)]
        with pytest.raises(RuntimeError, match="ended with 73") as failure:
            SpfmilterDaemon(ini("systemd", dns.address), sockets=sockets).start()
    expected = (
        "systemd has passed 2 sockets: leave one ListenStream="
        if number
        else "passed none: systemctl enable --now spfmilter.socket"
    )
    assert expected in str(failure.value)


def test_a_datagram_socket_is_refused(dns: NameServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(
            RuntimeError, match=r"(?s)ended with 73.*is no listening stream socket: write ListenStream="
        ):
            SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock]).start()


def test_the_words_of_a_life(dns: NameServer, tmp_path: Path) -> None:
    """READY, RELOADING with its time, READY, STOPPING, in this order, with signs of life between them."""
    watch = {"WATCHDOG_USEC": "1000000"}
    with (
        listening("inet", tmp_path) as (sock, address),
        SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock], environment=watch) as daemon,
    ):
        first = next(note for note in daemon.notifications() if "READY" in note)
        assert re.fullmatch(r"READY=1\nSTATUS=serving on systemd, mode enforce, 2 workers", first)
        daemon.wait_for_notification("^WATCHDOG=1$", count=3)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.signal(signal.SIGHUP)
        said = daemon.wait_for_notification("RELOADING=1")
        when = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", said)
        assert when is not None
        assert before <= int(when[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.wait_for_notification("READY=1", count=2)
        assert ask(address) == "continue"
        daemon.stop()
        words = [note.partition("=")[0] for note in daemon.notifications() if not note.startswith("WATCHDOG")]
    assert words == ["READY", "RELOADING", "READY", "STOPPING"]
    assert "STOPPING=1\nSTATUS=draining" in daemon.notifications()


def test_hanging_workers_starve_the_watchdog(dns: NameServer, tmp_path: Path) -> None:
    """The service manager hears nothing while no worker is known to work, and again when new ones do."""
    with (
        listening("inet", tmp_path) as (sock, address),
        SpfmilterDaemon(
            ini("systemd", dns.address),
            sockets=[sock],
            environment={"WATCHDOG_USEC": "200000"},
            command=changed({"daemon.fleet.MAX_SILENCE": 4.0, "daemon.slots.MAX_BEAT_AGE": 1.0}),
        ) as daemon,
    ):

        def fed() -> int:
            return daemon.notifications().count("WATCHDOG=1")

        daemon.wait_for_notification("WATCHDOG=1", count=4)
        for pid in workers(daemon):
            os.kill(pid, signal.SIGSTOP)
            until(lambda pid=pid: frozen(pid), 5, "it stands still")
        before = fed()
        hungry = 0

        def killed() -> bool:
            nonlocal hungry
            signs = fed() - before  # before the look into the log: soon after that line it is fed again
            if "worker not responding, killed" in daemon.log():
                return True
            hungry = signs
            return False

        until(killed, 10, daemon.log)
        until(lambda: fed() > before + hungry + 2, 10, "fed again")
        assert ask(address, PASS) == "continue"
    print(f"\n{hungry} signs of life in the 4 s after all workers had stopped")
    assert hungry <= 4  # those of the first second; eight if nothing starved


def test_the_socket_unit_opens_what_the_daemon_takes() -> None:
    """One stream socket, where the daemon itself would listen by default, with the options that it would set."""
    unit = (Path(__file__).parents[2] / "systemd" / "spfmilter.socket").read_text()
    listen = MilterSection().socket
    assert re.findall(r"(?m)^Listen\w+=.*", unit) == [f"ListenStream={listen.host}:{listen.port}"]
    assert {"NoDelay=yes", "Backlog=4096"} <= set(unit.splitlines())


def test_a_watchdog_meant_for_another_process_is_not_fed(dns: NameServer, tmp_path: Path) -> None:
    watch = {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}
    with (
        listening("inet", tmp_path) as (sock, _),
        SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock], environment=watch) as daemon,
    ):
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)
        assert "WATCHDOG=1" not in daemon.notifications()
