"""The MTA's side of the milter protocol, for tests of the real daemon and for benchmarks.

It knows the order of the steps, what was negotiated, and what an MTA does with each reply (if Postfix and Sendmail
differ, it does as Postfix). `lab.milterwire` knows the wire format, `lab.miltersocket` the transport. It knows nothing
about SPF.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from lab import milterwire as wire
from lab.miltersocket import MilterSocket
from lab.milterwire import MilterError, Options, Reply, Step

NO_MACROS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The result of one message: the step that decided, its reply, and all recipients' replies."""

    stage: str
    reply: Reply
    rcpt_replies: tuple[Reply, ...] = ()

    @property
    def inserted(self) -> tuple[wire.Inserted, ...]:
        """Return the inserted header fields, in the order in which the filter sent them."""
        return self.reply.inserted

    @property
    def added(self) -> tuple[wire.Added, ...]:
        """Return the added header fields."""
        return self.reply.added

    @property
    def changed(self) -> tuple[wire.Changed, ...]:
        """Return the changed header fields; an empty value deletes a field."""
        return self.reply.changed

    @property
    def quarantine(self) -> str | None:
        """Return why the message is held; None if it is not."""
        return self.reply.quarantine


class MilterClient:
    """One connection to a filter, as an MTA would hold it: `with MilterClient("inet:8890@127.0.0.1") as mta: ...`.

    Steps that the filter declined are not sent, but their macros are, as Postfix does. If the filter declined to reply,
    'noreply' is returned at once. With `buffered`, packets wait until a reply is needed: so Postfix saves system calls.
    Otherwise they are sent at once, so a test can watch the filter act on them.
    """

    def __init__(self, address: str, *, timeout: float = 30.0, buffered: bool = False) -> None:
        self.address = address
        self.options = Options(version=wire.VERSION, actions=wire.ALL_ACTIONS, protocol=0)
        self._socket = MilterSocket(address, timeout=timeout)
        self._buffered = buffered

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def local(self) -> str:
        """Return this side's address as the peer sees it: "HOST:PORT", empty on a unix socket."""
        return self._socket.local

    def close(self) -> None:
        """Close the connection without QUIT, as an MTA that died would."""
        self._socket.close()

    def send_raw(self, data: bytes) -> None:
        """Send these bytes, after those that wait to be sent."""
        self._socket.put(data)
        self._socket.flush()

    def has_answer(self, seconds: float) -> bool:
        """Return whether the filter has said something that is unread, waiting so many seconds at most."""
        return self._socket.has_answer(seconds)

    def recv_packet(self) -> tuple[bytes, bytes]:
        """Return the filter's next packet of any kind as (command, data)."""
        return self._socket.packet("a packet")

    def negotiate(
        self, version: int = wire.VERSION, actions: int = wire.ALL_ACTIONS, protocol: int = wire.ALL_STEPS
    ) -> Options:
        """Negotiate: offer all that this side supports, and follow the filter's choice."""
        self._send(wire.packet(b"O", struct.pack(">III", version, actions, protocol)))
        command, data = self._socket.packet("the reply to the option negotiation")
        if command != b"O":
            msg = f"{self.address}: {command!r} in reply to the option negotiation"
            raise MilterError(msg)
        options = wire.parse_options(data)
        if options.version > version or options.actions & ~actions or options.protocol & ~protocol:
            msg = f"{self.address}: the filter asks for more than was offered: {options}"
            raise MilterError(msg)
        self.options = options
        return options

    def connect(
        self,
        name: str | bytes = "client.example",
        family: str = "inet",
        address: str | bytes = "192.0.2.1",
        port: int = 25252,
        macros: Mapping[str, str] = NO_MACROS,
    ) -> Reply:
        """Send the connection of an SMTP client."""
        return self._step(wire.CONNECT, wire.connect_data(name, family, address, port), macros)

    def helo(self, name: str | bytes, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send HELO or EHLO."""
        return self._step(wire.HELO, wire.strings(name), macros)

    def mail(self, sender: str | bytes, *esmtp: str | bytes, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send MAIL FROM, with the angle brackets."""
        return self._step(wire.MAIL, wire.strings(sender, *esmtp), macros)

    def rcpt(self, recipient: str | bytes, *esmtp: str | bytes, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send RCPT TO, with the angle brackets."""
        return self._step(wire.RCPT, wire.strings(recipient, *esmtp), macros)

    def data(self, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send DATA."""
        return self._step(wire.DATA, b"", macros)

    def header(self, name: str | bytes, value: str | bytes) -> Reply:
        """Send one header field. Add a blank after the colon if the filter asked for it."""
        blank = b" " if self.options.protocol & wire.HDR_LEADSPC else b""
        return self._step(wire.HEADER, wire.strings(name, blank + wire.octets(value)))

    def eoh(self, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send the end of the header."""
        return self._step(wire.EOH, b"", macros)

    def body(self, body: str | bytes) -> Reply:
        """Send the body, in chunks, until the filter asks to skip the rest."""
        content = wire.octets(body)
        reply = wire.NO_REPLY
        for start in range(0, len(content), wire.CHUNK_SIZE):
            reply = self._step(wire.BODY, content[start : start + wire.CHUNK_SIZE])
            if reply.kind not in {"continue", "noreply"}:
                break
        return reply

    def eom(self, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Send the end of the message. The reply has all modifications."""
        return self._step(wire.EOM, b"", macros)

    def unknown(self, line: str | bytes) -> Reply:
        """Send an SMTP command that the MTA does not know."""
        return self._step(wire.UNKNOWN, wire.strings(line))

    def abort(self) -> None:
        """Abort the message. The SMTP connection continues."""
        self._send(wire.packet(b"A"))

    def quit_nc(self) -> None:
        """End the SMTP connection. Another one follows on this milter connection, without negotiation.

        libmilter obeys this command only directly after the end of a message or an unknown command. At other times it
        ignores the command silently, and the next connect gets no reply.
        """
        self._send(wire.packet(b"K"))

    def quit(self) -> None:
        """End the SMTP connection and this milter connection."""
        self.send_raw(wire.packet(b"Q"))
        self.close()

    def _send(self, *packets: bytes) -> None:
        self._socket.put(*packets)
        if not self._buffered:
            self._socket.flush()

    def _step(self, step: Step, data: bytes, macros: Mapping[str, str] = NO_MACROS) -> Reply:
        """Do one step as negotiated: send its macros and the step, read its reply."""
        packets = []
        if wanted := self.options.wanted_macros(step, macros):
            texts = [text for macro in wanted.items() for text in macro]
            packets.append(wire.packet(b"D", step.command + wire.strings(*texts)))
        if self.options.wants(step):
            packets.append(wire.packet(step.command, data))
        self._send(*packets)
        return self._reply(step) if self.options.wants(step) and self.options.answers(step) else wire.NO_REPLY

    def _reply(self, step: Step) -> Reply:
        """Read packets up to the one that ends the step. Skip progress packets, and collect modifications."""
        modifications: list[wire.Modification] = []
        while True:
            command, data = self._socket.packet(f"the reply to {step.name}")
            if command == b"p":
                continue
            reply = wire.parse_reply(command, data)
            if reply is not None:
                return replace(reply, modifications=tuple(modifications)) if modifications else reply
            change = wire.parse_modification(command, data)
            if change is None or step is not wire.EOM:
                msg = f"{self.address}: unexpected packet {command + data!r} in reply to {step.name}"
                raise MilterError(msg)
            modifications.append(change)

    def greet(
        self,
        address: str = "192.0.2.1",
        helo: str | bytes = "mail.example",
        *,
        name: str | bytes | None = None,
        macros: Mapping[str, str] = NO_MACROS,
    ) -> Reply:
        """Negotiate, connect and send HELO. Return the reply to the last step sent.

        If no name is given, the client has none in the DNS. MTAs then write its address in brackets.
        """
        self.negotiate()
        family = "inet6" if ":" in address else "inet"
        reply = self.connect(f"[{address}]" if name is None else name, family, address, macros=macros)
        return self.helo(helo, macros=macros) if reply.proceeds else reply

    def deliver(
        self,
        mail: str | bytes,
        rcpts: Sequence[str | bytes],
        headers: Iterable[tuple[str | bytes, str | bytes]] = (),
        body: str | bytes = "",
        *,
        macros: Mapping[str, str] = NO_MACROS,
        esmtp: Sequence[str | bytes] = (),
    ) -> Outcome:
        """Send one message from MAIL to its end, on an open session. Offer the same macros at each step."""
        reply = self.mail(mail, *esmtp, macros=macros)
        if not reply.proceeds:
            return self._ended("mail", reply)
        rcpt_replies: list[Reply] = []
        for rcpt in rcpts:
            rcpt_replies.append(self.rcpt(rcpt, macros=macros))
            if rcpt_replies[-1].kind in {"accept", "discard", "shutdown"}:  # for the whole message
                return self._ended("rcpt", rcpt_replies[-1], rcpt_replies)
        if rcpt_replies and not any(reply.proceeds for reply in rcpt_replies):
            return self._ended("rcpt", rcpt_replies[-1], rcpt_replies)
        return self._content(headers, body, macros, rcpt_replies)

    def _content(
        self,
        headers: Iterable[tuple[str | bytes, str | bytes]],
        body: str | bytes,
        macros: Mapping[str, str],
        rcpt_replies: Sequence[Reply],
    ) -> Outcome:
        """Send the message from DATA on. Stop at the first step that decides."""
        steps: list[tuple[str, Callable[[], Reply]]] = [("data", partial(self.data, macros))]
        steps += [("header", partial(self.header, name, value)) for name, value in headers]
        steps += [("eoh", partial(self.eoh, macros)), ("body", partial(self.body, body))]
        for stage, take in steps:
            reply = take()
            if not reply.proceeds:
                return self._ended(stage, reply, rcpt_replies)
        return Outcome(stage="eom", reply=self.eom(macros=macros), rcpt_replies=tuple(rcpt_replies))

    def _ended(self, stage: str, reply: Reply, rcpt_replies: Sequence[Reply] = ()) -> Outcome:
        """Return the result of a message that stops before its end, and abort it."""
        self.abort()
        return Outcome(stage=stage, reply=reply, rcpt_replies=tuple(rcpt_replies))
