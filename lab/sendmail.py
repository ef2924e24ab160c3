"""A private Sendmail: its package's files with a configuration, queue and mailbox in a folder of its own.

It knows Sendmail's commands and its queue files. It does not know SPF or milters: it is told where the milter is.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.inbox import Delivered, Inbox
from lab.processes import end_group, free_port, group_members, has_ipv6, launch, until
from lab.sendmail_config import MAILBOX_OWNER, ROOT, Settings, sendmail_mc

START_TIMEOUT = 20.0
_HOME = Path(__file__).parents[1] / ".cache" / "sendmail"  # tools/setup.sh unpacks it there
_SENDMAIL = _HOME / "usr" / "libexec" / "sendmail" / "sendmail"
_CF = _HOME / "usr" / "share" / "sendmail" / "cf"

# In namespaces of its own, since Sendmail wants a qualified host name, and waits a minute for one; for its log, which
# goes to /dev/log and nowhere else; and see ROOT. Folder, host name, and the command.
_INSIDE = """\
for device in null zero random urandom; do
    touch "$1/dev/$device" && mount --bind "/dev/$device" "$1/dev/$device" || exit
done
mount --bind "$1/dev" /dev && mount --bind "$1" /mnt && mount --bind "$1/hosts" /etc/hosts &&
    hostname "$2" && shift 2 && exec "$@"
