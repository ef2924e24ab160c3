"""A private Sendmail: its package's files with a configuration, queue and mailbox in a folder of its own.

It knows Sendmail's commands and its queue files. It does not know SPF or milters: it is told where the milter is.
"""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lab.datagrams import Datagrams
from lab.mailserver import MailServer
from lab.processes import free_port, has_ipv6
from lab.sendmail_config import MAILBOX_OWNER, ROOT, Settings, sendmail_mc

_HOME = Path(__file__).parents[1] / ".cache" / "sendmail"  # tools/setup.sh unpacks it there
_SENDMAIL = _HOME / "usr" / "libexec" / "sendmail" / "sendmail"
_CF = _HOME / "usr" / "share" / "sendmail" / "cf"

# Runs Sendmail in its own namespaces, for three reasons. It needs a qualified host name, and waits a minute for one. It
# logs to /dev/log only. For the third, see ROOT. Arguments: folder, host name, the command.
_SCRIPT = """\
for device in null zero random urandom; do
    touch "$1/dev/$device" && mount --bind "/dev/$device" "$1/dev/$device" || exit
done
mount --bind "$1/dev" /dev && mount --bind "$1" /mnt && mount --bind "$1/hosts" /etc/hosts &&
    hostname "$2" && shift 2 && exec "$@"
"""
_INSIDE = ("unshare", "-u", "-m", "sh", "-c", _SCRIPT, "sh")
_DELIVER = f"""\
umask 022
file=$(mktemp {ROOT}/mail/tmp/XXXXXXXXXX) && {{ echo "Delivered-To: $1"; cat; }} >"$file" && mv "$file" {ROOT}/mail/new
"""


@cache
def unavailable() -> str:
    """Return why Sendmail cannot be started here; empty if it can."""
    if not _SENDMAIL.exists() or shutil.which("m4") is None:
        return "sendmail is not unpacked into .cache/sendmail, or there is no m4 (tools/setup.sh lab)"
    if os.geteuid() != 0:
        return "sendmail can be started by root only"
    tried = subprocess.run(["unshare", "-u", "-m", "true"], capture_output=True, text=True, check=False)
    return f"namespaces cannot be made here: {tried.stderr.strip()}" if tried.returncode else ""


class Sendmail(MailServer):
    """A Sendmail on one free port of 127.0.0.1 and ::1. A client has the address from which it connects.

    Mail for one of `domains` is delivered into a folder, for any recipient. Other mail goes to `relayhost`
    ("[127.0.0.1]:PORT"); without one it stays in the queue. 127.0.0.1 and authenticated clients may send it.
    """

    start_timeout = 20.0

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
        """Prepare the folder and choose the port. stop() removes the folder, started or not.

        `milters` are sockets in Sendmail's notation, in the order in which they are asked; `inside` says how it sees a
        socket in `folder`. With a `certificate` (a file with key and chain) there is STARTTLS, with `auth` the SASL
        mechanism ANONYMOUS. `mc` holds further lines.
        """
        super().__init__("sendmail", unavailable())
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
        self._lay_out(certificate)
        self._syslog = Datagrams(self.folder / "dev" / "log")

    @staticmethod
    def inside(name: str) -> str:
        """Return the path of a file in its folder, as Sendmail sees it."""
        return str(ROOT / name)

    @property
    def inbox(self) -> Path:
        """Return the folder of delivered messages, one file each."""
        return self.folder / "mail" / "new"

    def command_line(self) -> list[str | Path]:
        """Return the command, which runs in its own namespaces."""
        return self._sendmail("-bD")

    def is_ready(self) -> bool:
        """Return whether it listens on all addresses. Its pid file appears earlier, so that is not enough.

        Readiness is not tested with a connection: a milter would count it, too.
        """
        return all(_is_listening(table, self.port) for table in (("tcp", "tcp6") if has_ipv6() else ("tcp",)))

    def discard(self) -> None:
        """End it, the log included, and remove the folder."""
        self.kill()
        self._syslog.close()
        super().discard()

    def queue(self) -> list[dict[str, Any]]:
        """Return the queue: each message's queue_id, queue_name ("hold" or "deferred"), sender, recipients, reason."""
        return [_queued(path) for path in sorted((self.folder / "queue").iterdir()) if path.name[:2] in {"qf", "hf"}]

    def cat(self, queue_id: str) -> str:
        """Return a queued message: its file of envelope and header, and its content."""
        places = [self.folder / "queue" / f"{kind}{queue_id}" for kind in ("qf", "hf", "df")]
        return "".join(path.read_text(errors="replace") for path in places if path.exists())

    def flush(self) -> None:
        """Retry all mail in the queue now."""
        self.command("-q")

    def release(self, queue_id: str) -> None:
        """Release a held message."""
        self.command("-qQ", "-Q", f"-qI{queue_id}")
        self.flush()

    def command(self, *arguments: str) -> str:
        """Return the output of a call of sendmail with this configuration, such as `-bp -qQ`."""
        return self.run(self._sendmail(*arguments))

    def log(self) -> str:
        """Return its errors at the start, and its syslog messages since then, conversations included."""
        # Each line of syslog begins with its priority (RFC 3164 section 4.1.1).
        told = (line.partition(">")[2].rstrip() for line in self._syslog.received())
        return super().log() + "".join(f"{line}\n" for line in told)

    def _sendmail(self, *arguments: str) -> list[str | Path]:
        inside: list[str | Path] = [*_INSIDE, self.folder, self._settings.hostname]
        return [*inside, _SENDMAIL, "-C", self.inside("sendmail.cf"), *arguments]

    def _lay_out(self, certificate: Path | None) -> None:
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
