"""Read the text of an SPF record as a whole, before any of its terms is evaluated (RFC 7208 sections 4.6 and 12).

Knows the grammar, and how large a record may be. Knows no client, no DNS and no pyspf. Every function here takes time
that is linear in the length of the text.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from spfmilter.model import Problem, ProblemKind, Result
from spfmilter.spf import macros
from spfmilter.spf.macros import MacroString
from spfmilter.text import ascii_line

# RFC 7208 section 3.4 advises 450 characters; flattened records of large senders reach some thousands. Beyond these
# bounds a record only costs its readers time.
MAX_RECORD = 16 * 1024  # characters
MAX_TERM = 1024
MAX_HOSTS = 10  # address lookups for one mx, ptr or %{p} (RFC 7208 section 4.6.4)
_MAX_REMEMBERED = 1024  # characters of a record of which many are kept parsed
MAX_TERMS = 1000

_QUALIFIERS = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE | re.ASCII)
_DIRECTIVE = re.compile(r"([-+?~]?)([a-z][a-z0-9]*)(.*)", re.IGNORECASE | re.ASCII)
_PREFIXES = re.compile(r"(.*?)(?:/([0-9]+))?(?://([0-9]+))?")
VERSION = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)  # pyspf's own also takes "v=spf1" and a line end
LOOKUP_MECHANISMS = frozenset({"include", "a", "mx", "ptr", "exists"})  # with redirect=: RFC 7208 section 4.6.4
MECHANISMS = LOOKUP_MECHANISMS | {"all", "ip4", "ip6"}
# Names that administrators write for a mechanism, and the mechanism that they mean.
MISTAKEN_NAMES = {"prt": "ptr", "ip": "ip4", "ipv4": "ip4", "ipv6": "ip6", "all.": "all"}


_LIMITS = frozenset({ProblemKind.LOOKUP_LIMIT, ProblemKind.VOID_LOOKUP_LIMIT, ProblemKind.TOO_LONG})


class RecordError(Exception):
    """An SPF record breaks the grammar or a limit: the result of its evaluation is permerror.

    Attributes:
        kind: which rule it breaks.
        text: what is wrong, in words.
        term: the term at fault, as published; None if no single term is.
        domain: the domain whose record is at fault; None until the evaluation fills it in.
    """

    def __init__(self, kind: ProblemKind, text: str, *, term: str | None = None, domain: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.term = term
        self.domain = domain
        self._left: list[tuple[str, str, str | None]] = []  # records from the inside out, and the term that led there
        self._loop = ""

    def leave(self, domain: str, record: str, term: str | None) -> None:
        """Note that this error ends the evaluation of a record, from the innermost record to the first.

        Where one of the limits is exceeded, note if a record leads back to itself: it exceeds the limit at any size.

        Args:
            domain: whose record it is.
            record: its text. The settings may have another record for a domain, which includes the published one.
            term: the term that led to it; None for the first record.
        """
        if self.kind not in _LIMITS:
            return
        inside = next((n for n in reversed(range(len(self._left))) if self._left[n][:2] == (domain, record)), None)
        if inside is not None:
            way = [between for between, _, _ in reversed(self._left[inside + 1 :])]
            back = self._left[inside][2] or ""
            verb = "redirects to" if not way and back.lower().startswith("redirect=") else "includes"
            self._loop = f": {domain} {verb} itself" + (f", by way of {', '.join(way)}" if way else "")
        self._left.append((domain, record, term))

    def problem(self) -> Problem:
        """Return what is wrong as a value, whose texts have passed the sanitizer."""
        term = ascii_line(self.term, 120) if self.term is not None else None
        domain = ascii_line(self.domain) if self.domain is not None else None
        return Problem(kind=self.kind, text=ascii_line(self.text + self._loop), term=term, domain=domain)


@dataclass(frozen=True, slots=True)
class Directive:
    """A qualifier and a mechanism."""

    text: str
    result: Result  # of a match
    mechanism: str  # lower case
    target: MacroString | None = None  # the domain-spec; None: the current domain
    network: int = 0  # ip4, ip6: the address
    prefix4: int = 32
    prefix6: int = 128

    def lists(self, address: int, bits: int) -> bool:
        """Whether this is an ip4 or ip6 that holds the address, of 32 or 128 bits (section 5.6)."""
        if bits == 32:  # without the call of ``covers``: a record may have hundreds of these
            return self.mechanism == "ip4" and (self.network ^ address) >> (32 - self.prefix4) == 0
        return self.mechanism == "ip6" and (self.network ^ address) >> (bits - self.prefix6) == 0

    def covers(self, network: int, address: int, bits: int) -> bool:
        """Whether the address is in the network, by the prefix length that the directive gives for its family."""
        prefix = self.prefix4 if bits == 32 else self.prefix6
        return (network ^ address) >> (bits - prefix) == 0


@dataclass(frozen=True, slots=True)
class Record:
    """A record without syntax errors."""

    text: str
    directives: tuple[Directive, ...]
    redirect: MacroString | None = None
    redirect_text: str = ""
    exp: MacroString | None = None
    terms: int = 0  # how many, modifiers with them


def only_one(texts: Iterable[bytes], domain: str) -> str | None:
    """Return the SPF record among the TXT records of a domain, or None if there is none (section 4.5).

    The same text twice is one record: a set of DNS records holds none twice (RFC 2181 section 5), but some arrive so.

    Raises:
        RecordError: there are several SPF records, or the only one is not ASCII.
    """
    found = list(dict.fromkeys(text for text in texts if VERSION.match(text)))
    if len(found) > 1:
        raise RecordError(ProblemKind.SEVERAL_RECORDS, f"{domain} has more than one SPF record", domain=domain)
    if not found:
        return None
    try:
        return found[0].decode("ascii")
    except UnicodeDecodeError:
        message = f"the record of {domain} holds characters that are not ASCII"
        raise RecordError(ProblemKind.NOT_ASCII, message, domain=domain) from None


def parse(text: str) -> Record:
    """Read a record that begins with ``v=spf1``.

    Raises:
        RecordError: for the first thing that breaks the grammar or a bound.
    """
    # Read twice for each message, ahead and in earnest, and again for the next sender with the same provider. Of long
    # ones only a few are kept, so that untrusted records do not fill the memory.
    return _parse_known(text) if len(text) <= _MAX_REMEMBERED else _parse_long(text)


def _parse(text: str) -> Record:
    if len(text) > MAX_RECORD:
        raise RecordError(ProblemKind.TOO_LONG, f"the record has {len(text)} characters, more than {MAX_RECORD}")
    terms = [term for term in text.split(" ")[1:] if term]
    if len(terms) > MAX_TERMS:
        raise RecordError(ProblemKind.TOO_LONG, f"the record has {len(terms)} terms, more than {MAX_TERMS}")
    directives = []
    modifiers: dict[str, tuple[str, MacroString]] = {}
    for term in terms:
        if len(term) > MAX_TERM:
            raise RecordError(
                ProblemKind.TOO_LONG, f"a term has {len(term)} characters, more than {MAX_TERM}", term=term
            )
        if not term.isprintable():
            raise RecordError(ProblemKind.SYNTAX, "a control character in the record", term=term)
        found = _MODIFIER.fullmatch(term)
        if found is None:
            directives.append(_directive(term))
        else:
            _modifier(term, found[1].lower(), found[2], modifiers)
    redirect_text, redirect = modifiers.get("redirect", ("", None))
    _, exp = modifiers.get("exp", ("", None))
    return Record(text, tuple(directives), redirect, redirect_text, exp, len(terms))


_parse_known = functools.lru_cache(maxsize=128)(_parse)
_parse_long = functools.lru_cache(maxsize=8)(_parse)


def _modifier(term: str, name: str, value: str, modifiers: dict[str, tuple[str, MacroString]]) -> None:
    """A ``name=value`` (RFC 7208 section 6): names have no case; an unknown one is checked and ignored."""
    try:
        if name not in {"redirect", "exp"}:
            macros.parse(value)
            return
        if name in modifiers:
            raise RecordError(ProblemKind.DUPLICATE_MODIFIER, f"{name}= appears more than once", term=term)
        modifiers[name] = (term, macros.parse_domain_spec(value))
    except macros.MacroError as error:
        raise _of_macro(error, term) from None


def _of_macro(error: macros.MacroError, term: str) -> RecordError:
    kind = ProblemKind.BAD_MACRO if "macro" in str(error) else ProblemKind.BAD_DOMAIN
    return RecordError(kind, str(error), term=term)


def meant_mechanism(term: str) -> str | None:
    """Return the mechanism for which a term's unknown one was probably written; None if there is none."""
    found = _DIRECTIVE.fullmatch(term)
    return MISTAKEN_NAMES.get(found[2].lower()) if found is not None else None


