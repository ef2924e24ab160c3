"""A refused case as a short, signed word for the help page's address: nothing is stored, and nobody can make one up.

Knows the form of a token and how it is signed; the secrets and the time of day are given to it. Does not know where the
secrets are kept (``secretfile``), nor what the page shows.

A token is ``payload.signature``, both in the URL-safe alphabet of base64. The payload is

- 1 octet: bit 0 IPv6, bit 1 HELO, bit 2 the domain is not packed, from bit 3 on the result;
- 4 octets: the time, in seconds since 1970, unsigned;
- 4 or 16 octets: the client's address;
- the rest: the domain, packed (see ``_pack``) or as ASCII,

so that the whole URL stays below 200 characters for names of up to 100 characters and a base of up to 60. For the
longest name that the DNS can hold (253) a token has 273 characters, or 385 if it cannot be packed: still one line of an
SMTP reply (RFC 5321 section 4.5.3.1.5 allows 512 octets). A shorter form would have to be stored somewhere.
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

from spfmilter.model import Identity, IPAddress, Result

# Octets of the signature: 104 bits of an HMAC-SHA-256. A forger has to try each guess on the page, so that even half of
# it would do. With 13 the last character is one of four letters: programs that make links of text leave out a - or _
# at the end.
_MAC = 13
_FORM = re.compile(r"[A-Za-z0-9_-]{12,366}\.[A-Za-z0-9_-]{17}[AQgw]")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-._"
_RADIX = len(_ALPHABET) + 1  # 0 stands for no character, so that a name may begin with any
_DIGITS = {character: place for place, character in enumerate(_ALPHABET, start=1)}
_RESULTS = tuple(Result)  # by the number that stands in a token: a new result goes to the end
_HEAD = 5  # octets before the address
_NAME_LIMIT = 253
_V6, _HELO, _PLAIN = 1, 2, 4


class TokenProblem(StrEnum):
    """Why a token is not taken."""

    MALFORMED = "malformed"  # cut off, or never a token
    FORGED = "forged"  # changed, or signed with a secret that is not ours (any more)
    EXPIRED = "expired"


class TokenError(ValueError):
    """The token is not taken; ``kind`` says why."""

    def __init__(self, kind: TokenProblem) -> None:
        self.kind = kind
        super().__init__(f"{kind} token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the help page has to know of a refusal."""

    address: IPAddress
    identity: Identity
    domain: str  # as addresses.dns_domain returns it; small letters come back
    result: Result
    time: int  # seconds since 1970


class Signer:
    """Makes tokens and reads them. The first secret signs, all of them verify: so secrets are changed without a gap."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        # itsdangerous signs with the last key.
        self._signer = itsdangerous.Signer(
            list(reversed(secrets)), salt=b"spfmilter help page", key_derivation="hmac", algorithm=_ShortHmac(sha256)
        )

    def sign(self, case: Case) -> str:
        """The token of a case.

        Raises:
            ValueError: the domain or the time is none that a token can hold.
        """
        return self._signer.sign(base64_encode(_payload(case))).decode()

    def read(self, token: str, *, max_age: float, now: float) -> Case:
        """The case of a token, whatever somebody sent as one.

        Args:
            token: as it stood in the URL.
            max_age: for how many seconds a token is good. One from the future is taken: our hosts' clocks differ.
            now: the time of day, in seconds since 1970.

        Raises:
            TokenError: it is not a token, not ours, or too old.
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
            raise TokenError(TokenProblem.EXPIRED)
        return case


class _ShortHmac(itsdangerous.HMACAlgorithm):
    """An HMAC of which only the first octets are kept (RFC 2104 section 5)."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return super().get_signature(key, value)[:_MAC]


def _payload(case: Case) -> bytes:
    name = case.domain.lower()
    if not (0 < len(name) <= _NAME_LIMIT and name.isascii()):
        raise ValueError("a token holds an ASCII domain name of 1 to 253 characters")
    if not 0 <= case.time < 1 << 32:
        raise ValueError("a token's time has 32 bits")
    packed = _pack(name)
    flags = _RESULTS.index(case.result) << 3
    flags |= _V6 if case.address.version == 6 else 0
    flags |= _HELO if case.identity is Identity.HELO else 0
    flags |= _PLAIN if packed is None else 0
    return bytes([flags]) + case.time.to_bytes(4) + case.address.packed + (name.encode() if packed is None else packed)


def _case(payload: bytes) -> Case:
    """The case of a payload that was signed; one that is not understood was made by another version of this."""
    try:
        flags = payload[0]
        end = _HEAD + (16 if flags & _V6 else 4)
        address = payload[_HEAD:end]
        rest = payload[end:]
        return Case(
            address=IPv6Address(address) if flags & _V6 else IPv4Address(address),
            identity=Identity.HELO if flags & _HELO else Identity.MAILFROM,
            domain=rest.decode("ascii") if flags & _PLAIN else _unpack(rest),
            result=_RESULTS[flags >> 3],
            time=int.from_bytes(payload[1:_HEAD]),
        )
    except (ValueError, IndexError):
        raise TokenError(TokenProblem.MALFORMED) from None


def _pack(name: str) -> bytes | None:
    """A name of letters, digits, hyphens, dots and underscores in 5.3 bits a character; None for any other."""
    number = 0
    for character in name:
        digit = _DIGITS.get(character)
        if digit is None:
            return None
        number = number * _RADIX + digit
    return number.to_bytes((number.bit_length() + 7) // 8)


def _unpack(packed: bytes) -> str:
    characters = []
    number = int.from_bytes(packed)
    while number:
        number, digit = divmod(number, _RADIX)
        characters.append(_ALPHABET[digit - 1])
    return "".join(reversed(characters))
