"""The programs of the benchmarks: our own in C, compiled on the spot, and the filters that they measure.

Knows how each one is started, when it serves, and how it is ended (by its own process id). Knows nothing of what is
measured.
"""

import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dns.message
import dns.query

from bench import zones
from lab.daemon import SpfmilterDaemon
from lab.processes import accepts, group_members, with_resolv_conf
from lab.server import Server

HERE = Path(__file__).parent
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
_LIBRARIES = {"nothing": ("-lmilter", "-lpthread"), "load": ("-lpthread",), "dns": ()}
_PYSPF = shutil.which("pyspf-milter", path="/usr/bin:/usr/sbin")
_MAX_LENGTH = 300.0  # seconds that one load may take


class Workshop:
    """A folder with our compiled programs, for everything that a run leaves behind; gone at its end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.folder.chmod(0o755)  # pyspf-milter gives up root

    def __enter__(self) -> Self:
        for name, libraries in _LIBRARIES.items():
            command = ["gcc", *_FLAGS, str(HERE / f"{name}.c"), "-o", str(self.program(name)), *libraries]
            subprocess.run(command, check=True, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name: str) -> Path:
        """A compiled program."""
        return self.folder / name

    def place(self, name: str) -> Path:
        """A fresh folder that other users may enter."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        folder.chmod(0o755)
        return folder


@dataclass(frozen=True, slots=True)
class Nameserver:
    """The DNS server of a benchmark."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def asked(self) -> int:
        """How many queries it has had."""
        query = dns.message.make_query("count.bench", "TXT")
        answer = dns.query.udp(query, self.host, port=self.port, timeout=5)
        return int(answer.answer[0][0].strings[0])


@contextmanager
def nameserver(shop: Workshop, *, delay_ms: int = 0, ttl: int = 3600) -> Iterator[Nameserver]:
    """Our DNS server on an address of its own, port 53: resolv.conf, which some filters go by, holds no port."""
    zone = shop.place("dns") / "zone"
    zone.write_text("".join(f"{line}\n" for line in zones.lines()))
    found = Nameserver(f"127.83.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}", 53)
    command = [str(shop.program("dns")), found.host, str(found.port), str(delay_ms), str(ttl), str(zone)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the DNS server of the benchmark did not start; it needs root, for port 53")
            yield found
        finally:
            process.kill()


# -- filters -----------------------------------------------------------------------------------------------------------


class Filter(Server):
    """A filter under load: `with filter: ...` starts and ends it."""

    name = ""
    caches = True  # whether it may be quicker for a name that it has seen
    start_timeout = 15.0

    def __init__(self) -> None:
        super().__init__(self.name)
        self.socket = f"unix:{self.folder / 'socket'}"

    def leader(self) -> int:
        """Its first process, the head of a process group."""
        return self.pid

    def cpu_seconds(self) -> float:
        """The CPU time of all its processes so far."""
        return sum(cpu_seconds(pid) for pid in group_members(self.leader()))

    def is_ready(self) -> bool:
        """Return whether it can be connected to; Postfix, which is another user, may then do so."""
        path = Path(self.socket.removeprefix("unix:"))
        if ready := accepts(path):
            path.chmod(0o666)
        return ready


class Nothing(Filter):
    """The do-nothing C milter that negotiates what spfmilter negotiates."""

    name = "nothing"
    caches = False
    _words: tuple[str, ...] = ()

    def __init__(self, shop: Workshop) -> None:
        super().__init__()
        self._program = str(shop.program("nothing"))

    def command_line(self) -> list[str]:
        """Our own program."""
        return [self._program, self.socket, *self._words]


class PlainNothing(Nothing):
    """The do-nothing C milter that has a callback for every step and negotiates nothing, as most C filters."""

    name = "plain"
    _words = ("plain",)


class _WithResolvConf(Filter):
    """A filter that asks the nameservers of /etc/resolv.conf: it sees one of ours, in a mount namespace of its own."""

    def __init__(self, server: Nameserver) -> None:
        super().__init__()
        self._resolv_conf = self.folder / "resolv.conf"
        self._resolv_conf.write_text(f"nameserver {server.host}\n")

    def inner_command(self) -> list[str]:
        """What is run in the namespace."""
        raise NotImplementedError

    def command_line(self) -> list[str]:
        """The same, behind unshare(1)."""
        return with_resolv_conf(self._resolv_conf, self.inner_command())


class PyspfMilter(_WithResolvConf):
    """Debian's pyspf-milter, on Debian's own Python, with Debian's settings but for the socket and the user."""

    name = "pyspf-milter"
    caches = False

    def __init__(self, server: Nameserver) -> None:
        super().__init__(server)
        self._config = self.folder / "conf"
        # UserID: root, as it otherwise could not write the socket into our folder; it makes no difference to its speed.
        self._config.write_text(
            "debugLevel = 1\nTestOnly = 1\nHELO_reject = Fail\nMail_From_reject = Fail\nPermError_reject = False\n"
            "TempError_Defer = False\nskip_addresses = 127.0.0.0/8,::ffff:127.0.0.0/104,::1\n"
            f"Socket = local:{self.folder}/socket\nPidFile = {self.folder}/pid\nUserID = root\n"
            "InternalHosts = 127.0.0.1\n"
        )

    @staticmethod
    def missing() -> str:
        """Why it cannot be measured here; empty where it can."""
        return "" if _PYSPF else "pyspf-milter is not installed: apt-get install --no-install-recommends pyspf-milter"

    def inner_command(self) -> list[str]:
        """Debian's script."""
        return [_PYSPF or "pyspf-milter", str(self._config)]