def _directive(term: str) -> Directive:
    found = _DIRECTIVE.fullmatch(term)
    if found is None:
        raise RecordError(ProblemKind.SYNTAX, "neither a mechanism nor a modifier", term=term)
    qualifier, name, rest = found.groups()
    mechanism, result = name.lower(), _QUALIFIERS.get(qualifier, Result.PASS)
    if mechanism not in MECHANISMS or (rest and rest[0] not in ":/"):
        hint = meant_mechanism(term)
        text = f"unknown mechanism (did you mean {hint}?)" if hint else "unknown mechanism"
        raise RecordError(ProblemKind.UNKNOWN_MECHANISM, text, term=term)
    match mechanism:
        case "all":
            if rest:
                raise RecordError(ProblemKind.SYNTAX, "all takes no argument", term=term)
            return Directive(term, result, mechanism)
        case "ip4" | "ip6":
            return _network(term, result, mechanism, rest)
        case "a" | "mx":
            return _host(term, result, mechanism, rest)
        case _:
            return _named(term, result, mechanism, rest)


def _prefix(term: str, digits: str | None, bits: int) -> int:
    if digits is None:
        return bits
    if digits[0] == "0" and digits != "0":
        raise RecordError(ProblemKind.BAD_PREFIX, "a prefix length that begins with 0", term=term)
    if len(digits) > 3 or int(digits) > bits:
        raise RecordError(ProblemKind.BAD_PREFIX, f"a prefix length of more than {bits}", term=term)
    return int(digits)


