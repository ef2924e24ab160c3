"""A receiving site: the daemon, attached to a private MTA, asking a private NSD.

It knows how to send a message there as some client, and how to find what became of it. It does not know SPF.
"""

import itertools
import json
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lab.daemon import SpfmilterDaemon
from lab.mailserver import Delivered
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import free_port, until
from lab.sendmail import Sendmail
from lab.smtp import Answer, SmtpDialogue
from tests.mta.zones import LOCAL_UNLISTED, UNLISTED
from tests.values import at_mail

HELO = "www.example.com"  # has no SPF record, so that HELO decides nothing


def written_by(*authors: str) -> str:
    """A message with a From field for each of the domains."""
    fields = "".join(f"From: Alice <alice@{author}>\n" for author in authors)
    return f"{fields}To: bob@example.net\nSubject: Greetings\n\nHello.\n"


MESSAGE = written_by("example.com")


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of a message in the conversation: the answer that settled it, and to whom it was addressed."""

    answer: Answer
    recipient: str

    @property
    def accepted(self) -> bool:
        """Whether it was taken."""
        return self.answer.code == 250

    @property
    def queue_id(self) -> str:
        """The MTA's name for the message: "2.0.0 Ok: queued as ...", or Sendmail's "2.0.0 ... Message accepted"."""
        words = self.answer.text.split()
        return words[1] if "accepted" in words else words[-1]


class Receiver:
    """One daemon with the given INI sections, and the MTA that asks it; it refuses at MAIL FROM, unless they say."""

    def __init__(self, name_server: Nsd, socket: str, ini: str, mta: Postfix | Sendmail) -> None:
        self._base = f"[milter]\nsocket = {socket}\n[dns]\nnameservers = {name_server.address}\n[log]\nformat = json\n"
        self.daemon = SpfmilterDaemon(at_mail(self._base + ini))
        self.mta = mta
        self._stack = ExitStack()
        self._numbers = itertools.count(1)
        self._delivered: list[Delivered] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.mta.stop)  # its folder is there before it starts; once more is harmless
            stack.enter_context(self.daemon)
            stack.enter_context(self.mta)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            assert "internal error" not in self.daemon.log()

    def configure(self, ini: str) -> None:
        """Other INI sections from now on, by a reload: for connections made afterwards."""
        ready = sum("READY=1" in note for note in self.daemon.notifications())
        self.daemon.rewrite(at_mail(self._base + ini))
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait_for_notification("READY=1", count=ready + 1)

    def recipient(self) -> str:
        """An address that no other message of this site is for."""
        return f"bob{next(self._numbers)}@example.net"

    def deliver(self, smtp: SmtpDialogue, sender: str, *parameters: str, content: bytes | str = MESSAGE) -> Sent:
        """One message in a conversation, as far as it gets."""
        recipient = self.recipient()
        answer = smtp.mail(sender, *parameters)
        if answer.code == 250:
            answer = smtp.rcpt(recipient)
        if answer.code == 250:
            answer = smtp.data(content)
        return Sent(answer=answer, recipient=recipient)

    def received(self, sent: Sent) -> Delivered:
        """The message as it lies in the mailbox."""
        assert sent.accepted, sent.answer
        while True:
            for message in self._delivered:
                if message.recipient == sent.recipient:
                    return message
            self._delivered += self.mta.delivered()

    def fields(self, sent: Sent) -> list[tuple[str, str]]:
        """Its header fields from the top, unfolded; those that are written at delivery left out."""
        added = {"return-path", "x-original-to", "delivered-to"}
        fields = [(name, " ".join(str(value).split())) for name, value in self.received(sent).message.raw_items()]
        return [(name, value) for name, value in fields if name.lower() not in added]

    def field(self, sent: Sent, name: str) -> list[str]:
        """The values of all its header fields of one name."""
        return [value for key, value in self.fields(sent) if key.lower() == name.lower()]

    def logged(self, **keys: object) -> dict[str, Any]:
        """The daemon's log line with these keys and values; it must be the only one."""
        [line] = until(lambda: self._lines(keys), 10, lambda: f"{keys} in the daemon's log:\n{self.daemon.log()}")
        return line

    def _lines(self, keys: dict[str, object]) -> list[dict[str, Any]]:
        # The last line may still be half written; and pymilter prints what it cannot decode as it pleases.
        whole = self.daemon.log().split("\n")[:-1]
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if keys.items() <= line.items()]


class Site(Receiver):
    """With a Postfix, whose clients may have any address; `postfix` goes to lab.postfix.Postfix.

    `behind` is another filter, as `smtpd_milters` has it, that sees what ours has made of a message.
    """

    def __init__(
        self, name_server: Nsd, ini: str = "", *, family: str = "inet", behind: str = "", **postfix: Any
    ) -> None:
        port = free_port()
        here, there = {
            "inet": (f"inet:{port}@127.0.0.1", f"inet:127.0.0.1:{port}"),
            "inet6": (f"inet6:{port}@::1", f"inet:[::1]:{port}"),
        }[family]
        self.postfix = Postfix(smtpd_milters=f"{there} {behind}", **postfix)
        super().__init__(name_server, here, ini, self.postfix)

    def connect(
        self, client: str = UNLISTED, *, helo: str = HELO, timeout: float = 20.0, **xclient: str
    ) -> SmtpDialogue:
        """A conversation as that client, which has greeted already."""
        smtp = SmtpDialogue("127.0.0.1", self.postfix.port, timeout=timeout)
        assert smtp.xclient(addr=client, **{"name": "[UNAVAILABLE]", **xclient}).code == 220
        assert smtp.ehlo(helo).code == 250
        return smtp

    def send(
        self, sender: str, client: str = UNLISTED, *, helo: str = HELO, content: bytes | str = MESSAGE, **xclient: Any
    ) -> Sent:
        """One message in a conversation of its own."""
        with self.connect(client, helo=helo, **xclient) as smtp:
            sent = self.deliver(smtp, sender, content=content)
            smtp.quit()
        return sent


class SendmailSite(Receiver):
    """With a Sendmail, whose clients have addresses of this host; `sendmail` goes to lab.sendmail.Sendmail."""

    def __init__(self, name_server: Nsd, ini: str = "", *, family: str = "inet", **sendmail: Any) -> None:
        socket = f"{family}:{free_port()}@{'::1' if family == 'inet6' else '127.0.0.1'}"
        self.sendmail = Sendmail(milters=[socket], **sendmail)
        super().__init__(
            name_server, socket, ini if "[exempt]" in ini else f"[exempt]\nnetworks =\n{ini}", self.sendmail
        )

    def connect(self, client: str = LOCAL_UNLISTED, *, helo: str = HELO, timeout: float = 20.0) -> SmtpDialogue:
        """A conversation from that address of this host, which has greeted already."""
        server = "::1" if ":" in client else "127.0.0.1"
        smtp = SmtpDialogue(server, self.sendmail.port, timeout=timeout, source=client)
        assert smtp.ehlo(helo).code == 250
        return smtp

    def send(
        self, sender: str, client: str = LOCAL_UNLISTED, *, helo: str = HELO, content: bytes | str = MESSAGE
    ) -> Sent:
        """One message in a conversation of its own."""
        with self.connect(client, helo=helo) as smtp:
            sent = self.deliver(smtp, sender, content=content)
            smtp.quit()
        return sent