class OtherFilter(_WithResolvConf):
    """A filter given on the command line; in its command, {socket}, {nameserver} and {folder} are filled in."""

    def __init__(self, server: Nameserver, name: str, command: str) -> None:
        self.name = name
        super().__init__(server)
        self._command = command
        self._values = {"{socket}": f"{self.folder}/socket", "{nameserver}": server.host, "{folder}": str(self.folder)}

    def inner_command(self) -> list[str]:
        """The command, split as a shell does."""
        command = self._command
        for placeholder, value in self._values.items():
            command = command.replace(placeholder, value)
        return shlex.split(command)


class Spfmilter(Filter):
    """spfmilter from a source tree, with its defaults."""

    name = "spfmilter"

    def __init__(
        self,
        server: Nameserver | str,
        tree: Path,
        *,
        python: str = sys.executable,
        workers: str = "auto",
        more: str = "",
    ) -> None:
        super().__init__()
        # The clients of a benchmark come from loopback or not, and are checked all the same.
        ini = (
            f"[milter]\nsocket = {self.socket}\nsocket_mode = 0666\nworkers = {workers}\n[exempt]\nnetworks =\n"
            f"[headers]\nauthserv_id = mx.example.net\n[dns]\nnameservers = {server}\n{more}"
        )
        # -P: the working directory, which may be another tree, is not searched.
        command = (python, "-P", "-m", "spfmilter", "run", "-c", "{ini}")
        self.daemon = SpfmilterDaemon(ini, command=command, environment={"PYTHONPATH": str(tree)})
        self.start_seconds = 0.0

    def start(self) -> Self:
        """Start the daemon, and measure how long that takes."""
        start = time.monotonic()
        self.daemon.start()
        self.start_seconds = time.monotonic() - start
        return self

    def discard(self) -> None:
        """Kill the daemon: a benchmark does not wait for sessions that wait for the dead."""
        self.daemon.discard()
        super().discard()

    def leader(self) -> int:
        """The supervisor."""
        return self.daemon.process.pid

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return [pid for pid in group_members(self.leader()) if pid != self.leader()]


# -- load --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a load came to; see `load.c`."""

    messages: int
    seconds: float
    rate: float
    errors: int
    fields: int
    message_ms: dict[str, float]
    mail_ms: dict[str, float]
    mail_replies: dict[str, int]
    end_replies: dict[str, int]

    @property
    def not_accepted(self) -> int:
        """Messages that were lost, or not accepted; the benchmarks' senders are all honest."""
        return self.errors + self.messages - self.end_replies.get("c", 0)

    def check(self, what: str) -> Self:
        """An error where more than one message in a hundred was not accepted: the figures would mean nothing."""
        if not self.messages or self.not_accepted > self.messages / 100:
            raise RuntimeError(f"{what}: not every message was accepted: {self}")
        return self


def _load_command(shop: Workshop, target: Filter, senders: Sequence[str], options: dict[str, Any]) -> list[str]:
    command = [str(shop.program("load")), "--socket", target.socket]
    for pattern in senders:
        command += ["--sender", pattern]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def load(shop: Workshop, target: Filter, senders: Sequence[str], **options: float | str) -> Loaded:
    """Run `load.c` against a filter, with its options."""
    done = subprocess.run(
        _load_command(shop, target, senders, options), stdout=subprocess.PIPE, check=True, timeout=_MAX_LENGTH
    )
    return Loaded(**json.loads(done.stdout))


@contextmanager
def load_beside(shop: Workshop, target: Filter, senders: Sequence[str], **options: float | str) -> Iterator[None]:
    """The same beside something else; cut at the end."""
    command = _load_command(shop, target, senders, options)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            yield
            if process.poll() is not None:
                raise RuntimeError(f"the load beside ended too soon, with {process.returncode}: {command}")
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far, all its threads, in nanosecond steps (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB (proc(5), statm)."""
    pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
