"""Output that cannot be written, in every way: the log loses lines, and the mail, the workers and signals nothing."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from lab import users
from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Load
from lab.milterclient import MilterClient
from lab.milterwire import connect_data, packet
from lab.processes import end_group, until
from lab.users import NOBODY, as_user
from tests.survival.site import (
    FAIL,
    PLAIN,
    NameServer,
    ask,
    changed,
    children,
    inet_socket,
    ini,
    wait_for_workers,
    workers,
)

# Python's own streams must raise as they do for an administrator: with this set they do not.
BUFFERED = {"PYTHONUNBUFFERED": ""}
MESSAGES = 300  # their lines are more than a pipe holds


def lives_on(daemon: SpfmilterDaemon, address: str, text: str) -> None:
    """All is answered, a killed worker is replaced, and a reload comes into force."""
    with Load(address, PLAIN, connections=8, messages=MESSAGES // 8, per_session=5) as load:
        tally = load.finish()
    assert tally.offered == tally.verdict_count >= MESSAGES - 8
    assert not tally.refused
    assert tally.cuts == []
    before = wait_for_workers(daemon, 2)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: len(workers(daemon)) == 2 and before[0] not in workers(daemon), 20, "the killed worker is replaced")
    assert ask(address, FAIL) == "550"
    daemon.rewrite(text.replace("[policy]\n", "[policy]\nmode = monitor\n"))
    daemon.signal(signal.SIGHUP)
    until(lambda: ask(address, FAIL) == "continue", 20, "the new settings are in force")
    until(lambda: len(children(daemon)) == 2, 20, "the old generation's end")


def fill(descriptor: int) -> None:
    """Write until there is no room, and leave the descriptor blocking, as a shell would hand it on."""
    os.set_blocking(descriptor, False)
    try:
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(descriptor, b"x" * size)
    finally:
        os.set_blocking(descriptor, True)


def read_until(read: Callable[[], bytes], pattern: str) -> str:
    """What is read, to the first match at least."""
    text = b""

    def found() -> bool:
        nonlocal text
        text += read()
        return re.search(pattern, text.decode()) is not None

    until(found, 20, lambda: f"{pattern} in what can be read again: {text[-2000:]!r}")
    return text.decode()


def read_losses(read: Callable[[], bytes], least: int) -> str:
    """What is read until the reload and the loss of so many lines are told; each process tells of its own."""
    log = ""

    def found() -> bool:
        nonlocal log
        log += read().decode()
        return " reloaded " in log and missing(log) >= least

    until(found, 20, lambda: f"{least} lines are said to be lost: {log[-2000:]!r}")
    return log


def reading(descriptor: int) -> Callable[[], bytes]:
    """A reader that does not wait."""
    return lambda: os.read(descriptor, 1 << 20) if select.select([descriptor], [], [], 0)[0] else b""


@contextmanager
def full() -> Iterator[tuple[int, Callable[[], bytes] | None]]:
    with Path("/dev/full").open("wb") as file:
        yield file.fileno(), None


@contextmanager
def gone() -> Iterator[tuple[int, Callable[[], bytes] | None]]:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer, None
    os.close(writer)


@contextmanager
def frozen_pipe() -> Iterator[tuple[int, Callable[[], bytes] | None]]:
    reader, writer = os.pipe()
    fill(writer)
    yield writer, reading(reader)
    os.close(reader)
    os.close(writer)


@contextmanager
def frozen_socket() -> Iterator[tuple[int, Callable[[], bytes] | None]]:
    """As the journal gives it to a unit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fill(theirs.fileno())
        yield theirs.fileno(), reading(ours.fileno())


KINDS = {"full": full, "reader gone": gone, "frozen pipe": frozen_pipe, "frozen socket": frozen_socket}


@pytest.mark.parametrize("kind", KINDS)
def test_standard_error_that_cannot_be_written(dns: NameServer, kind: str) -> None:
    address = inet_socket()
    text = ini(address, dns.address)
    with KINDS[kind]() as (output, read), SpfmilterDaemon(text, output=output, environment=BUFFERED) as daemon:
        lives_on(daemon, address, text)
        if read is not None:
            told = read_losses(read, MESSAGES - 8)  # those of workers that have ended, too
            assert ask(address) == "continue"
            read_until(read, "message .*pass.example")
            assert whole(told)
        assert daemon.stop() == 0


def whole(log: str) -> bool:
    """Whether each line is one line: a stamp at its beginning, and nowhere else."""
    return all(
        re.match(r"\d{4}-\d\d-\d\dT", line) and not re.search(r".\d{4}-\d\d-\d\dT", line)
        for line in log.lstrip("x").splitlines()[:-1]
    )


def missing(log: str) -> int:
    """How many lines are reported as lost."""
    return sum(int(number) for number in re.findall(r"log lines lost lines=(\d+)", log))


