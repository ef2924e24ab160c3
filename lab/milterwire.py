"""The milter protocol as bytes and values, as an MTA sees it: no sockets, no order of steps.

It knows what <libmilter/mfdef.h> and <libmilter/mfapi.h> define for version 6: packets, commands, replies, and the
steps that a filter declines. `lab.milterclient` knows when a step is sent and what follows from a reply.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VERSION = 6
ALL_ACTIONS = 0x1FF  # SMFI_CURR_ACTS
ALL_STEPS = 0x1FFFFF  # SMFI_CURR_PROT
HDR_LEADSPC = 0x00100000  # SMFIP_HDR_LEADSPC: header values come with the blank after the colon
CHUNK_SIZE = 65535  # MILTER_CHUNK_SIZE

Kind = Literal[
    "continue", "accept", "reject", "tempfail", "discard", "reply", "skip", "shutdown", "connfail", "noreply"
]

_KINDS: Mapping[bytes, Kind] = {
    b"c": "continue",
    b"a": "accept",
    b"r": "reject",
    b"t": "tempfail",
    b"d": "discard",
    b"y": "reply",
    b"s": "skip",
    b"4": "shutdown",
    b"f": "connfail",
}


class MilterError(Exception):
    """The filter is not there, did not answer in time, or broke the protocol."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the MTA, and the bits by which a filter declines the command or its reply."""

    name: str
    command: bytes
    skip: int = 0  # SMFIP_NO*
    no_reply: int = 0  # SMFIP_NR_*
    stage: int | None = None  # SMFIM_*: which list of macros belongs to it
    since: int = 2  # the protocol version that introduced it


CONNECT = Step("connect", b"C", 0x01, 0x1000, stage=0)
HELO = Step("helo", b"H", 0x02, 0x2000, stage=1)
MAIL = Step("mail", b"M", 0x04, 0x4000, stage=2)
RCPT = Step("rcpt", b"R", 0x08, 0x8000, stage=3)
DATA = Step("data", b"T", 0x200, 0x10000, stage=4, since=4)
HEADER = Step("header", b"L", 0x20, 0x80)
EOH = Step("eoh", b"N", 0x40, 0x40000, stage=6)
BODY = Step("body", b"B", 0x10, 0x80000)
EOM = Step("eom", b"E", stage=5)
UNKNOWN = Step("unknown", b"U", 0x100, 0x20000, since=3)

