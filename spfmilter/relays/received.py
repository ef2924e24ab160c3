"""Parse one Received field (RFC 5321 section 4.4): the server that wrote it, and the peer that sent the message to it.

Knows the forms of Postfix, Sendmail, Exim, Exchange, qmail, Gmail, amavis, IronPort, Courier, OpenSMTPD, mox, Tencent,
chasquid, CommuniGate, hMailServer and MailEnable. Does not know which field to believe. A field must fit a form
exactly, or it is rejected: a guess could be an address that the sender chose.

Most forms have the client's HELO *before* its address. Most servers accept no blank, parenthesis or semicolon in it, so
it stays one word. The forms of the others are in ``_WHOLE``. Text after the protocol is not read. It holds the
recipient, and in Exim's form the sender, and these may contain any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spfmilter.addresses import parse_address
from spfmilter.model import IPAddress

MAX_LENGTH = (
    16_384  # characters; a longer field is rejected. Postfix accepts a HELO of 2048, and each form has only one
)

# The writer of a field folds its lines before this length. A break behind a longer line is an SMTP client's, which
# must not send more than 998 characters at once (RFC 5321 section 4.5.3.1.6) and breaks in the middle of a word.
_BROKEN_LINE = 900

_BLANKS = re.compile(r"[ \t\r\n]+")  # and no others: a HELO may hold other blanks of Unicode
_PIECE = re.compile(r"[^ ();]+|[();]")
_IN_COMMENT = re.compile(r"[()]|\\.", re.DOTALL)
_BROKEN = ")"  # stands for text that cannot be parsed; it fits no form

_ADDRESS = r"(?:IPv6:)?[0-9a-f:.]{2,45}(?:%[\w.-]{1,32})?"
_IDENT = r"(?:[^ @=()\[\]]+@)?"  # the user's name, from the client's ident service (RFC 1413)
_NO_NAME = {"unknown", "<unknown>"}  # an address without a name; the second is OpenSMTPD's
# postfix, sendmail, gmail: (name [address]); exim: ([address]:port helo=name ident=user)
_BRACKETED = re.compile(
    rf"{_IDENT}(?:(?P<name>[\w.-]+|<unknown>) )?\[(?P<address>{_ADDRESS})\](?::\d{{1,5}})?"
    r"(?: helo=(?P<helo>.+?))?(?: ident=[^ ]*)?(?: \(may be forged\))?",
    re.IGNORECASE,
)
_BARE = re.compile(rf"{_IDENT}(?P<address>{_ADDRESS})", re.IGNORECASE)  # exchange, qmail: (address)
_LITERAL = re.compile(rf"\[(?P<address>{_ADDRESS})\](?::\d{{1,5}})?", re.IGNORECASE)  # exim, for a host without a name
# The comment beside that literal: (port=n helo=name ident=user)
_EXIM = re.compile(r"(?:port=\d{1,5} ?)?(?:helo=(?P<helo>.+?)(?: ident=[^ ]*)?|ident=[^ ]*)?")
# RFC 3848, RFC 6531 section 4.3, IronPort's "ESMTP/TLS/cipher", "Microsoft SMTP Server".
_SMTP = re.compile(r"(?:utf8)?(?:(?P<old_login>a)|e)?[sl]mtps?(?P<login>a)?(?:/.*)?|microsoft", re.IGNORECASE)
# The beginning of a comment about a login: Postfix and Sendmail; Courier; qmail.
_LOGGED_IN = ("authenticated ", "auth: ", "smtp-auth ")
_LOGIN_SERVER = "NewEsmtp"  # the comment beside the name of Tencent's servers to which only its users can log in
_CIPHER = re.compile(r"[A-Z0-9_-]{3,64}")  # qmail with TLS: with CIPHER encrypted SMTP

# Forms that are compared as a whole, and first, because their servers accept other text in HELO than one word. No HELO
# may decide which address is read, nor make the field unreadable, which would be a way around SPF.
#
# hMailServer and MailEnable write any text. Their fields contain nothing else of the client's and end with the date. So
# the address is the last one, whatever stands before it. The end must fit to the last character.
_END = r"(?: ?; ?[\w,:+ -]{10,40}(?:\(\w{1,8}\))?)?"
_FROM, _BY = rf"from (?P<helo>.+) \((?:(?P<name>[^ ]+) )?\[(?P<address>{_ADDRESS})\]\)", r"by (?P<by>[^ ()]+)"
_HMAILSERVER = rf"{_FROM} {_BY} with (?P<protocol>ESMTPS?A?)(?: \(version=[^ ]+ cipher=[^ ]+ bits=\d+\))?{_END}"
_MAILENABLE = rf"{_FROM} {_BY} with MailEnable (?P<protocol>E?SMTPS?A?){_END}"
# chasquid writes any text without a blank. CommuniGate has the address first, or a name that it has looked up.
_CHASQUID = rf"from (?P<helo>[^ ]+) \(\[(?P<address>{_ADDRESS})\]\) {_BY} \(chasquid\) with (?P<protocol>E?SMTPS?A?) .*"
_BY_COMMUNIGATE = rf"{_BY} \(CommuniGate Pro SMTP [^()]*\) with (?P<protocol>E?SMTPS?A?)(?:-TLS)?(?: .*)?"
_ACCOUNT = r"(?P<login>account [^ ()]+ )?"
_COMMUNIGATE = rf"from \[(?P<address>{_ADDRESS})\] \({_ACCOUNT}HELO (?P<helo>.*)\) {_BY_COMMUNIGATE}"
_VERIFIED = rf"from (?P<helo>[^ ()]+) \({_ACCOUNT}\[(?P<address>{_ADDRESS})\] verified\) {_BY_COMMUNIGATE}"
_WHOLE = tuple(map(re.compile, (_HMAILSERVER, _MAILENABLE, _CHASQUID, _COMMUNIGATE, _VERIFIED)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The host that sent the message, as the server has recorded it."""

    address: IPAddress
    name: str = ""  # from the reverse DNS of its address, if the server wrote it; untrusted input
    helo: str | None = None  # untrusted input


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The content of one field."""

    by: str = ""  # the server that wrote it; empty for a field of qmail's that does not name the server
    by_address: IPAddress | None = None  # the server's own address, if the field has it
    peer: Peer | None = None  # None: from a program on the same machine
    authenticated: bool = False  # the peer has logged in


def parse(value: str) -> Received | None:
    """Return the content of a field, folded or not; None if it fits no form, or the message did not come by SMTP."""
    if len(value) > MAX_LENGTH:
        return None  # not shortened: the forms in _WHOLE need the end
    text = " ".join(_BLANKS.split(_unbroken(value))).strip()
    for form in _WHOLE:
        if (whole := form.fullmatch(text)) is not None:
            return _as_a_whole(whole)
    pieces = _pieces(text)
    word, said = _comments(pieces)
    source = ""
    if word.lower() == "from" and not said:
        source = next(pieces, "")
        word, said = _comments(pieces)
    if word.lower() != "by":
        # "(qmail 123 invoked from network)": the next field below has the address
        return Received() if not word and not source and said and said[0].startswith("qmail ") else None
    by = next(pieces, "")
    word, beside = _comments(pieces)
    if word.lower() == "via" and next(pieces, "").lower() == "tcp":  # mox
        word = next(pieces, "")
    protocol = _protocol(pieces) if word.lower() == "with" else ""
    own = next((match for match in map(_address_in, beside) if match is not None), None)
    by_address = parse_address(own["address"]) if own is not None else None
    if _is_local(source, said, beside, protocol.lower()):
        return Received(by=by, by_address=by_address)
    peer, smtp = _peer(source, said, beside), _SMTP.fullmatch(protocol)
    if peer is None or smtp is None:
        return None
    # Not the comment with the address: the owner of the reverse zone may have chosen "authenticated" as the name.
    others = (comment for comment in said if _address_in(comment) is None)
    authenticated = any(comment.lower().startswith(_LOGGED_IN) for comment in others)
    authenticated = authenticated or bool(smtp["login"] or smtp["old_login"]) or _LOGIN_SERVER in beside
    return Received(by=by, by_address=by_address, peer=peer, authenticated=authenticated)


def _as_a_whole(found: re.Match[str]) -> Received | None:
    """Return what a field says that fits one of ``_WHOLE``."""
    parts = found.groupdict()
    name = parts.get("name") or ""
    peer = _made(parts["address"], name if re.fullmatch(r"[\w.-]+", name) else "", parts["helo"] or None)
    authenticated = bool(parts.get("login")) or parts["protocol"].endswith("A")
    return Received(by=parts["by"], peer=peer, authenticated=authenticated) if peer is not None else None


def _unbroken(value: str) -> str:
    """Remove the breaks that Postfix puts into a line that is too long: a line end and one blank.

    A client can make the line that long with its HELO. A break in the middle of its address could hide the address.
    """
    first, *others = value.split("\n")
    lines, before = [first], first
    for line in others:
        lines.append(line[1:] if len(before) >= _BROKEN_LINE and line.startswith(" ") else f"\n{line}")
        before = line
    return "".join(part.rstrip("\r") for part in lines)


def _pieces(text: str) -> Iterator[str]:
    """Yield words, and comments (RFC 5322 section 3.2.2) with parentheses, up to the semicolon before the date."""
    place = 0
    while found := _PIECE.search(text, place):
        piece, place = found[0], found.end()
        if piece == ";":
            return
        if piece == "(":
            place = _end_of_comment(text, place)
            piece = text[found.start() : place] if place else _BROKEN
        yield piece
        if piece == _BROKEN:
            return


def _end_of_comment(text: str, place: int) -> int:
    """Return the place behind the parenthesis that closes the one before ``place``; 0 if there is none."""
    depth = 1
    for found in _IN_COMMENT.finditer(text, place):
        depth += (found[0] == "(") - (found[0] == ")")
        if not depth:
            return found.end()
    return 0


def _comments(pieces: Iterator[str]) -> tuple[str, tuple[str, ...]]:
    """Return the next word and the comments before it; the word is empty if there is none."""
    comments: list[str] = []
    for piece in pieces:
        if not piece.startswith("("):
            return piece, tuple(comments)
        comments.append(piece[1:-1].strip())
    return "", tuple(comments)


def _protocol(pieces: Iterator[str]) -> str:
    """Return the protocol behind ``with``.

    With TLS, qmail writes the cipher before it, as ``(cipher) SMTP`` or ``CIPHER encrypted SMTP``.
    """
    protocol = _comments(pieces)[0]
    if _CIPHER.fullmatch(protocol) and _SMTP.fullmatch(protocol) is None and next(pieces, "") == "encrypted":
        return next(pieces, "")
    return protocol


def _is_local(source: str, said: Sequence[str], beside: Sequence[str], protocol: str) -> bool:
    """Return whether a program on the same machine submitted the message.

    Only a form that says so counts. A field without an address is not enough: its address may have been removed, and
    the fields below are then untrusted.
    """
    if source:  # exim: from root by host with local
        return protocol.startswith("local") and not _LITERAL.fullmatch(source) and not any(map(_address_in, said))
    if said:  # sendmail: (from root@localhost) by host; but (from host [address]) is a client without a HELO
        return said[0].startswith("from ") and "[" not in said[0]
    # postfix: by host (Postfix, from userid 0) id ...
    return protocol.startswith(("local", "lmtp")) or (not protocol and any(c.startswith("Postfix") for c in beside))


def _peer(source: str, said: Sequence[str], beside: Sequence[str]) -> Peer | None:
    """Return the peer from the word after ``from`` and the comments behind it; None if it is not certain.

    With two addresses instead of one, it is not clear which one the server has seen. An Exim that accepts any HELO
    (``helo_accept_junk_hosts``) lets the client close the comment and open another.

    If the word is an address, it is the client's HELO, except in Exim's form. Postfix, Sendmail and Exchange have a
    comment beside their own name (``beside``), and Exim has none. That holds also if the comment with the address was
    removed.
    """
    found = [match for match in map(_address_in, said) if match is not None]
    literal, more = _LITERAL.fullmatch(source), _EXIM.fullmatch(said[0] if said else "")
    if literal is not None and more is not None:
        is_exims = bool(said[0]) if said else not beside
        return _made(literal["address"], "", more["helo"]) if is_exims and not found else None
    if len(found) != 1:
        return None
    parts = found[0].groupdict()
    greeting = next((comment[5:] for comment in said if comment.startswith(("HELO ", "EHLO "))), parts.get("helo"))
    if greeting is not None and literal is not None:
        return None  # CommuniGate has an address before HELO; what it writes behind it, the client may have chosen
    if greeting is not None:  # qmail, exim: the word is the name of the address
        return _made(parts["address"], source, greeting)
    return _made(parts["address"], parts.get("name") or "", source or None)


def _made(address: str, name: str, helo: str | None) -> Peer | None:
    known = parse_address(address)
    name = "" if name.lower() in _NO_NAME else name.removesuffix(".")
    return Peer(address=known, name=name, helo=helo) if known is not None else None


def _address_in(comment: str) -> re.Match[str] | None:
    """Return the match of a comment that holds an address; None if it holds none."""
    text = comment.removeprefix("from ")  # sendmail, if the client sent no HELO
    match = _BRACKETED.fullmatch(text) or _BARE.fullmatch(text)
    return match if match is not None and parse_address(match["address"]) is not None else None
