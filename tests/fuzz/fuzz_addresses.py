"""Any text of a client is an address, a domain, or none; nothing raises."""

from spfmilter.addresses import (
    client_of,
    dns_domain,
    is_private,
    parse_address,
    parse_recipient,
    parse_reverse_path,
    patterns_of,
)
from spfmilter.dns import wire
from spfmilter.dns.answer import Type
from spfmilter.headers import author_domain


def one_input(data: bytes) -> None:
    """One text, read as everything that it could be."""
    text = data.decode("utf-8", "surrogateescape")
    address = parse_address(text)
    if address is not None:
        assert parse_address(str(address)) == address
        assert address.version == 4 or address.ipv4_mapped is None
        is_private(address)
    assert client_of(text, (text, 25)).address == address
    assert client_of(text, text).local
    path = parse_reverse_path(text)
    assert "@" not in path.domain
    assert path.null == (str(path) == "")
    local, domain = parse_recipient(text)
    assert (local, domain) == (local.lower(), domain.lower())
    assert len(list(patterns_of(domain))) <= domain.count(".") + 1
    author = author_domain([text])
    for name in (dns_domain(text), dns_domain(path.domain), author):
        if name:
            assert "." in name
            assert len(name) <= 253
            assert all("!" <= c <= "~" for c in name)
            assert wire.question(name, Type.TXT) is not None
            assert dns_domain(name) == name