_STAGES: Mapping[int, str] = {
    step.stage: step.name for step in (CONNECT, HELO, MAIL, RCPT, DATA, EOM, EOH) if step.stage is not None
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the filter answered to the negotiation: which steps and macros it wants, and what it may change."""

    version: int
    actions: int
    protocol: int
    symlists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # step name -> macros, where it sent any

    def wants(self, step: Step) -> bool:
        """Return whether to send the step at all."""
        return not self.protocol & step.skip and self.version >= step.since

    def answers(self, step: Step) -> bool:
        """Return whether a reply to the step will come."""
        return not self.protocol & step.no_reply

    def wanted_macros(self, step: Step, macros: Mapping[str, str]) -> dict[str, str]:
        """Return the macros that are sent before the step. Their names have braces, as on the wire."""
        named = {name if len(name) == 1 or name.startswith("{") else f"{{{name}}}": macros[name] for name in macros}
        wanted = self.symlists.get(step.name)
        return named if wanted is None else {name: value for name, value in named.items() if name in wanted}


@dataclass(frozen=True, slots=True)
class Inserted:
    """A header field to insert at an index; 0 is above the MTA's own Received."""

    index: int
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Added:
    """A header field to add below the others."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A new value for the index-th field of a name; an empty value deletes the field."""

    name: str
    index: int
    value: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A request to hold the message."""

    reason: str


@dataclass(frozen=True, slots=True)
class OtherChange:
    """A change of sender, recipients or body: the command's letter and its data, unread."""

    command: str
    data: bytes


Modification = Inserted | Added | Changed | Quarantined | OtherChange


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The filter's reply to a step; for 'reply', with the SMTP lines as the SMTP client gets them."""

    kind: Kind
    lines: tuple[str, ...] = ()
    raw: bytes = b""  # the reply's data as they were on the wire
    modifications: tuple[Modification, ...] = ()  # in order; at the end of the message only

    @property
    def code(self) -> str:
        """Return the SMTP reply code; empty if the filter left it to the MTA."""
        return self.lines[0][:3] if self.lines else ""

    @property
    def text(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines)

    @property
    def proceeds(self) -> bool:
        """Return whether the MTA continues with the next step."""
        return self.kind in {"continue", "noreply", "skip"}

    @property
    def inserted(self) -> tuple[Inserted, ...]:
        """Return the inserted header fields."""
        return tuple(change for change in self.modifications if isinstance(change, Inserted))

    @property
    def added(self) -> tuple[Added, ...]:
        """Return the added header fields."""
        return tuple(change for change in self.modifications if isinstance(change, Added))

    @property
    def changed(self) -> tuple[Changed, ...]:
        """Return the changed and deleted header fields."""
        return tuple(change for change in self.modifications if isinstance(change, Changed))

    @property
    def quarantine(self) -> str | None:
        """Return why the message is held; None if it is not."""
        return next((change.reason for change in self.modifications if isinstance(change, Quarantined)), None)


NO_REPLY = Reply(kind="noreply")


def octets(text: str | bytes) -> bytes:
    """Return text as bytes for the wire: bytes unchanged, surrogates as the octets that they stand for."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def strings(*texts: str | bytes) -> bytes:
    """Return NUL-terminated strings, one after the other."""
    return b"".join(octets(text) + b"\0" for text in texts)


def packet(command: bytes, data: bytes = b"") -> bytes:
    """Return one packet: the length of the rest, the command, its data."""
    return struct.pack(">I", 1 + len(data)) + command + data


def connect_data(name: str | bytes, family: str, address: str | bytes, port: int) -> bytes:
    """Return the data of SMFIC_CONNECT. An unknown family has neither port nor address."""
    letters = {"inet": b"4", "inet6": b"6", "unix": b"L", "unknown": b"U"}
    if family not in letters:
        msg = f"unknown address family {family!r}: there are {', '.join(letters)}"
        raise ValueError(msg)
    data = strings(name) + letters[family]
    return data if family == "unknown" else data + struct.pack(">H", port) + strings(address)


def parse_options(data: bytes) -> Options:
    """Parse the filter's answer to SMFIC_OPTNEG: three numbers, then a list of macros for each stage that has one."""
    if len(data) < 12:
        msg = f"option negotiation answered with {len(data)} octets, not 12 or more"
        raise MilterError(msg)
    version, actions, protocol = struct.unpack_from(">III", data)
    symlists: dict[str, tuple[str, ...]] = {}
    offset = 12
    while offset < len(data):
        end = data.find(b"\0", offset + 4)
        if end < 0:
            msg = f"unterminated list of macros: {data[offset:]!r}"
            raise MilterError(msg)
        (stage,) = struct.unpack_from(">I", data, offset)
        symlists[_STAGES.get(stage, str(stage))] = tuple(re.findall(r"[^\s,]+", _text(data[offset + 4 : end])))
        offset = end + 1
    return Options(version=version, actions=actions, protocol=protocol, symlists=symlists)


def parse_reply(command: bytes, data: bytes) -> Reply | None:
    """Parse a packet that ends a step; None if it is another packet.

    A `%%` becomes `%`: Postfix and Sendmail both use the text as a format.
    """
    kind = _KINDS.get(command)
    if kind is None:
        return None
    if kind != "reply":
        return Reply(kind=kind, raw=data)
    text = re.sub("%(.?)", r"\1", _text(data.rstrip(b"\0")), flags=re.DOTALL)
    return Reply(kind=kind, lines=tuple(text.removesuffix("\r\n").split("\r\n")), raw=data)


def parse_modification(command: bytes, data: bytes) -> Modification | None:
    """Parse a packet that changes the message; None if it is another packet."""
    try:
        match command:
            case b"i" | b"m":
                (index,) = struct.unpack_from(">I", data)
                name, value = _texts(data[4:], 2)
                return Inserted(index, name, value) if command == b"i" else Changed(name, index, value)
            case b"h":
                name, value = _texts(data, 2)
                return Added(name, value)
            case b"q":
                return Quarantined(*_texts(data, 1))
            case b"+" | b"-" | b"2" | b"b" | b"e":
                return OtherChange(command.decode("ascii"), data)
    except (struct.error, ValueError) as error:
        msg = f"malformed modification {command + data!r}: {error}"
        raise MilterError(msg) from error
    return None


def _texts(data: bytes, count: int) -> list[str]:
    """Parse exactly `count` NUL-terminated strings. Further bytes are an error."""
    parts = data.split(b"\0")
    if len(parts) != count + 1 or parts[-1]:
        msg = f"not {count} NUL-terminated strings"
        raise ValueError(msg)
    return [_text(part) for part in parts[:count]]


def _text(wire: bytes) -> str:
    return wire.decode("utf-8", "surrogateescape")
