"""The daemon's life, seen from outside: sockets, signals, drain."""

import grp
import os
import signal
import socket
import stat
import threading
from contextlib import suppress

import pytest

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.milterwire import MilterError
from lab.processes import free_port, has_ipv6, until
from tests.wire.running import CLIENT, Running, folder, ini, running


def one_of_our_groups() -> str:
    """A group that this process may give a file to."""
    groups = [0] if os.geteuid() == 0 else os.getgroups()
    return grp.getgrgid(groups[0]).gr_name


# -- sockets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["inet", "inet6", "unix"])
def test_each_kind_of_socket_serves_and_the_daemon_ends_cleanly(dns: ScriptedDNS, kind: str) -> None:
    if kind == "inet6" and not has_ipv6():
        pytest.skip("no IPv6 here")
    with folder() as place:
        address = {
            "inet": f"inet:{free_port()}@127.0.0.1",
            "inet6": f"inet6:{free_port()}@::1",
            "unix": f"unix:{place}/socket",
        }[kind]
        with running(dns, address=address) as serving, serving.client() as mta:
            mta.greet(CLIENT)
            assert mta.mail("<u@fail.example>").code == "550"
            mta.quit()
        assert serving.daemon.process.returncode == 0
        assert list(place.iterdir()) == [], "a unix socket's name goes with the daemon"


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_a_unix_socket_has_the_configured_mode_and_group(dns: ScriptedDNS, mode: str) -> None:
    group = one_of_our_groups()
    with folder() as place:
        text = f"socket_mode = {mode}\nsocket_group = {group}\n"
        with running(dns, text, address=f"unix:{place}/socket"):
            (entry,) = place.iterdir()
            found = entry.stat()
            assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, int(mode, 8))
            assert found.st_gid == grp.getgrnam(group).gr_gid


def test_a_unix_socket_appears_with_its_mode_and_never_without(dns: ScriptedDNS) -> None:
    """A thread looks for the name all the time, and notes with which mode it is there."""
    seen: set[int] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            with suppress(FileNotFoundError):
                seen.add(stat.S_IMODE(path.stat().st_mode))

    with folder() as place:
        path = place / "socket"
        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            with running(dns, "socket_mode = 0666\n", address=f"unix:{path}"):
                over.set()
        finally:
            over.set()
            watcher.join()
    assert seen <= {0o666}


def test_a_stale_socket_of_a_dead_daemon_is_replaced(dns: ScriptedDNS) -> None:
    with folder() as place:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{place}/socket")
            dead.listen()
        with running(dns, address=f"unix:{place}/socket") as serving, serving.client() as mta:
            assert mta.negotiate().version == 6
        assert list(place.iterdir()) == []


def test_a_live_socket_is_never_stolen(dns: ScriptedDNS) -> None:
    with folder() as place, running(dns, address=f"unix:{place}/socket") as first:
        second = SpfmilterDaemon(ini(dns, first.address))
        with pytest.raises(RuntimeError, match=r"(?s)ended with 73.*another process serves this socket"):
            second.start()
        with first.client() as mta:
            mta.greet(CLIENT)
            assert mta.mail("<u@fail.example>").code == "550", "the first still serves"


def test_a_taken_port_is_not_shared(dns: ScriptedDNS) -> None:
    with running(dns) as first:
        second = SpfmilterDaemon(ini(dns, first.address))
        with pytest.raises(RuntimeError, match=r"(?s)ended with 73.*Address already in use; another process has port"):
            second.start()


def test_a_plain_file_in_the_sockets_place_is_not_removed(dns: ScriptedDNS) -> None:
    with folder() as place:
        (place / "socket").write_text("precious")
        with pytest.raises(RuntimeError, match=r"(?s)ended with 73.*not a socket"):
            SpfmilterDaemon(ini(dns, f"unix:{place}/socket")).start()
        assert [entry.name for entry in place.iterdir()] == ["socket"]
        assert (place / "socket").read_text() == "precious"


@pytest.mark.parametrize(
    ("address", "text", "said"),
    [
        ("unix:/nowhere/at/all/socket", "", "there is no folder /nowhere/at/all: install -d -o"),
        ("unix:/run/spfmilter-nowhere/socket", "", "let systemd make it, with RuntimeDirectory=spfmilter-nowhere"),
        ("unix:/tmp/never-made", "socket_group = no-such-group\n", "there is no group 'no-such-group': make it"),
        ("inet:8890@192.0.2.99", "", "cannot listen on inet:8890@192.0.2.99: .*; this host does not have the address"),
    ],
)
def test_a_socket_that_cannot_be_had_is_reported_and_ends_with_73(
    dns: ScriptedDNS, address: str, text: str, said: str
) -> None:
    with pytest.raises(RuntimeError, match=rf"(?s)ended with 73.*{said}"):
        SpfmilterDaemon(ini(dns, address, text)).start()


# -- signals -----------------------------------------------------------------------------------------------------------


def test_without_a_session_sigterm_stops_at_once(dns: ScriptedDNS) -> None:
    with running(dns, "drain_timeout = 1h\n") as serving:
        with serving.client() as mta:
            mta.greet(CLIENT)
            mta.deliver("<u@pass.example>", ["<r@example.net>"])
            mta.quit()
        assert serving.daemon.stop(timeout=10) == 0
    assert any("STOPPING=1" in text for text in serving.daemon.notifications())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_open_session_finishes_its_message_and_then_the_daemon_ends(
    dns: ScriptedDNS, number: signal.Signals
) -> None:
    with running(dns, "drain_timeout = 1h\n") as serving, serving.client() as mta:
        mta.greet(CLIENT)
        assert mta.mail("<u@soft.example>").kind == "continue"
        serving.daemon.signal(number)
        serving.daemon.wait_for_notification("STOPPING=1")
        assert "X-SPF-Notice" in [field.name for field in mta.eom().inserted]
        assert mta.mail("<u@fail.example>").code == "550", "and a further message on the same connection"
        mta.quit()
        assert serving.daemon.process.wait(120) == 0


def is_refused(serving: Running) -> bool:
    """Whether nothing listens there, nor will: STOPPING=1 says only that the end has begun."""
    try:
        with serving.client() as late:
            late.negotiate()
    except MilterError:
        return True
    return False


@pytest.mark.parametrize("kind", ["inet", "unix"])
def test_after_sigterm_there_is_no_new_session(dns: ScriptedDNS, kind: str) -> None:
    with folder() as place:
        address = f"unix:{place}/socket" if kind == "unix" else None
        with running(dns, "drain_timeout = 1h\n", address=address) as serving, serving.client() as mta:
            mta.greet(CLIENT)
            serving.daemon.signal(signal.SIGTERM)
            until(lambda: is_refused(serving), 20, "the workers have closed the socket")
            assert serving.daemon.process.poll() is None
            assert mta.mail("<u@fail.example>").code == "550"
            mta.quit()


def test_an_idle_session_is_left_at_the_drain_timeout(dns: ScriptedDNS) -> None:
    with running(dns, "drain_timeout = 500ms\n") as serving, serving.client() as mta:
        mta.greet(CLIENT)
        serving.daemon.signal(signal.SIGTERM)
        assert serving.daemon.process.wait(120) == 0
        with pytest.raises(MilterError):
            mta.mail("<u@fail.example>")
