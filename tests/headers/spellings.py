"""The kept table of forged and honest fields, and messages made of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter.headers.forged import hides, is_forged, may_hide, watched
from spfmilter.settings import Settings
from tests.values import settings

OWN = "mx.example.net"
SETTINGS: Settings = settings(f"[headers]\nauthserv_id = {OWN}, mx.xn--bcher-kva.example")
TABLE = Path(__file__).with_name("spellings.txt")
# What a reader looks for; the domain is that of the envelope, and names the line.
RESULT = "spf=pass smtp.mailfrom={domain}"
_ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[\\trn])")
_PLAIN = {b"\\": b"\\", b"t": b"\t", b"r": b"\r", b"n": b"\n"}


@dataclass(frozen=True)
class Spelling:
    """One field of the table."""

    kind: str  # forged, hidden, honest, harmless
    line: int
    written: str  # as in the table
    name: bytes
    value: bytes

    @property
    def domain(self) -> str:
        """The domain that the result is about."""
        return f"n{self.line}.forged.example"

    @property
    def text(self) -> str:
        """The value as the session gets it."""
        return self.value.decode("utf-8", "surrogateescape")

    @property
    def field(self) -> bytes:
        """As it stands in a message."""
        return b"%s:%s\n" % (self.name, self.value)

    @property
    def message(self) -> bytes:
        """A message that has this field, as an MTA hands it on."""
        return b"%s%s" % (self.field, content(self.domain))

    @property
    def removed(self) -> bool:
        """Whether the gatekeeper removes it."""
        key = self.name.decode().rstrip(" \t").lower()
        return key in watched(SETTINGS) and is_forged(key, self.text, OWN, SETTINGS)

    @property
    def refused(self) -> bool:
        """Whether the message is refused for it."""
        return not self.removed and may_hide(self.value) and hides(self.text, SETTINGS)

    def __str__(self) -> str:
        return f"line {self.line}: {self.written}"


def spellings() -> Iterator[Spelling]:
    """All of the table."""
    kind = ""
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if line.startswith("== "):
            kind = line.removeprefix("== ").partition(":")[0]
        elif line and not line.startswith("#"):
            result = RESULT.format(domain=f"n{number}.forged.example")
            name, value = line.replace("SPF=PASS", result).encode().split(b":", 1)
            yield Spelling(kind, number, line, _ESCAPE.sub(_unescaped, name), _ESCAPE.sub(_unescaped, value))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[:1] == b"x":
        return bytes([int(code[1:], 16)])
    return chr(int(code[1:], 16)).encode() if code[:1] == b"u" else _PLAIN[code]


def content(domain: str) -> bytes:
    """The rest of the message."""
    return f"From: a@{domain}\nSubject: Greetings\nMessage-ID: <a@{domain}>\n\nHello.\n".encode()


def deliverable() -> list[Spelling]:
    """Those that can stand in one message to an MTA that is called mx.example.net and nothing else.

    Not those that have it refused. Not those with a bare CR: Postfix writes a blank in its place, and Sendmail takes no
    such message.
    """
    excluded = re.compile(rb"bcher-kva|cher\.example|\r", re.IGNORECASE)
    return [s for s in spellings() if s.kind != "hidden" and excluded.search(s.value) is None]
