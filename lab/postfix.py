"""A private Postfix: the machine's own binaries with a configuration, queue and log in a folder of its own.

It knows Postfix's commands and what they print. It does not know SPF or milters: it is told where the milter is.
"""

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.mailserver import MailServer
from lab.postfix_config import MAIL_OWNER, MAILBOX_OWNER, Settings, main_cf, master_cf
from lab.processes import free_port
from lab.server import installed


def unavailable() -> str:
    """Return why Postfix cannot be started here; empty if it can."""
    if not installed("postfix"):
        return "postfix is not installed (tools/setup.sh mta)"
    return "" if os.geteuid() == 0 else "postfix can be started by root only"


class Postfix(MailServer):
    """A Postfix with smtpd on one free port of 127.0.0.1 and ::1, whose clients may name any address with XCLIENT.

    Mail for one of `domains` is delivered into a Maildir, for any recipient. Other mail goes to `relayhost`
    ("[127.0.0.1]:PORT"), by `routes` (domain -> transport, "smtp:[127.0.0.1]:PORT"), or bounces.
    """

    def __init__(
        self,
        *,
        smtpd_milters: str = "",
        milter_default_action: str = "tempfail",
        hostname: str = "mx.example.net",
        domains: Sequence[str] = ("example.net",),
        chroot: bool = False,
        relayhost: str = "",
        routes: Mapping[str, str] | None = None,
        main_cf: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare the folder and choose the port. `main_cf` has further parameters, which override the lab's.

        So a milter's socket can be put below `queue_directory` before start(). stop() removes all, started or not.
        """
        super().__init__("postfix", unavailable())
        self._settings = Settings(
            folder=self.folder,
            port=free_port(),
            hostname=hostname,
            domains=domains,
            smtpd_milters=smtpd_milters,
            milter_default_action=milter_default_action,
            chroot=chroot,
            relayhost=relayhost,
            routes=routes or {},
            main_cf=main_cf or {},
        )
        self.log_path = self._settings.maillog
        self._lay_out()

    @property
    def port(self) -> int:
        """Return the address of its smtpd."""
        return self._settings.port

    @property
    def config_directory(self) -> Path:
        """Return the folder of its main.cf, the value of `-c` in its commands."""
        return self._settings.config

    @property
    def maillog(self) -> Path:
        """Return the path of its log file, which log() reads."""
        return self.log_path

    @property
    def inbox(self) -> Path:
        """Return the folder of delivered messages, one file each."""
        return self._settings.mail / "inbox" / "new"

    @property
    def queue_directory(self) -> Path:
        """Return the queue directory. Relative socket paths in `smtpd_milters` start here; when chrooted, all paths."""
        return self._settings.queue

    def launch(self, **_: Any) -> None:
        """Start it. Postfix's own command returns when the master is ready to accept.

        Readiness is not tested with a connection: a milter would count it, too.
        """
        try:
            self._run("postfix", "start")
        finally:  # also after a Ctrl-C before the command's end
            master = self.queue_directory / "pid" / "master.pid"
            if master.exists():
                self.own(int(master.read_text()))

    def is_ready(self) -> bool:
        """Return true: launch() has waited for it."""
        return True

    def queue(self) -> list[dict[str, Any]]:
        """Return the queue from `postqueue -j`: queue_id, queue_name ("hold", "deferred"...), sender, recipients."""
        return [json.loads(line) for line in self._run("postqueue", "-j").splitlines()]

    def queue_name(self, queue_id: str) -> str:
        """Return the name of a message's queue; empty if it is in none."""
        return next((entry["queue_name"] for entry in self.queue() if entry["queue_id"] == queue_id), "")

    def cat(self, queue_id: str) -> str:
        """Return a queued message with its envelope, as `postcat -q` prints it."""
        return self._run("postcat", "-q", queue_id)

    def flush(self) -> None:
        """Retry all deferred mail now."""
        self._run("postqueue", "-f")

    def _lay_out(self) -> None:
        settings = self._settings
        for place in (settings.config, settings.queue, settings.data, settings.mail):
            place.mkdir(mode=0o755, exist_ok=True)
        _give(settings.data, MAIL_OWNER)
        _give(settings.mail, MAILBOX_OWNER)
        for name, text in (("main.cf", main_cf(settings)), ("master.cf", master_cf(settings))):
            (settings.config / name).write_text(text)
            # A Postfix program waits until a configuration file is some seconds old, since a younger file may be half
            # written. With a file that looks old, a start takes 0.3 s instead of 2 s.
            os.utime(settings.config / name, (0, 0))

    def _run(self, command: str, *arguments: str) -> str:
        return self.run([installed(command), "-c", self._settings.config, *arguments])


def _give(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