def _split_prefixes(rest: str) -> tuple[str, str | None, str | None]:
    """The domain or address with its colon, and the digits of ``/n`` and ``//n`` (section 5.6, dual-cidr-length)."""
    found = _PREFIXES.fullmatch(rest)
    head, digits4, digits6 = found.groups() if found else (rest, None, None)
    return head, digits4, digits6


def _network(term: str, result: Result, mechanism: str, rest: str) -> Directive:
    """``ip4:`` and ``ip6:`` (section 5.6)."""
    head, digits, dual = _split_prefixes(rest)
    if dual is not None or "/" in head:
        raise RecordError(ProblemKind.BAD_PREFIX, "not a prefix length", term=term)
    family, bits = (socket.AF_INET, 32) if mechanism == "ip4" else (socket.AF_INET6, 128)
    packed = _packed(family, head[1:])
    if packed is None:
        kind = "IPv4" if bits == 32 else "IPv6"
        raise RecordError(ProblemKind.BAD_ADDRESS, f"not an {kind} address", term=term)
    prefix = _prefix(term, digits, bits)
    network = int.from_bytes(packed, "big")
    return Directive(
        term, result, mechanism, None, network, prefix if bits == 32 else 32, prefix if bits == 128 else 128
    )


def _packed(family: int, text: str) -> bytes | None:
    """Return the bytes of an address, or None if the text is no address of that family."""
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        return None


def _host(term: str, result: Result, mechanism: str, rest: str) -> Directive:
    """``a`` and ``mx`` (sections 5.3 and 5.4)."""
    head, digits4, digits6 = _split_prefixes(rest)
    if head.startswith("/"):
        raise RecordError(ProblemKind.BAD_PREFIX, "not a prefix length", term=term)
    target = _domain_spec(term, head[1:]) if head else None
    return Directive(term, result, mechanism, target, 0, _prefix(term, digits4, 32), _prefix(term, digits6, 128))


def _named(term: str, result: Result, mechanism: str, rest: str) -> Directive:
    """``include``, ``exists`` and ``ptr`` (sections 5.2, 5.7 and 5.5)."""
    if rest.startswith("/"):
        raise RecordError(ProblemKind.BAD_PREFIX, f"{mechanism} takes no prefix length", term=term)
    if not rest and mechanism != "ptr":
        raise RecordError(ProblemKind.BAD_DOMAIN, f"{mechanism} needs a domain", term=term)
    return Directive(term, result, mechanism, _domain_spec(term, rest[1:]) if rest else None)


def _domain_spec(term: str, text: str) -> MacroString:
    try:
        return macros.parse_domain_spec(text)
    except macros.MacroError as error:
        if _packed(socket.AF_INET, text) is not None:
            raise RecordError(ProblemKind.BAD_DOMAIN, f"an address: write ip4:{text}", term=term) from None
        raise _of_macro(error, term) from None
