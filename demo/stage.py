"""The demo's servers, and a scene played on them: NSD, the daemon, the help page, a Postfix at either end, a client.

It knows how they work together. story.py has the scenes, screen.py the layout.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Self

from story import DOMAIN, HOSTNAME, INI, RECIPIENT, REFUSED, SENDER, ZONES, Outcome, Scene, zone

from lab.daemon import SpfmilterDaemon
from lab.nsd import Nsd
from lab.passage import Passage
from lab.postfix import Postfix
from lab.processes import free_port
from lab.smtp import SmtpDialogue

SPFMILTER = Path(sys.executable).with_name("spfmilter")


class Stage:
    """The servers. `with` starts them, and always stops them at its end."""

    def __init__(self) -> None:
        self.name_server = Nsd(ZONES)
        self._settings = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.name_server)
            self.daemon = SpfmilterDaemon("")
            self.web_port = free_port()
            self._ini = INI.format(
                milter=free_port(),
                web=self.web_port,
                nameserver=self.name_server.address,
                folder=self.daemon.folder,
                secret=self.daemon.folder / "secret",
            )
            self.daemon.rewrite(self._ini)
            stack.enter_context(self.daemon)
            # One INI file for both, as on a real host.
            self.web = stack.enter_context(SpfmilterDaemon("", command=self.command("web")))
            self.postfix = stack.enter_context(Postfix(hostname=HOSTNAME))
            # The shop's own server really connects from loopback; the passage gives it the address of the story.
            passage = stack.enter_context(Passage(self.postfix.port, addr=REFUSED.address, name=REFUSED.name))
            relay = f"[127.0.0.1]:{passage.port}"
            self.shop = stack.enter_context(Postfix(hostname=REFUSED.name, domains=[DOMAIN], relayhost=relay))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def attach(self) -> list[str]:
        """Let `spfmilter attach` change Postfix's main.cf and reload Postfix. Return its output."""
        command = self.command("attach", "--postfix-config", str(self.postfix.config_directory), "--apply")
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
        return done.stdout.splitlines()

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return the command line of one of spfmilter's commands, with this stage's INI file."""
        return [str(SPFMILTER), name, *arguments, "-c", str(self.daemon.ini_path)]

    def check(self, scene: Scene, *options: str) -> list[str]:
        """Return the command line of `spfmilter check` for a scene."""
        facts = ["--ip", scene.address, "--helo", scene.name, "--mail-from", scene.sender, "--hostname", HOSTNAME]
        return self.command("check", *facts, *options)

    def configure(self, settings: str) -> None:
        """Let the daemon reload its INI file with these sections, which replace those of the last call."""
        if settings == self._settings:
            return
        ready = sum("READY=1" in note for note in self.daemon.notifications())
        self.daemon.rewrite(self._ini + settings)
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_notification("READY=1", count=ready + 1)
        self._settings = settings

    def play(self, scene: Scene) -> tuple[list[str], Outcome]:
        """Play a scene. Return the conversation, without its dull lines, and the result."""
        self.configure(scene.settings)
        refused: dict[str, str] = {}
        with SmtpDialogue("127.0.0.1", self.postfix.port) as smtp:
            attributes = {"addr": scene.address, "name": scene.name} | ({"login": scene.login} if scene.login else {})
            if smtp.xclient(**attributes).code != 220:
                raise RuntimeError("Postfix refuses XCLIENT:\n" + "\n".join(smtp.transcript))
            shown_from = len(smtp.transcript)
            smtp.ehlo(scene.name)
            answer = smtp.mail(scene.sender)
            if answer.code == 250:
                answers = {recipient: smtp.rcpt(recipient) for recipient in scene.recipients}
                refused = {recipient: answer.text for recipient, answer in answers.items() if answer.code != 250}
                answer = next((one for one in answers.values() if one.code == 250), answers[scene.recipients[0]])
            if answer.code == 250:
                answer = smtp.data(scene.content)
            smtp.quit()
        message = self.postfix.delivered()[0].message if answer.code == 250 else None
        outcome = Outcome(code=answer.code, lines=answer.lines, message=message, refused=refused)
        return list(_abridged(smtp.transcript[shown_from:], scene)), outcome

    def bounce(self) -> EmailMessage:
        """Send the message through the shop's server. Return the bounce that this server writes to Alice."""
        self._send_from_shop()
        return self.shop.delivered()[0].message

    def sent_again(self) -> EmailMessage:
        """Send the message through the shop's server again. Return it as delivered."""
        self._send_from_shop()
        return self.postfix.delivered()[0].message

    def publish(self, record: str) -> None:
        """Publish another SPF record for the sender's domain."""
        self.name_server.replace(DOMAIN, zone(record))

    def _send_from_shop(self) -> None:
        with SmtpDialogue("127.0.0.1", self.shop.port) as smtp:
            smtp.ehlo("desk.shop.example")
            answers = [smtp.mail(SENDER), smtp.rcpt(RECIPIENT), smtp.data(REFUSED.content)]
            if any(answer.code != 250 for answer in answers):
                raise RuntimeError("the sender's own server does not take it:\n" + "\n".join(smtp.transcript))


def _abridged(transcript: list[str], scene: Scene) -> Iterator[str]:
    """Yield the dialogue without Postfix's extensions, the message content, the usual replies, and QUIT."""
    dull = {f"> {line}" for line in scene.content.removeprefix(scene.fields).splitlines()}
    dull |= {"> DATA", "< 354 End data with <CR><LF>.<CR><LF>", "> ."}
    if len(scene.recipients) == 1:
        dull |= {f"> RCPT TO:<{scene.recipients[0]}>", "< 250 2.1.5 Ok"}
    for line in transcript:
        if line == "> QUIT":
            return
        if line.startswith("< 250-") or line in dull:  # the former is EHLO's answer
            continue
        if line.startswith("< 250 2.0.0 "):
            yield "> ..."
        yield f"< 250 {HOSTNAME}" if line == "< 250 CHUNKING" else line


def header_block(outcome: Outcome, shown: frozenset[str]) -> list[str]:
    """Return the delivered header: the fields that the scene shows, or all that matter here."""
    if outcome.message is None:
        return []
    dull = {"return-path", "x-original-to", "delivered-to", "message-id", "date", "from", "to", "subject"}
    lines: list[str] = []
    for name, value in outcome.message.raw_items():
        if name.lower() in shown if shown else name.lower() not in dull:
            lines += f"{name}: {value}".expandtabs(4).splitlines()
    return lines
