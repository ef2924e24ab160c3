"""The demo's servers, and a scene played on them: a private NSD, the daemon, a private Postfix, a plain SMTP client.

It knows how they are put together. What is played stands in story.py, how it is shown in screen.py.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from story import HOSTNAME, INI, RECIPIENT, ZONES, Outcome, Scene

from lab.daemon import SpfmilterDaemon
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import free_port
from lab.smtp import SmtpDialogue

SPFMILTER = Path(sys.executable).with_name("spfmilter")


class Stage:
    """The three servers, started by `with`, stopped in whatever way that ends."""

    def __init__(self) -> None:
        self.name_server = Nsd(ZONES)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.name_server)
            ini = INI.format(port=free_port(), nameserver=self.name_server.address)
            self.daemon = stack.enter_context(SpfmilterDaemon(ini))
            self.postfix = stack.enter_context(Postfix(hostname=HOSTNAME))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def attach(self) -> list[str]:
        """Let `spfmilter attach` change Postfix's main.cf and reload Postfix; what it says that it did."""
        command = self.command("attach", "--postfix-config", str(self.postfix.config_directory), "--apply")
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout.splitlines()

    def command(self, name: str, *arguments: str) -> list[str]:
        """One of spfmilter's commands with this stage's INI file."""
        return [str(SPFMILTER), name, "-c", str(self.daemon.ini_path), *arguments]

    def check(self, scene: Scene, *options: str) -> list[str]:
        """`spfmilter check` for a scene."""
        facts = ["--ip", scene.address, "--helo", scene.name, "--mail-from", scene.sender]
        return self.command("check", *facts, *options)

    def play(self, scene: Scene) -> tuple[list[str], Outcome]:
        """The conversation, as far as a reader wants to see it, and what came of it."""
        with SmtpDialogue("127.0.0.1", self.postfix.port) as smtp:
            attributes = {"addr": scene.address, "name": scene.name} | ({"login": scene.login} if scene.login else {})
            if smtp.xclient(**attributes).code != 220:
                raise RuntimeError("Postfix refuses XCLIENT:\n" + "\n".join(smtp.transcript))
            shown_from = len(smtp.transcript)
            smtp.ehlo(scene.name)
            answer = smtp.mail(scene.sender)
            if answer.code == 250:
                answer = smtp.rcpt(RECIPIENT)
            if answer.code == 250:
                answer = smtp.data(scene.content)
            smtp.quit()
        message = self.postfix.delivered()[0].message if answer.code == 250 else None
        outcome = Outcome(code=answer.code, lines=answer.lines, message=message)
        return list(_abridged(smtp.transcript[shown_from:], scene)), outcome


def _abridged(transcript: list[str], scene: Scene) -> Iterator[str]:
    """The dialogue without Postfix's extensions, without what is in every message, and without the farewell."""
    dull = {f"> {line}" for line in scene.content.removeprefix(scene.fields).splitlines()}
    dots = False
    for line in transcript:
        if line == "> QUIT":
            return
        if line.startswith("< 250-"):  # EHLO's answer
            continue
        if line not in dull:
            yield f"< 250 {HOSTNAME}" if line == "< 250 CHUNKING" else line
        elif not dots:
            yield "> ..."
            dots = True


def header_block(outcome: Outcome) -> list[str]:
    """The delivered header as it stands in the mailbox, without what says nothing here."""
    if outcome.message is None:
        return []
    dull = {"return-path", "x-original-to", "delivered-to", "message-id", "date", "from", "to", "subject"}
    lines: list[str] = []
    for name, value in outcome.message.raw_items():
        if name.lower() not in dull:
            lines += f"{name}: {value}".expandtabs(4).splitlines()
    return lines