def test_lines_are_bounded_and_counted_without_a_reader(dns: NameServer) -> None:
    """More of them than may wait: when there is a reader again, a line says how many are missing, and the next come."""
    address = inet_socket()
    command = changed({"observe.sink.MAX_LINES": 20})
    text = ini(address, dns.address, milter="workers = 1")
    with frozen_pipe() as (output, read):
        assert read is not None
        with SpfmilterDaemon(text, output=output, command=command, environment=BUFFERED) as daemon:
            with Load(address, PLAIN, connections=8, messages=40, per_session=5) as load:
                assert load.finish().verdict_count == 320
            log = read_until(read, r"log lines lost lines=\d+\n")
            assert whole(log)
            assert ask(address) == "continue"
            log += read_until(read, "message .*pass.example")
            assert daemon.stop() == 0
    assert 20 - 1 <= log.count(" message ") <= 20 + 1
    assert log.count(" message ") + missing(log) == 321, "each is there or counted"


def test_a_pipe_that_cannot_be_opened_again(dns: NameServer) -> None:
    """It belongs to another user, as under a supervisor that gives up its rights before it starts us."""
    if reason := users.unavailable():
        pytest.skip(reason)
    address = inet_socket()
    text = ini(address, dns.address)
    command = as_user(NOBODY, *COMMAND)
    with frozen_pipe() as (output, read):
        assert read is not None
        os.fchmod(output, 0o600)
        daemon = SpfmilterDaemon(text, output=output, command=command, environment=BUFFERED)
        daemon.folder.chmod(0o755)
        with daemon:
            lives_on(daemon, address, text)
            assert whole(read_losses(read, MESSAGES - 8))
            assert daemon.stop() == 0


