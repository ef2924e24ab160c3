"""With any untrusted Received fields and HELO, the walk ends at the client that our relay has seen."""

from ipaddress import ip_address

from spfmilter.model import Client, IPAddress
from spfmilter.relays import originating_client
from spfmilter.relays.received import MAX_LENGTH, parse
from spfmilter.settings.lists import filled
from spfmilter.settings.networklist import NetworkList

RELAY = Client(address=ip_address("192.0.2.2"), name="mx2.example.net")
CLIENT = ip_address("203.0.113.7")
TRUSTED = filled(NetworkList(), ("192.0.2.0/28", "2001:db8:1::/48"))


def every_name(_name: str) -> frozenset[IPAddress]:
    """The DNS is the attacker's as well: every name has the relay's address."""
    return frozenset({ip_address("192.0.2.2")})


def _assert_found(top: str, received: list[str]) -> None:
    """No HELO in the field on top hides its client, or names another one."""
    found = originating_client([top, *received], RELAY, TRUSTED, every_name, None)
    assert found is not None or len(top) > MAX_LENGTH
    assert found is None or found.client.address == CLIENT


def one_input(data: bytes) -> None:
    """A HELO, and fields, with NULs between them."""
    helo, *received = data.decode("utf-8", "surrogateescape").split("\0")
    for value in received:
        parse(value)
    found = originating_client(received, RELAY, TRUSTED, every_name, None)
    if found is not None:  # the attacker has written a field in our relay's place
        assert not any(found.client.address in network for network in TRUSTED)
    for top in (f"from [203.0.113.7] (helo={helo})", f"from mail.example.com ([203.0.113.7] helo={helo})"):
        # An Exim that accepts any HELO as it is: the client can make the field unreadable, but not choose an address.
        found = originating_client(
            [f"{top} by mx2.example.net with esmtp (Exim 4.96) id 1", *received], RELAY, TRUSTED, every_name, None
        )
        assert found is None or found.client.address == CLIENT
    line = helo.translate({ord("\r"): None, ord("\n"): None}).strip(" \t") or "x"
    first = line.replace("\t", " ").split(" ")[0]
    # Servers that accept any HELO, and chasquid any first word: it hides nothing either.
    for top in (
        f"from {line} (Unknown [203.0.113.7])\r\n\tby mx2.example.net with ESMTP\r\n\t",
        f"from {line} ([203.0.113.7]) by mx2.example.net with MailEnable ESMTP",
        f"from {first} ([203.0.113.7])\n\tby mx2.example.net (chasquid) with SMTP\n\t(over SMTP, plain text!, x)",
    ):
        _assert_found(top, received)
    # As Postfix and Exim write it: the one without what would end a word, the other without what would end a comment.
    word = "".join("?" if c in ' <>()\\";@\t\r\n' else c for c in helo) or "x"
    inside = "".join("?" if c in "()\\\t\r\n" else c for c in helo).strip() or "x"
    for top in (
        f"from {word} (unknown [203.0.113.7]) by mx2.example.net (Postfix) with ESMTPS id 1",
        f"from [203.0.113.7] (helo={inside}) by mx2.example.net with esmtps (Exim 4.96) id 1",
        f"from mail.example.com ([203.0.113.7] helo={inside}) by mx2.example.net with esmtps (Exim 4.96) id 1",
    ):
        _assert_found(top, received)
