"""Put a refused case into a short, signed token for the help page's address. Nothing is stored, nothing can be forged.

Knows the form of a token and how it is signed. The caller gives the secrets and the time of day. Does not know where
the secrets are kept (``secretfile``), nor what the page shows.

A token is ``payload.signature``, both in the URL-safe alphabet of base64. The payload is

- 1 octet: bit 0: IPv6; bit 1: HELO; bit 2: the domain is not packed; bits 3 to 5: the result; bit 6: a case id; bit 7:
  the client's names follow the domain;
- 4 octets: the time, in seconds since 1970, unsigned;
- 4 or 16 octets: the client's address;
- 7 octets: the number of the case id, if there is one;
- the rest: the domain, packed (see ``_pack``) or as ASCII. With the client's names, ``domain/name/helo`` is packed: its
  confirmed name and the HELO name, of which either may be empty. ``domain/name`` means that both are equal. A name that
  ends in a dot stands below the domain, as in a zone file.

The whole URL has 200 characters at most for a base of up to 60, if the names have up to 90 characters together. A token
with the client's names has 299 characters at most, which leaves room for words beside the link in a line of an SMTP
reply (RFC 5321 section 4.5.3.1.5 allows 512 octets). Names that do not fit are left out: first the client's, which the
page can look up, then the HELO name (docs/decisions/0065-names-in-the-link.md). For the longest domain (253 characters)
a token has 281 characters, or 394 if the domain cannot be packed. A shorter form would need storage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address

import itsdangerous
from itsdangerous.encoding import base64_decode, base64_encode

from spfmilter import caseid
from spfmilter.model import Identity, IPAddress, Result

# Octets of the signature: 104 bits of an HMAC-SHA-256. A forger has to try each guess on the page, so half of the bits
# would be enough. With 13 octets the last character is one of four letters. That matters: programs that make links out
# of text leave out a - or _ at the end.
_MAC = 13
_FORM = re.compile(r"[A-Za-z0-9_-]{12,375}\.[A-Za-z0-9_-]{17}[AQgw]")
_IN_TEXT = re.compile(r"(?<![A-Za-z0-9_-])([A-Za-z0-9_-]{12,375})\.[A-Za-z0-9_-]{17}[AQgw](?![A-Za-z0-9_-])")
_BETWEEN = "/"  # separates the domain from the client's names
_ALPHABET = f"abcdefghijklmnopqrstuvwxyz0123456789-._{_BETWEEN}"
# 0 stands for no character, so a name may begin with any character. A domain alone is packed without the separator.
_RADIX_ALONE, _RADIX = len(_ALPHABET), len(_ALPHABET) + 1
_DIGITS = {character: place for place, character in enumerate(_ALPHABET, start=1)}
_RESULTS = tuple(Result)  # by their number in a token: append a new result at the end
_HEAD = 5  # octets before the address
_NAME_LIMIT = 253
_V6, _HELO, _PLAIN, _CASE, _NAMES = 1, 2, 4, 64, 128
_CASE_SIZE = 7  # octets
_MAX_WITH_NAMES = 210  # octets of a payload with the client's names: 280 characters


class TokenProblem(StrEnum):
    """Why a token is rejected."""

    MALFORMED = "malformed"  # cut off, or never a token
    FORGED = "forged"  # changed, or signed with a secret that we do not have (any more)
    EXPIRED = "expired"


class TokenError(ValueError):
    """The token is rejected; ``kind`` says why. ``case`` is that of an expired token, which is signed."""

    def __init__(self, kind: TokenProblem, case: Case | None = None) -> None:
        self.kind, self.case = kind, case
        super().__init__(f"{kind} token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the help page needs to know about a refusal."""

    address: IPAddress
    identity: Identity
    domain: str  # as addresses.dns_domain returns it; ``read`` returns it in lower case
    result: Result
    time: int  # seconds since 1970
    id: str = ""  # the case id (``caseid``); empty in tokens of an older version
    # The next two are read in lower case. They are empty if they are not known or do not fit, and in tokens of an older
    # version.
    client_name: str = ""  # the client's confirmed host name
    helo: str = ""  # the name that %{h} stands for, as ``Check.helo``


class Signer:
    """Sign and read tokens. The first secret signs, all of them verify. So secrets can be changed without a gap."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        # itsdangerous signs with the last key.
        self._signer = itsdangerous.Signer(
            list(reversed(secrets)), salt=b"spfmilter help page", key_derivation="hmac", algorithm=_ShortHmac(sha256)
        )

    def sign(self, case: Case) -> str:
        """Return the token of a case.

        Raises:
            ValueError: a token cannot hold this domain or this time.
        """
        return self._signer.sign(base64_encode(_payload(case))).decode()

    def read(self, token: str, *, max_age: float, now: float) -> Case:
        """Return the case of a token, which is untrusted input.

        Args:
            token: as it was in the URL.
            max_age: seconds for which a token is valid. One from the future is valid, since our hosts' clocks differ.
            now: the time of day, in seconds since 1970.

        Raises:
            TokenError: the text is not a token, not signed by us, or too old.
        """
        if not _FORM.fullmatch(token):
            raise TokenError(TokenProblem.MALFORMED)
        try:
            payload = base64_decode(self._signer.unsign(token))
        except itsdangerous.BadSignature:
            raise TokenError(TokenProblem.FORGED) from None
        except itsdangerous.BadData:
            raise TokenError(TokenProblem.MALFORMED) from None
        case = _case(payload)
        if now - case.time > max_age:
            raise TokenError(TokenProblem.EXPIRED, case)
        return case


def case_in(text: str) -> Case | None:
    """Return the case of the token in a text, such as a link that a sender has sent; None: there is no token.

    The signature is not checked, which needs the secrets of the host that has signed it. So use the case only to look
    up what is stored: who has written the token decides nothing but which row is shown.
    """
    for found in _IN_TEXT.finditer(text):
        try:
            return _case(base64_decode(found[1]))
        except (itsdangerous.BadData, TokenError):
            continue
    return None


class _ShortHmac(itsdangerous.HMACAlgorithm):
    """Sign with an HMAC that is cut to its first octets (RFC 2104 section 5)."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return super().get_signature(key, value)[:_MAC]


