"""The arguments of check_host() for each kind of identity, and that they are put together in one place only."""

import ast
from ipaddress import ip_address

import pytest

from spfmilter.addresses import parse_reverse_path
from spfmilter.model import Check, Identity
from spfmilter.spf.checks import domain_check, helo_check, mail_from_check, null_sender_check
from tests.source import all_nodes

ADDRESS = ip_address("203.0.113.7")


@pytest.mark.parametrize(
    ("helo", "domain", "macro"),
    [
        ("mail.example.com", "mail.example.com", "mail.example.com"),
        ("mail.example.com.", "mail.example.com", "mail.example.com"),
        ("bücher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("[203.0.113.7]", "", "unknown"),
        ("desktop", "", "unknown"),
        ("", "", "unknown"),
    ],
)
def test_the_helo_identity_is_the_postmaster_of_the_host(helo: str, domain: str, macro: str) -> None:
    expected = Check(
        identity=Identity.HELO, address=ADDRESS, local="postmaster", domain=domain, helo=macro, as_sent=helo
    )
    assert helo_check(ADDRESS, helo) == expected
    bounce = null_sender_check(ADDRESS, helo)
    assert bounce != expected
    assert (bounce.null_sender, bounce.identity, bounce.sender) == (True, Identity.HELO, expected.sender)


@pytest.mark.parametrize(
    ("sender", "local", "domain", "as_sent"),
    [
        ("<user@example.com>", "user", "example.com", "user@example.com"),
        ("<@example.com>", "postmaster", "example.com", "@example.com"),  # RFC 7208 section 4.3
        ("<user@[203.0.113.7]>", "user", "", "user@[203.0.113.7]"),
        ("<user>", "user", "", "user"),
    ],
)
def test_the_mail_from_identity_keeps_its_local_part(sender: str, local: str, domain: str, as_sent: str) -> None:
    assert mail_from_check(ADDRESS, parse_reverse_path(sender), "desktop", record="v=spf1 -all") == Check(
        identity=Identity.MAILFROM,
        address=ADDRESS,
        local=local,
        domain=domain,
        helo="unknown",
        as_sent=as_sent,
        record="v=spf1 -all",
    )


@pytest.mark.parametrize(("helo", "macro"), [("mx.example", "mx.example"), ("", "unknown")])
def test_a_domain_is_checked_as_a_mail_of_its_postmaster(helo: str, macro: str) -> None:
    found = domain_check(ADDRESS, "example.com", helo, record="")
    assert (found.identity, found.sender, found.helo, found.as_sent, found.record) == (
        Identity.MAILFROM,
        "postmaster@example.com",
        macro,
        "example.com",
        "",
    )


def test_no_other_module_makes_a_check() -> None:
    """So that ``postmaster`` and ``unknown`` cannot be forgotten, or spelt in two ways."""
    makers = {
        path
        for path, nodes in all_nodes().items()
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check"
    }
    assert makers == {"spf/checks.py"}
