"""The common part of private MTAs: their commands, and a folder into which they deliver each message as a file.

It knows files and header fields. It does not know which MTA writes them.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from lab.processes import HUNG
from lab.server import Server


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A delivered message: its bytes, and the parsed message."""

    raw: bytes
    message: EmailMessage

    @property
    def recipient(self) -> str:
        """Return the recipient to whom the MTA delivered it."""
        return str(self.message["Delivered-To"])

    @property
    def sender(self) -> str:
        """Return the envelope sender, without the angle brackets."""
        return str(self.message["Return-Path"]).strip("<>")


class MailServer(Server):
    """An MTA that delivers into one folder. It remembers which messages have been read."""

    def __init__(self, name: str, missing: str = "") -> None:
        """Make the folder of the server. The subclass makes the rest."""
        super().__init__(name, missing)
        self._read: set[str] = set()

    @property
    def inbox(self) -> Path:
        """Return the folder of delivered messages, one file each."""
        raise NotImplementedError

    def delivered(self, timeout: float = 10.0, count: int = 1) -> list[Delivered]:
        """Wait for `count` messages. Return those that arrived since the last call, oldest first."""

        def found() -> list[Path]:
            paths = [path for path in self.inbox.glob("*") if path.name not in self._read]
            return paths if len(paths) >= count else []

        paths = self.wait_for(found, timeout, f"{count} message(s) delivered; the log")
        self._read.update(path.name for path in paths)
        return [_message(path) for path in sorted(paths, key=lambda path: path.stat().st_ctime_ns)]

    def run(self, command: Sequence[str | Path]) -> str:
        """Return the output of one of the MTA's commands.

        Raises RuntimeError with its error output and the log if it fails.
        """
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=HUNG,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout + done.stderr + self.log()
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
        return done.stdout


def _message(path: Path) -> Delivered:
    raw = path.read_bytes()
    return Delivered(raw=raw, message=message_from_bytes(raw, policy=policy.default))
