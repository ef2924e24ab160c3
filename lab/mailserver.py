"""What private MTAs have in common: commands to ask them, and a folder into which they deliver, a file each.

It knows files and header fields. It does not know which MTA writes them.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from lab.server import Server


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A message as it came into the mailbox: the bytes, and the same parsed."""

    raw: bytes
    message: EmailMessage

    @property
    def recipient(self) -> str:
        """Whom the MTA delivered it to."""
        return str(self.message["Delivered-To"])

    @property
    def sender(self) -> str:
        """The envelope sender, without the angle brackets."""
        return str(self.message["Return-Path"]).strip("<>")


class MailServer(Server):
    """An MTA that delivers into one folder. It remembers which of the messages have been looked at."""

    def __init__(self, name: str, missing: str = "") -> None:
        """Make the folder of the server; its subclass lays out the rest."""
        super().__init__(name, missing)
        self._read: set[str] = set()

    @property
    def inbox(self) -> Path:
        """The folder of delivered messages, a file each."""
        raise NotImplementedError

    def delivered(self, timeout: float = 10.0, count: int = 1) -> list[Delivered]:
        """Return the messages that arrived since the last call, oldest first; waits until there are `count`."""

        def found() -> list[Path]:
            paths = [path for path in self.inbox.glob("*") if path.name not in self._read]
            return paths if len(paths) >= count else []

        paths = self.wait_for(found, timeout, f"{count} message(s) delivered; the log")
        self._read.update(path.name for path in paths)
        return [_message(path) for path in sorted(paths, key=lambda path: path.stat().st_ctime_ns)]

    def run(self, command: Sequence[str | Path]) -> str:
        """Return what one of the MTA's commands prints; RuntimeError with its complaint and the log if it fails."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout + done.stderr + self.log()
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
        return done.stdout


def _message(path: Path) -> Delivered:
    raw = path.read_bytes()
    return Delivered(raw=raw, message=message_from_bytes(raw, policy=policy.default))