"""
_DELIVER = f"""\
umask 022
file=$(mktemp {ROOT}/mail/tmp/XXXXXXXXXX) && {{ echo "Delivered-To: $1"; cat; }} >"$file" && mv "$file" {ROOT}/mail/new
"""


@cache
def unavailable() -> str:
    """Why no Sendmail can be started here; empty if one can."""
    if not _SENDMAIL.exists() or shutil.which("m4") is None:
        return "sendmail is not unpacked into .cache/sendmail, or there is no m4 (tools/setup.sh lab)"
    if os.geteuid() != 0:
        return "sendmail can be started by root only"
    tried = subprocess.run(["unshare", "-u", "-m", "true"], capture_output=True, text=True, check=False)
    return f"namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else ""


class Sendmail:
    """A Sendmail on one free port of 127.0.0.1 and ::1; a client's address is the one that it comes from.

    What arrives for one of `domains` is delivered into a folder, for any recipient. Other mail goes to `relayhost`
    ("[127.0.0.1]:PORT") and stays in the queue without one. 127.0.0.1 and authenticated clients may send it.
    """

    def __init__(
        self,
        *,
        milters: Sequence[str] = (),
        milter_default_action: str = "tempfail",
        hostname: str = "mx.example.net",
        domains: Sequence[str] = ("example.net",),
        relayhost: str = "",
        certificate: Path | None = None,
        auth: bool = False,
        mc: str = "",
    ) -> None:
        """Lay out the folder and choose the port; stop() removes it, started or not.

        `milters` are sockets in Sendmail's notation, in the order in which they are asked; `inside` says how it sees a
        socket in `folder`. With a `certificate` (a file with key and chain) there is STARTTLS, with `auth` the SASL
        mechanism ANONYMOUS. `mc` holds further lines.
        """
        if problem := unavailable():
            raise RuntimeError(problem)
        self.folder = Path(tempfile.mkdtemp(prefix="lab-sendmail-"))
        self.port = free_port()
        self._settings = Settings(
            port=self.port,
            hostname=hostname,
            domains=domains,
            milters=milters,
            milter_default_action=milter_default_action,
            relayhost=relayhost,
            tls=certificate is not None,
            auth=auth,
            mc=mc,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox = Inbox(self.inbox)
        self._lay_out(certificate)
        self._syslog = _Syslog(self.folder / "dev" / "log")

    @staticmethod
    def inside(name: str) -> str:
        """The path by which Sendmail knows a file of its folder."""
        return str(ROOT / name)

    @property
    def inbox(self) -> Path:
        """The folder of delivered messages, a file each."""
        return self.folder / "mail" / "new"

    def start(self) -> Self:
        """Start it, once, and wait until it listens.

        No connection is made to see whether it does: a milter would count that one, too.
        """
        command = [*self._prefix(), _SENDMAIL, "-bD", "-C", self.inside("sendmail.cf")]
        self._process = launch(command, self.folder / "stderr")
        try:
            until(self._is_ready, START_TIMEOUT, lambda: f"sendmail listens:\n{self.log()}")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and all its children, wait until they are gone, remove the folder."""
        try:
            if self._process is not None:
                self._process.terminate()
                self._process.wait(10)
        finally:
            if self._process is not None:
                end_group(self._process.pid)
                self._process.wait(10)
                self._process = None
            self._syslog.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def queue(self) -> list[dict[str, Any]]:
        """The queue: of each message queue_id, queue_name ("hold" or "deferred"), sender, recipients, reason."""
        return [_queued(path) for path in sorted((self.folder / "queue").iterdir()) if path.name[:2] in {"qf", "hf"}]

    def cat(self, queue_id: str) -> str:
        """A queued message's file of envelope and header, and its content."""
        places = [self.folder / "queue" / f"{kind}{queue_id}" for kind in ("qf", "hf", "df")]
        return "".join(path.read_text(errors="replace") for path in places if path.exists())

    def flush(self) -> None:
        """Try all mail in the queue now."""
        self.command("-q")

    def release(self, queue_id: str) -> None:
        """Let a held message go."""
        self.command("-qQ", "-Q", f"-qI{queue_id}")
        self.flush()

    def command(self, *arguments: str) -> str:
        """What a call of sendmail with this configuration prints, such as of `-bp -qQ`."""
        done = subprocess.run(
            [*self._prefix(), _SENDMAIL, "-C", self.inside("sendmail.cf"), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"sendmail {arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def delivered(self, timeout: float = 10.0, count: int = 1) -> list[Delivered]:
        """The messages that arrived since the last call, oldest first; waits until there are `count`."""
        return self._inbox.fresh(timeout, count, self.log)

    def log(self) -> str:
        """What it told syslog so far, conversations included; before that, what it complained of at its start."""
        complaints = self.folder / "stderr"
        return (complaints.read_text(errors="replace") if complaints.exists() else "") + self._syslog.text()

    def wait_for_log(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """The first match in the log, waiting for it."""
        expression = re.compile(pattern)
        return until(lambda: expression.search(self.log()), timeout, lambda: f"{pattern} in the log:\n{self.log()}")

    def processes(self) -> list[int]:
        """The process ids of the daemon and its children."""
        return group_members(self._process.pid) if self._process is not None else []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prefix(self) -> list[str | Path]:
        return ["unshare", "-u", "-m", "sh", "-c", _INSIDE, "sh", self.folder, self._settings.hostname]

    def _is_ready(self) -> bool:
        """Whether it listens everywhere; its file with the process id comes before that."""
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"sendmail ended with {code}:\n{self.log()}")
        return all(_is_listening(table, self.port) for table in (("tcp", "tcp6") if has_ipv6() else ("tcp",)))

    def _lay_out(self, certificate: Path | None) -> None:
        self.folder.chmod(0o755)
        for name in ("dev", "mail", "mail/tmp", "mail/new", "queue", "tls"):
            (self.folder / name).mkdir(mode=0o700 if name == "queue" else 0o755)
        owner = pwd.getpwnam(MAILBOX_OWNER)
        for name in ("tmp", "new"):
            os.chown(self.folder / "mail" / name, owner.pw_uid, owner.pw_gid)
        if certificate is not None:
            shutil.copyfile(certificate, self.folder / "tls" / "chain")
            (self.folder / "tls" / "chain").chmod(0o600)
        hostname = self._settings.hostname
        self._write("hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.0.1 {hostname}\n")
        self._write("service.switch", "hosts files\naliases files\n")
        self._write("deliver", _DELIVER)
        self._write("statistics", "")
        made = subprocess.run(
            ["m4", f"-D_CF_DIR_={_CF}/", _CF / "m4" / "cf.m4", "-"],
            input=sendmail_mc(self._settings),
            capture_output=True,
            text=True,
            check=True,
        )
        self._write("sendmail.cf", made.stdout)

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o644)


class _Syslog:
    """The other end of syslog(3): a thread reads it, lest a full buffer ever block Sendmail."""

    _GOODBYE = b"\0"

    def __init__(self, path: Path) -> None:
        self._lines: list[str] = []
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)  # delivery agents are other users
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The lines so far, without their priorities (RFC 3164 section 4.1.1)."""
        return "".join(f"{line}\n" for line in list(self._lines))

    def close(self) -> None:
        """End the thread; once more is harmless."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.sendto(self._GOODBYE, str(self._path))
            self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while (datagram := self._socket.recv(65536)) != self._GOODBYE:
            self._lines.append(datagram.decode("utf-8", "replace").partition(">")[2].rstrip())


def _is_listening(table: str, port: int) -> bool:
    """Whether a socket listens on the port (proc(5), /proc/net/tcp): its local address is the second column."""
    rows = [line.split() for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    return any(row[3] == "0A" and row[1].endswith(f":{port:04X}") for row in rows)


def _queued(path: Path) -> dict[str, Any]:
    """A queue file (Sendmail Installation and Operation Guide, appendix B): a code letter begins each line."""
    text = path.read_text(errors="replace")

    def values(code: str) -> Iterator[str]:
        return (found[1] for found in re.finditer(rf"(?m)^{code}<?([^>\n]*)>?$", text))

    return {
        "queue_id": path.name[2:],
        "queue_name": "hold" if path.name.startswith("hf") else "deferred",
        "sender": next(values("S"), ""),
        "recipients": list(values("R[A-Z]*:")),
        "reason": next(values("q"), ""),
    }
