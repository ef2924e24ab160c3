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
    """Why no Postfix can be started here; empty if one can."""
    if not installed("postfix"):
        return "postfix is not installed (tools/setup.sh mta)"
    return "" if os.geteuid() == 0 else "postfix can be started by root only"


class Postfix(MailServer):
    """A Postfix with smtpd on one free port of 127.0.0.1 and ::1, whose clients may name any address with XCLIENT.

    What arrives for one of `domains` is delivered into a Maildir, for any recipient. Other mail goes to `relayhost`
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
        """Lay out the folder and choose the port; `main_cf` holds further parameters, which win over the lab's.

        So a milter's socket can be put below `queue_directory` before start(); stop() removes it all, started or not.
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
        """Where its smtpd listens."""
        return self._settings.port

    @property
    def config_directory(self) -> Path:
        """Where its main.cf is: what follows `-c` in its commands."""
        return self._settings.config

    @property
    def maillog(self) -> Path:
        """Its log file; log() reads it."""
        return self.log_path

    @property
    def inbox(self) -> Path:
        """The folder of delivered messages, a file each."""
        return self._settings.mail / "inbox" / "new"

    @property
    def queue_directory(self) -> Path:
        """Relative socket paths in `smtpd_milters` start here, and all paths when chrooted."""
        return self._settings.queue

    def launch(self, **_: Any) -> None:
        """Start it; Postfix's own command returns when the master is ready to accept.

        No connection is made to see whether it is: a milter would count that one, too.
        """
        try:
            self._run("postfix", "start")
        finally:  # also where a Ctrl-C came before the command's end
            master = self.queue_directory / "pid" / "master.pid"
            if master.exists():
                self.own(int(master.read_text()))

    def is_ready(self) -> bool:
        """Return true: launch() has waited for it."""
        return True

    def queue(self) -> list[dict[str, Any]]:
        """The queue as `postqueue -j` tells it: queue_id, queue_name ("hold", "deferred"...), sender, recipients."""
        return [json.loads(line) for line in self._run("postqueue", "-j").splitlines()]

    def queue_name(self, queue_id: str) -> str:
        """Which queue a message is in; empty where it is in none."""
        return next((entry["queue_name"] for entry in self.queue() if entry["queue_id"] == queue_id), "")

    def cat(self, queue_id: str) -> str:
        """A queued message with its envelope, as `postcat -q` prints it."""
        return self._run("postcat", "-q", queue_id)

    def flush(self) -> None:
        """Try all deferred mail now."""
        self._run("postqueue", "-f")

    def _lay_out(self) -> None:
        settings = self._settings
        for place in (settings.config, settings.queue, settings.data, settings.mail):
            place.mkdir(mode=0o755, exist_ok=True)
        _give(settings.data, MAIL_OWNER)
        _give(settings.mail, MAILBOX_OWNER)
        for name, text in (("main.cf", main_cf(settings)), ("master.cf", master_cf(settings))):
            (settings.config / name).write_text(text)
            # Every Postfix program rereads a file that changed in the last seconds until it is older, lest it be half
            # written: a start with a file that looks old takes 0.3 s instead of 2 s.
            os.utime(settings.config / name, (0, 0))

    def _run(self, command: str, *arguments: str) -> str:
        return self.run([installed(command), "-c", self._settings.config, *arguments])


def _give(path: Path, user: str) -> None:
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