@pytest.mark.parametrize("opened", ["our own", "another user's"])
def test_a_terminal_that_stands_still(dns: NameServer, opened: str) -> None:
    """As with Ctrl-S; a daemon that has been started by su cannot open the terminal of root again."""
    address = inet_socket()
    text = ini(address, dns.address)
    command: Sequence[str] = COMMAND
    if opened == "another user's":
        if reason := users.unavailable():
            pytest.skip(reason)
        command = as_user(NOBODY, *COMMAND)
    master, terminal = os.openpty()
    os.fchmod(terminal, 0o600)
    daemon = SpfmilterDaemon(text, output=terminal, command=command, environment=BUFFERED)
    daemon.folder.chmod(0o755)
    with daemon:
        for _ in range(4):  # more than it has room for
            with Load(address, PLAIN, connections=8, messages=MESSAGES // 8, per_session=5) as load:
                assert load.finish().cuts == []
        lives_on(daemon, address, text)
        assert os.get_blocking(terminal), "it is shared with a shell"
        read_until(reading(master), r" reloaded ")
        assert daemon.stop() == 0
    os.close(master)
    os.close(terminal)


# A shell with a job in the background of its terminal, which does not outlive it.
_SHELL = """
import os, signal, subprocess, sys
terminal = os.open(sys.argv[1], os.O_RDWR)
job = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *sys.argv[2:]], stderr=terminal, process_group=0)
signal.signal(signal.SIGTERM, lambda *_: job.terminate())
sys.exit(job.wait())
"""


def test_a_job_in_the_background_of_a_terminal_that_stops_those_that_write(dns: NameServer) -> None:
    """As with "stty tostop"."""
    address = inet_socket()
    master, terminal = os.openpty()
    modes = termios.tcgetattr(terminal)
    modes[3] |= termios.TOSTOP
    termios.tcsetattr(terminal, termios.TCSANOW, modes)
    command = (sys.executable, "-c", _SHELL, os.ttyname(terminal), *COMMAND)
    with SpfmilterDaemon(ini(address, dns.address), command=command) as daemon:
        assert ask(address, FAIL) == "550"
        read_until(reading(master), "message .*fail.example")
        assert daemon.stop() == 0
    os.close(master)
    os.close(terminal)


def test_a_file_system_that_is_full_and_then_is_not(dns: NameServer, tmp_path: Path) -> None:
    """A log file on a disk of its own; no line is lost that has room in memory, and none is glued to another."""
    address = inet_socket()
    text = ini(address, dns.address)
    script = 'mount -t tmpfs -o size=32k none "$1" && shift && exec "$@" 2>>"$0/log"'
    command = ("unshare", "-m", "sh", "-c", script, str(tmp_path), str(tmp_path), *COMMAND)
    with SpfmilterDaemon(text, command=command, environment=BUFFERED) as daemon:
        inside = Path(f"/proc/{daemon.process.pid}/root{tmp_path}")
        ballast = inside / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:  # ENOSPC
            while True:
                file.write(b"x" * 4096)
        lives_on(daemon, address, text)
        before = (inside / "log").read_text()
        assert " reloaded " not in before
        (inside / "log").open("w").close()  # what copytruncate does, too
        ballast.unlink()
        until(lambda: " reloaded " in (inside / "log").read_text(), 20, "lines flow again")
        assert ask(address, FAIL) == "continue"
        until(lambda: "would=reject" in (inside / "log").read_text(), 20, "and go on flowing")
        assert daemon.stop() == 0


@contextmanager
def frozen_service(path: Path) -> Iterator[socket.socket]:
    """A datagram socket whose queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(path))
        service.settimeout(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as crowd:
            crowd.connect(str(path))
            with suppress(BlockingIOError):
                while True:
                    crowd.send(b"x")
        yield service


def datagrams(service: socket.socket) -> Callable[[], bytes]:
    """A reader of all that has come."""

    def read() -> bytes:
        found = b""
        try:
            while True:
                found += service.recv(65536) + b"\n"
        except BlockingIOError:
            return found

    return read


@pytest.mark.parametrize(("target", "constant"), [("syslog", "targets._SYSLOG"), ("journal", "journal._SOCKET")])
def test_a_log_service_that_stands_still(dns: NameServer, tmp_path: Path, target: str, constant: str) -> None:
    """It is answered for, and after it has been started anew, the lines come to the new one."""
    address, path = inet_socket(), tmp_path / "service"
    text = ini(address, dns.address, log=f"to = {target}")
    command = changed({f"observe.{constant}": path})
    with ExitStack() as stack:
        service = stack.enter_context(frozen_service(path))
        daemon = stack.enter_context(SpfmilterDaemon(text, command=command, environment=BUFFERED))
        lives_on(daemon, address, text)
        read_until(datagrams(service), r"reloaded ")
        service.close()
        path.unlink()
        assert ask(address, FAIL) == "continue"
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as again:
            again.bind(str(path))
            again.settimeout(0)
            read_until(datagrams(again), r"would=reject")
            assert daemon.stop() == 0
        assert daemon.log() == ""


_OTHER_DEV = """
mkdir "$0/dev" && mount -t tmpfs none "$0/dev" && cp -a /dev/null /dev/zero /dev/random /dev/urandom "$0/dev" &&
ln -s "$0/service" "$0/dev/log" && mount --move "$0/dev" /dev && exec "$@"
"""


def test_libmilter_does_not_wait_for_a_syslog_that_stands_still(dns: NameServer, tmp_path: Path) -> None:
    """It has lines of its own, for a client whose address the MTA does not know, for example."""
    address = inet_socket()
    command = ("unshare", "-m", "--propagation", "private", "sh", "-c", _OTHER_DEV, str(tmp_path), *COMMAND)
    with (
        frozen_service(tmp_path / "service"),
        SpfmilterDaemon(ini(address, dns.address), command=command) as daemon,
        ExitStack() as stack,
    ):
        for _ in range(40):  # each would hold one of libmilter's threads
            mta = stack.enter_context(MilterClient(address))
            mta.negotiate()
            mta.send_raw(packet(b"C", connect_data("client.example", "inet", "unknown", 25)))
        assert [ask(address, FAIL) for _ in range(10)] == ["550"] * 10
        assert daemon.stop() == 0


def test_a_service_manager_that_stands_still(dns: NameServer, tmp_path: Path) -> None:
    """The daemon serves and ends all the same, and tells it all when it listens again."""
    address, path = inet_socket(), tmp_path / "notify"
    file = tmp_path / "spfmilter.ini"
    file.write_text(ini(address, dns.address))
    command = [part.replace("{ini}", str(file)) for part in COMMAND]
    environment: Mapping[str, str] = {**os.environ, **BUFFERED, "NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"}
    with frozen_service(path) as manager, (tmp_path / "log").open("wb") as log:
        daemon = subprocess.Popen(command, env=environment, stderr=log, start_new_session=True)  # noqa: S603 - ours
        try:
            until(lambda: b" serving " in (tmp_path / "log").read_bytes(), 20, "it serves")
            assert ask(address) == "continue"
            daemon.send_signal(signal.SIGHUP)
            until(lambda: b" reloaded " in (tmp_path / "log").read_bytes(), 20, "it reloads")
            assert ask(address) == "continue"
            told = read_until(
                datagrams(manager), r"(?s)(?=.*WATCHDOG=1\n.*WATCHDOG=1\n).*READY=1\n.*RELOADING=1\n.*READY=1\n"
            )
            assert re.search("READY=1\n(.*\n)*RELOADING=1\n(.*\n)*READY=1\n", told)
            daemon.terminate()
            assert daemon.wait(120) == 0
        finally:
            end_group(daemon.pid)
            daemon.wait()


def test_without_standard_error(dns: NameServer) -> None:
    """Closed as with 2>&-: no other file gets its number, least of all a session."""
    address = inet_socket()
    text = ini(address, dns.address)
    command = ("sh", "-c", 'exec "$0" "$@" 0<&- 1>&- 2>&-', *COMMAND)
    with SpfmilterDaemon(text, command=command) as daemon:
        for number in (0, 1, 2):
            assert os.readlink(f"/proc/{daemon.process.pid}/fd/{number}") == "/dev/null"  # noqa: PTH115
        lives_on(daemon, address, text)
        assert daemon.stop() == 0