def _payload(case: Case) -> bytes:
    name = case.domain.lower()
    if not (0 < len(name) <= _NAME_LIMIT and name.isascii()):
        raise ValueError("a token holds an ASCII domain name of 1 to 253 characters")
    if not 0 <= case.time < 1 << 32:
        raise ValueError("a token's time has 32 bits")
    flags = _RESULTS.index(case.result) << 3
    flags |= _V6 if case.address.version == 6 else 0
    flags |= _HELO if case.identity is Identity.HELO else 0
    flags |= _CASE if case.id else 0
    number = caseid.bits_of(case.id).to_bytes(_CASE_SIZE) if case.id else b""
    head = case.time.to_bytes(4) + case.address.packed + number
    kind, names = _packed(name, case.client_name.lower(), case.helo.lower(), _MAX_WITH_NAMES - 1 - len(head))
    return bytes([flags | kind]) + head + names


def _packed(domain: str, name: str, helo: str, room: int) -> tuple[int, bytes]:
    """Return the names in the longest form that fits into ``room`` octets, and the bit that says which form it is."""
    for told in (_with_names(domain, name, helo), _with_names(domain, "", helo)):
        packed = _pack(told, _RADIX) if told else None
        if packed is not None and len(packed) <= room:
            return _NAMES, packed
    alone = _pack(domain, _RADIX_ALONE)
    return (0, alone) if alone is not None else (_PLAIN, domain.encode())


def _with_names(domain: str, name: str, helo: str) -> str:
    """Return the domain with the client's names; empty if there are none, or if one would not be read as it was."""
    below = [_below(each, domain) for each in (name, helo)]
    odd = any(each.endswith(".") or _BETWEEN in each or len(each) > _NAME_LIMIT for each in (name, helo))
    if not any(below) or odd or _BETWEEN in domain:
        return ""
    return _BETWEEN.join([domain, *(below[:1] if name == helo else below)])


def _below(name: str, domain: str) -> str:
    """Return a name in short: without the domain at its end."""
    return name.removesuffix(domain) if name.endswith(f".{domain}") else "." if name == domain else name


def _names(told: str) -> tuple[str, str, str]:
    """Return the domain, the client's name and the HELO name that ``_with_names`` has put together.

    Raises:
        ValueError: the text is malformed.
    """
    domain, *below = told.split(_BETWEEN)
    if not domain or not 0 < len(below) <= 2:
        raise ValueError("not the names of a token")
    whole = [domain if each == "." else each + domain if each.endswith(".") else each for each in below]
    if max(map(len, [domain, *whole])) > _NAME_LIMIT:
        raise ValueError("a name of a token is too long")
    return domain, whole[0], whole[-1]


def _case(payload: bytes) -> Case:
    """Return the case of a signed payload.

    Raises:
        TokenError: the payload is malformed; another version of this program made it.
    """
    try:
        flags = payload[0]
        end = _HEAD + (16 if flags & _V6 else 4)
        address = payload[_HEAD:end]
        start, end = end, end + (_CASE_SIZE if flags & _CASE else 0)
        number = int.from_bytes(payload[start:end])
        rest, name, helo = payload[end:], "", ""
        if flags & _NAMES:
            domain, name, helo = _names(_unpack(rest, _RADIX))
        else:
            domain = rest.decode("ascii") if flags & _PLAIN else _unpack(rest, _RADIX_ALONE)
        return Case(
            address=IPv6Address(address) if flags & _V6 else IPv4Address(address),
            identity=Identity.HELO if flags & _HELO else Identity.MAILFROM,
            domain=domain,
            result=_RESULTS[flags >> 3 & 7],
            time=int.from_bytes(payload[1:_HEAD]),
            id=caseid.of_bits(number) if flags & _CASE else "",
            client_name=name,
            helo=helo,
        )
    except (ValueError, IndexError):
        raise TokenError(TokenProblem.MALFORMED) from None


def _pack(text: str, radix: int) -> bytes | None:
    """Pack letters, digits, hyphens, dots and underscores, at 5.3 bits a character; None for other texts."""
    number = 0
    for character in text:
        digit = _DIGITS.get(character, radix)
        if digit >= radix:
            return None
        number = number * radix + digit
    return number.to_bytes((number.bit_length() + 7) // 8)


def _unpack(packed: bytes, radix: int) -> str:
    characters = []
    number = int.from_bytes(packed)
    while number:
        number, digit = divmod(number, radix)
        characters.append(_ALPHABET[digit - 1])
    return "".join(reversed(characters))
