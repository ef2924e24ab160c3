"""Whether what a filter sends is what ours may send: no more than a filter may say, and nothing that breaks a reply.

It knows the replies of the milter protocol (SMTP: RFC 5321, enhanced status codes: RFC 3463). It knows no sockets.
"""

import re
from collections.abc import Iterator, Sequence

from lab import milterwire as wire

_CODES = {"5": {"550"}, "4": {"451", "452"}}
_LINE = re.compile(r"([45]\d\d)([- ])(([245])\.\d{1,3}\.\d{1,3}) (.*)", re.DOTALL)
_NAME = re.compile(r"[!-9;-~]+")
_MAX_SIZE = 512  # octets of a line, CR LF included (RFC 5321 section 4.5.3.1.5)
_FIELD_MOST = 998  # octets of a header field's line (RFC 5322 section 2.1.1)


def objections(
    packets: Sequence[tuple[bytes, bytes]], *, commands: int, utf8: bool, whole: bool = True
) -> Iterator[str]:
    """What is wrong with all that came on a connection, in order.

    Args:
        packets: command and data of each.
        commands: how many packets were sent that may have a reply: there cannot be more replies.
        utf8: whether the client has said SMTPUTF8.
        whole: whether the last packet is the last that was sent.
    """
    replies, changes = 0, 0
    for command, data in packets:
        if command in {b"i", b"m", b"q"}:  # a field is put in or changed, the message is held: all that we do to one
            changes += 1
            yield from _modification(command, data)
            continue
        if changes and command != b"c":
            yield f"changes before {command!r}, which is no acceptance"
        changes = 0
        replies += 1
        if command == b"y":
            yield from reply(data, utf8=utf8)
        elif (command, data) != (b"c", b"") and (command != b"O" or len(data) < 12):
            yield f"a reply that is none of ours: {command + data!r}"
    if changes and whole:
        yield "changes, and no reply behind them"
    if replies > commands:
        yield f"{replies} replies to {commands} commands"


def reply(data: bytes, *, utf8: bool) -> Iterator[str]:
    """What is wrong with the text of a refusal."""
    if not data.endswith(b"\0") or b"\0" in data[:-1]:
        yield f"NUL in a reply: {data!r}"
    try:
        text = data.rstrip(b"\0").decode("utf-8" if utf8 else "ascii")
    except UnicodeDecodeError as error:
        yield f"{error} in a reply: {data!r}"
        return
    lines = text.removesuffix("\r\n").split("\r\n")
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found) or len(lines) > 32:
        yield f"not the lines of a reply: {data!r}"
        return
    heads = {(match[1], match[3]) for match in found if match}
    if len(heads) != 1:
        yield f"several codes in one reply: {data!r}"
    for number, (line, match) in enumerate(zip(lines, found, strict=True)):
        assert match is not None
        if match[1] not in _CODES[match[1][0]] or match[4] != match[1][0]:
            yield f"code and status do not fit: {line!r}"
        if (match[2] == " ") != (number == len(lines) - 1):
            yield f"the reply does not end where it says: {data!r}"
        if not match[5].isprintable() or re.search("%(?!%)", match[5].replace("%%", "")):
            yield f"a line that is not printable, or a single %: {line!r}"
        if (octets := len(line.replace("%%", "%").encode()) + 2) > _MAX_SIZE:
            yield f"a line of {octets} octets: {line!r}"


def _modification(command: bytes, data: bytes) -> Iterator[str]:
    try:
        change = wire.parse_modification(command, data)
    except wire.MilterError as error:
        yield str(error)
        return
    match change:
        case wire.Quarantined(reason):
            if not reason.isprintable() or not reason.isascii():
                yield f"a reason to hold that is not printable: {reason!r}"
        case wire.Inserted(_, name, value) | wire.Changed(name, _, value):
            # A field that goes has the name that its sender gave it; libmilter wants no more of it.
            if value and not _NAME.fullmatch(name):
                yield f"the name of a field: {name!r}"
            yield from _field(value, inserted=isinstance(change, wire.Inserted))


def _field(value: str, *, inserted: bool) -> Iterator[str]:
    try:
        octets = value.encode()
    except UnicodeEncodeError:
        yield f"a field that is no text: {value!r}"
        return
    if "\r" in value and inserted:
        yield f"CR in a field: {value!r}"
    lines = value.split("\n")
    if any(not line or line[0] not in " \t" for line in lines[1:]):
        yield f"a field that ends early: {value!r}"
    if inserted and any(not line.isprintable() or len(line.encode()) > _FIELD_MOST for line in lines):
        yield f"a field's line that is not printable or too long: {octets!r}"


def packets_of(stream: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The whole packets in a stream, and what is left behind them.

    A length that is none is read as 1, as in libmilter.
    """
    found = []
    while len(stream) >= 5:
        length = max(int.from_bytes(stream[:4], signed=True), 1)
        if len(stream) < 4 + length:
            break
        found.append((stream[4:5], stream[5 : 4 + length]))
        stream = stream[4 + length :]
    return found, stream
