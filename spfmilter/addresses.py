"""The sanitizer for a client's address, HELO and MAIL FROM, which are untrusted input.

Knows how to read them from the MTA, and which of them name a domain that the DNS can hold. No function here raises an
error for bad input: a value that cannot be read is "unknown" or "no domain".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import idna

from spfmilter.model import Client, IPAddress, ReversePath

# Addresses that do not identify the sender: RFC 1918, RFC 6598 (CGNAT), RFC 3927, RFC 4193, RFC 4291 link-local.
# By the bits of an address, as numbers: this is asked for every message.
_PRIVATE = {
    32: [
        (int(network.netmask), int(network.network_address))
        for network in map(
            IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
        )
    ],
    128: [(int(n.netmask), int(n.network_address)) for n in map(IPv6Network, ("fc00::/7", "fe80::/10"))],
}
# A mailbox that all MTAs read alike, perhaps behind a source route: no comments, no white space, nothing quoted but a
# whole local part (RFC 5321 section 4.1.2, RFC 6531). Nor does that hold what MTAs take for another address where the
# domain is their own: ``user%example.com``, ``example.com!user``, ``"user@example.com"``. Postfix reads much more.
_PLAIN = re.compile(
    r"<?(?:@[\w.-]+(?:,@[\w.-]+)*:)?"
    r"""(?:[^\x00-\x20\x7f"(),:;<>@[\]\\%!]+|"(?:[^"\\@%!]|\\[^@%!])*")"""
    r"(?:@(?:[\w.-]+|\[[^][@\\]*\]))?>?",
    re.DOTALL,
)
# An address with a name before it, as mail programs show it.
_NAMED = re.compile(r"[^<>\x00-\x1f]*<([^<>\s]+)>")
# No published name holds blanks or control characters; brackets and colons make an address literal.
_NOT_IN_NAMES = re.compile(r'[^!-~]|[\[\]:"\\@]')
_MAX_NAME = 254  # characters, with a final dot (RFC 1035); no A-label is shorter than its U-label
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what UTS 46 takes for a dot


def parse_address(text: str) -> IPAddress | None:
    """Read an IP address as MTAs write it; None: it is not one.

    A prefix ``IPv6:`` and a zone are dropped. An IPv4-mapped address becomes IPv4.
    """
    text = text.strip()
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped  # RFC 7208 section 5: evaluated as IPv4
    return address


def embedded_ip4(address: IPAddress, prefixes: Sequence[IPv6Network]) -> IPAddress:
    """Return the IPv4 address that a translator has put into an IPv6 address (RFC 6052 section 2.2).

    Args:
        address: of a client. It is returned as it is where it is in none of the prefixes.
        prefixes: those of our own network's translators, of 32, 40, 48, 56, 64 or 96 bits.
    """
    if isinstance(address, IPv6Address):
        for prefix in prefixes:
            if address in prefix:
                octets = address.packed
                if prefix.prefixlen < 96:
                    octets = octets[:8] + octets[9:]  # the octet "u" in the middle is no part of the address
                start = prefix.prefixlen // 8
                return IPv4Address(octets[start : start + 4])
    return address


# For clients that connect: often one has connected a moment ago.
_client_address = functools.lru_cache(maxsize=1024)(parse_address)


def client_of(name: str, hostaddr: object, nat64: Sequence[IPv6Network] = ()) -> Client:
    """Read the client from libmilter's values.

    Args:
        name: the MTA's name for the address.
        hostaddr: (address, port, ...), the path of a unix socket, or None for unknown.
        nat64: the prefixes of translators, whose clients are IPv4 hosts.
    """
    if isinstance(hostaddr, tuple) and hostaddr and isinstance(hostaddr[0], str):
        address = _client_address(hostaddr[0])
        return Client(address=address and embedded_ip4(address, nat64), name=name)
    return Client(address=None, name=name, local=isinstance(hostaddr, str))


def is_private(address: IPAddress) -> bool:
    """Return whether the address is in a private network, which the public DNS does not describe."""
    number = int(address)
    for mask, network in _PRIVATE[address.max_prefixlen]:  # noqa: SIM110 - any() takes twice as long
        if number & mask == network:
            return True
    return False


def parse_reverse_path(text: str) -> ReversePath:
    """Read the address in MAIL FROM, with or without angle brackets, without a source route (RFC 5321 appendix C).

    The domain begins after the *last* ``@``: a quoted local part may hold others.
    """
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if text.startswith("@") and ":" in text:
        text = text.partition(":")[2]
    local, at, domain = text.rpartition("@")
    return ReversePath(local=local, domain=domain.strip()) if at else ReversePath(local=text, domain="")


def written_address(text: str) -> str:
    """Return the address in what a person writes or copies: that of ``Bob <u@example.com>`` is ``u@example.com``.

    For people's input only. An MTA reads MAIL FROM by rules of its own.
    """
    found = _NAMED.fullmatch(text.strip())
    return found[1] if found is not None else text.strip()


def is_plain(text: str) -> bool:
    """Return whether every MTA reads an address in MAIL FROM or RCPT TO as it is read here.

    ``<alice@example.com(@example.net>`` cannot: Postfix takes it for alice@example.com, and delivers it as hers. Nor
    can ``<alice%example.com@example.net>``, which is alice@example.com's too where example.net is the MTA's own name.
    """
    return _PLAIN.fullmatch(text) is not None


def parse_recipient(text: str) -> tuple[str, str]:
    """Return local part and domain of an address in RCPT TO for comparison: in lower case, with A-labels for U-labels.

    The domain is empty for ``<postmaster>`` (RFC 5321 section 4.1.1.3).
    """
    path = parse_reverse_path(text)
    domain = path.domain.removesuffix(".")
    return local_part(path.local), (domain if domain.isascii() else a_labels(domain)).lower()


def local_part(text: str) -> str:
    """Return a local part for comparison, without quotes that it does not need (RFC 5321 section 4.1.2)."""
    local = text.lower()
    if len(local) > 1 and local[0] == local[-1] == '"':
        local = re.sub(r"\\(.)", r"\1", local[1:-1], flags=re.DOTALL)
    return f'"{local}"' if "@" in local else local


def patterns_of(domain: str) -> Iterator[str]:
    """Yield the patterns that match a domain, the most specific first: itself, then ``.parent`` for each parent."""
    name = domain.lower()
    yield name
    while name:
        name = name.partition(".")[2]
        if name:
            yield f".{name}"


def is_named(domain: str, patterns: Container[str]) -> bool:
    """Return whether a pattern matches the domain: ``example.com`` only itself, ``.example.com`` all names below."""
    return any(pattern in patterns for pattern in patterns_of(domain))


def dns_domain(text: str) -> str:
    """Return the name as ASCII if the DNS can hold it and it has two labels or more (RFC 7208 section 4.3), else empty.

    U-labels become A-labels by IDNA 2008 with the usual mapping (UTS 46), or by UTS 46 alone. Address literals are no
    domains.
    """
    return _dns_domain(text) if len(text) <= _MAX_NAME else ""


@functools.lru_cache(maxsize=1024)  # a message's names are read several times, and many come again
def _dns_domain(text: str) -> str:
    name = (text if text.isascii() else a_labels(text)).removesuffix(".")
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or any(not 0 < len(label) < 64 for label in labels):
        return ""
    if _NOT_IN_NAMES.search(name) or _is_ip4(labels):
        return ""
    return name


def a_labels(name: str) -> str:
    """Return the name with A-labels for its U-labels; empty: it cannot be converted. ASCII labels stay as they are."""
    if len(name) > _MAX_NAME:
        return ""
    try:
        return ".".join(label if label.isascii() else _a_label(label) for label in _DOTS.split(name))
    except ValueError:  # idna's errors are UnicodeErrors, which are ValueErrors
        return ""


def is_idna2008(name: str) -> bool:
    """Return whether IDNA 2008 allows the name's U-labels; also for a name that ``dns_domain`` cannot read."""
    return name.isascii() or not dns_domain(name) or all(map(_is_idna2008, _DOTS.split(name)))


def _is_idna2008(label: str) -> bool:
    try:
        return label.isascii() or bool(idna.encode(label, uts46=True))
    except idna.IDNAError:
        return False


def _a_label(label: str) -> str:
    """Return the A-label of IDNA 2008, else what UTS 46 alone makes of the label (docs/decisions/0039).

    The MTAs' library (ICU) and browsers go by UTS 46. It allows what IDNA 2008 does not, and some registries sell it:
    emoji, an underscore beside letters, a joiner anywhere.

    Raises:
        idna.IDNAError: UTS 46 does not allow the label, either.
    """
    try:
        return idna.encode(label, uts46=True).decode()
    except idna.IDNAError:
        mapped = idna.uts46_remap(label, std3_rules=False).split(".")
        if any(part.startswith("xn--") and not part.isascii() for part in mapped):
            raise  # not what an A-label is: UTS 46 section 4 (processing, step 4) calls this an error
        return ".".join(part if part.isascii() else f"xn--{part.encode('punycode').decode()}" for part in mapped)


def _is_ip4(labels: list[str]) -> bool:
    return len(labels) == 4 and all(label.isdigit() for label in labels)
