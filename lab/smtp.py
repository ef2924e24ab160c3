"""A plain SMTP client that sends exactly the given commands and keeps the whole conversation as text.

It knows the wire format of commands, answers and message content (RFC 5321, 2920, 3030, 3207, 4954), and Postfix's
XCLIENT. It does not know which order of commands is right: a test may want the wrong one.
"""

import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_ANSWER = re.compile(rb"(\d{3})(?:([ -])(.*))?")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer: its code, and the text of each line without the code."""

    code: int
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines)

    def __str__(self) -> str:
        *before, last = self.lines or [""]
        return "\n".join([*(f"{self.code}-{line}" for line in before), f"{self.code} {last}"])


class SmtpDialogue:
    """One SMTP connection, made at once; a method per verb, and `transcript` with "> " and "< " before each line."""

    def __init__(self, host: str, port: int, *, timeout: float = 20.0, source: str = "") -> None:
        """Connect and read the greeting. The time limit in seconds is for the connect and for each answer.

        With a `source` the connection comes from that address of this host, such as one of 127.0.0.0/8.
        """
        self.transcript: list[str] = []
        self._peer = f"{host} port {port}"
        self._timeout = timeout
        self._socket = socket.create_connection((host, port), timeout=timeout, source_address=(source, 0))
        self._file = self._socket.makefile("rb")
        self._last = "the connection"
        try:
            self.greeting = self._answer()
        except BaseException:
            self.close()
            raise

    def ehlo(self, name: str) -> Answer:
        """Greet as an ESMTP client."""
        return self.raw(f"EHLO {name}")

    def helo(self, name: str) -> Answer:
        """Greet as a client of RFC 821."""
        return self.raw(f"HELO {name}")

    def xclient(self, **attributes: str) -> Answer:
        """Send Postfix's XCLIENT, e.g. addr="203.0.113.7", name="host.example.com", helo=..., login=...: 220."""
        return self.raw(
            " ".join(["XCLIENT", *(f"{name.upper()}={_xclient(name, attributes[name])}" for name in attributes)])
        )

    def starttls(self) -> Answer:
        """Do STARTTLS and the handshake, and accept any certificate. EHLO must be sent again."""
        answer = self.raw("STARTTLS")
        if answer.code == 220:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._file.close()
            self._socket = context.wrap_socket(self._socket)
            self._file = self._socket.makefile("rb")
        return answer

    def auth(self, user: str, password: str) -> Answer:
        """Log in by AUTH PLAIN (RFC 4954, 4616); 235 on success."""
        return self.raw(b"AUTH PLAIN " + b64encode(f"\0{user}\0{password}".encode()))

    def mail(self, sender: str, *parameters: str) -> Answer:
        """Send MAIL FROM. The angle brackets are added; "" is the null sender."""
        return self.raw(" ".join([f"MAIL FROM:<{sender}>", *parameters]))

    def rcpt(self, recipient: str, *parameters: str) -> Answer:
        """Send RCPT TO. The angle brackets are added."""
        return self.raw(" ".join([f"RCPT TO:<{recipient}>", *parameters]))

    def data(self, content: bytes | str) -> Answer:
        """Send DATA and the content, dots stuffed. Return the answer to the content, or the refusal of DATA."""
        go_ahead = self.raw("DATA")
        return self.content(content) if go_ahead.code == 354 else go_ahead

    def content(self, content: bytes | str) -> Answer:
        """Send the content after DATA, dots stuffed. Return its answer."""
        wire = on_the_wire(content)
        self._send(re.sub(rb"(?m)^\.", b"..", wire) + b".\r\n", f"the content of {len(wire)} bytes")
        return self._answer()

    def bdat(self, content: bytes | str, *, last: bool = True) -> Answer:
        """Send one chunk (RFC 3030). Bytes are sent unchanged."""
        chunk = content if isinstance(content, bytes) else on_the_wire(content)
        command = f"BDAT {len(chunk)}{' LAST' if last else ''}"
        self._send(command.encode() + b"\r\n" + chunk, command)
        return self._answer()

    def rset(self) -> Answer:
        """End the transaction, keep the connection."""
        return self.raw("RSET")

    def quit(self) -> Answer:
        """Say goodbye and close."""
        answer = self.raw("QUIT")
        self.close()
        return answer

    def raw(self, line: str | bytes) -> Answer:
        """Send one command line exactly as given, and CR LF."""
        return self.send_many(line)[0]

    def send_many(self, *lines: str | bytes) -> list[Answer]:
        """Send pipelined commands (RFC 2920) in one write. Return all their answers."""
        wire = b"".join(_bytes(line) + b"\r\n" for line in lines)
        self._send(wire, " | ".join(_text(_bytes(line)) for line in lines))
        return [self._answer() for _ in lines]

    @property
    def connection(self) -> socket.socket:
        """Return the connection itself, for use without this class. All answers have been read."""
        return self._socket

    def close(self) -> None:
        """Close the connection without QUIT. A second call is harmless."""
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, wire: bytes, what: str) -> None:
        self._last = what
        self.transcript += [f"> {_text(line)}" for line in wire.removesuffix(b"\r\n").split(b"\r\n")]
        self._socket.sendall(wire)

    def _answer(self) -> Answer:
        lines: list[str] = []
        while True:
            line = self._line()
            self.transcript.append(f"< {_text(line)}")
            parts = _ANSWER.fullmatch(line)
            if parts is None:
                raise ConnectionError(self._complaint(f"no SMTP answer: {line!r}"))
            lines.append(_text(parts[3] or b""))
            if parts[2] != b"-":
                return Answer(code=int(parts[1]), lines=lines)

    def _line(self) -> bytes:
        try:
            line = self._file.readline()
        except TimeoutError:
            raise TimeoutError(self._complaint(f"no answer within {self._timeout:g} s")) from None
        if not line.endswith(b"\n"):
            raise ConnectionError(self._complaint("closed the connection"))
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def _complaint(self, what: str) -> str:
        return "\n".join([f"{self._peer}, after {self._last}: {what}", *self.transcript])


def on_the_wire(content: bytes | str) -> bytes:
    """Return message content with CR LF at the end of every line. Bytes keep a lone CR or LF on purpose."""
    if isinstance(content, str):
        content = re.sub(rb"\r?\n", b"\r\n", _bytes(content))
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


def chunk(content: bytes | str, *, last: bool = True) -> bytes:
    """Return BDAT and its content (RFC 3030) as one item of SmtpDialogue.send_many(), which adds the last CR LF."""
    wire = on_the_wire(content)
    return b"BDAT %d%b\r\n%b" % (len(wire), b" LAST" if last else b"", wire.removesuffix(b"\r\n"))


def _xclient(name: str, value: str) -> str:
    """Return a value for XCLIENT: xtext (RFC 3461 section 4), and IPv6 addresses with their RFC 5321 tag."""
    if name.lower() in {"addr", "destaddr"} and ":" in value and not value.upper().startswith("IPV6:"):
        value = f"IPV6:{value}"
    return "".join(
        chr(octet) if 33 <= octet <= 126 and octet not in b"+=" else f"+{octet:02X}" for octet in _bytes(value)
    )


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _text(wire: bytes) -> str:
    return wire.decode("utf-8", "surrogateescape")
