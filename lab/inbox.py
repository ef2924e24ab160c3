"""The folder into which a private MTA delivers, a file each.

It knows files and header fields. It does not know which MTA writes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from lab.processes import until


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


class Inbox:
    """One such folder, and which of its messages have been looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: set[str] = set()

    def fresh(self, timeout: float, count: int, log: Callable[[], str]) -> list[Delivered]:
        """The messages that arrived since the last call, oldest first; waits until there are `count`."""

        def found() -> list[Path]:
            paths = [path for path in self.folder.glob("*") if path.name not in self._read]
            return paths if len(paths) >= count else []

        paths = until(found, timeout, lambda: f"{count} message(s) delivered; the log:\n{log()}")
        self._read.update(path.name for path in paths)
        return [_message(path) for path in sorted(paths, key=lambda path: path.stat().st_ctime_ns)]


def _message(path: Path) -> Delivered:
    raw = path.read_bytes()
    return Delivered(raw=raw, message=message_from_bytes(raw, policy=policy.default))
