"""Which checks a message needs, and why some messages need none."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from spfmilter.addresses import client_of
from spfmilter.model import Facts, Identity, SkipReason
from spfmilter.policy import plan
from tests.values import facts, settings

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM


def checks(given: Facts, ini: str = "") -> list[tuple[Identity, str]]:
    """The planned checks as (identity, sender), where nothing is skipped."""
    planned = plan(given, settings(ini))
    assert planned.skip is None
    return [(check.identity, check.sender) for check in planned.checks]


# -- what is checked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "sender", "expected"),
    [
        ("helo, mailfrom", "<u@a.example>", [(HELO, "postmaster@h.example"), (MAILFROM, "u@a.example")]),
        ("mailfrom, helo", "<u@a.example>", [(HELO, "postmaster@h.example"), (MAILFROM, "u@a.example")]),
        ("mailfrom", "<u@a.example>", [(MAILFROM, "u@a.example")]),
        ("helo", "<u@a.example>", [(HELO, "postmaster@h.example")]),
        ("helo, mailfrom", "<>", [(HELO, "postmaster@h.example")]),
        ("mailfrom", "<>", [(HELO, "postmaster@h.example")]),  # RFC 7208 section 2.4
        ("helo", "<>", [(HELO, "postmaster@h.example")]),
    ],
)
def test_identities_are_checked_as_configured_and_helo_comes_first(
    check: str, sender: str, expected: list[tuple[Identity, str]]
) -> None:
    assert checks(facts(sender, helo="h.example"), f"[policy]\ncheck = {check}") == expected


def test_only_a_null_sender_is_marked_as_one() -> None:
    assert [check.null_sender for check in plan(facts("<>"), settings()).checks] == [True]
    assert [check.null_sender for check in plan(facts("<a@b.example>"), settings()).checks] == [False, False]


@pytest.mark.parametrize(
    ("sender", "local", "domain"),
    [
        ("<user@example.com>", "user", "example.com"),
        ("user@example.com", "user", "example.com"),
        ("<@relay.example,@b.example:user@example.com>", "user", "example.com"),  # a source route
        ('<"a@b"@victim.example>', '"a@b"', "victim.example"),
        ("<a@b@victim.example>", "a@b", "victim.example"),
        ("<@example.com>", "postmaster", "example.com"),  # RFC 7208 section 4.3
        ("<user@example.com.>", "user", "example.com"),
        ("<user@bücher.example>", "user", "xn--bcher-kva.example"),
        ("<jürgen@example.com>", "jürgen", "example.com"),
        ("<user@localhost>", "user", ""),
        ("<user@[203.0.113.7]>", "user", ""),
        ("<user@[IPv6:2001:db8::7]>", "user", ""),
        ("<user>", "user", ""),
        ("<user@>", "user", ""),
        ("<user@a..example>", "user", ""),
        ("<user@a\x00.example>", "user", ""),
    ],
)
def test_the_mail_from_identity_is_the_senders_domain_where_it_has_one(sender: str, local: str, domain: str) -> None:
    (check,) = plan(facts(sender), settings("[policy]\ncheck = mailfrom")).checks
    assert (check.local, check.domain) == (local, domain)


@pytest.mark.parametrize(
    ("helo", "domain", "said"),
    [
        ("mail.example.com", "mail.example.com", "mail.example.com"),
        ("[203.0.113.7]", "", "[203.0.113.7]"),
        ("[IPv6:2001:db8::7]", "", "[IPv6:2001:db8::7]"),
        ("203.0.113.7", "", "203.0.113.7"),
        ("desktop", "", "desktop"),
        ("a b.example", "", "a b.example"),
        ("\udcff.example", "", "\udcff.example"),
        (None, "", ""),
        ("", "", ""),
    ],
)
def test_the_helo_identity_is_the_host_name_where_the_dns_can_hold_it(helo: str | None, domain: str, said: str) -> None:
    (check,) = plan(facts(helo=helo), settings("[policy]\ncheck = helo")).checks
    assert (check.local, check.domain, check.as_sent) == ("postmaster", domain, said)


def test_a_helo_that_is_no_domain_is_unknown_to_macros() -> None:
    assert {check.helo for check in plan(facts(helo="[203.0.113.7]"), settings()).checks} == {"unknown"}
    assert {check.helo for check in plan(facts(helo="h.example"), settings()).checks} == {"h.example"}


def test_an_ipv4_mapped_client_is_checked_as_ipv4() -> None:
    mapped = Facts(
        client=client_of("x", ("::ffff:203.0.113.7", 25, 0, 0)), helo="h.example", reverse_path=facts().reverse_path
    )
    assert {check.address for check in plan(mapped, settings()).checks} == {IPv4Address("203.0.113.7")}


def test_an_ipv6_client_is_checked_as_it_is() -> None:
    planned = plan(facts(address="2001:db8::7"), settings())
    assert {check.address for check in planned.checks} == {IPv6Address("2001:db8::7")}


# -- what is not -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "skip"),
    [
        ("127.0.0.1", SkipReason.NETWORK),
        ("127.255.255.255", SkipReason.NETWORK),
        ("128.0.0.0", None),
        ("::1", SkipReason.NETWORK),
        ("::2", None),
        ("9.255.255.255", None),
        ("10.0.0.0", SkipReason.PRIVATE),
        ("10.255.255.255", SkipReason.PRIVATE),
        ("11.0.0.0", None),
        ("100.63.255.255", None),
        ("100.64.0.0", SkipReason.PRIVATE),  # CGNAT, RFC 6598
        ("100.127.255.255", SkipReason.PRIVATE),
        ("100.128.0.0", None),
        ("169.253.255.255", None),
        ("169.254.0.0", SkipReason.PRIVATE),  # link-local, RFC 3927
        ("169.255.0.0", None),
        ("172.15.255.255", None),
        ("172.16.0.0", SkipReason.PRIVATE),
        ("172.31.255.255", SkipReason.PRIVATE),
        ("172.32.0.0", None),
        ("192.167.255.255", None),
        ("192.168.0.0", SkipReason.PRIVATE),
        ("192.169.0.0", None),
        ("203.0.113.7", None),
        ("fbff:ffff::", None),
        ("fc00::", SkipReason.PRIVATE),  # ULA, RFC 4193
        ("fdff:ffff::1", SkipReason.PRIVATE),
        ("fe00::", None),
        ("fe80::1", SkipReason.PRIVATE),  # link-local, RFC 4291
        ("fec0::1", None),
        ("2001:db8::7", None),
        (None, SkipReason.UNKNOWN_CLIENT),
    ],
)
def test_addresses_that_say_nothing_of_the_sender_are_skipped(address: str | None, skip: SkipReason | None) -> None:
    planned = plan(facts(address=address), settings())
    assert planned.skip == skip
    assert bool(planned.checks) is (skip is None)


# One row a situation: the facts, and the reason with the defaults, without private_clients, without authenticated.
LOCAL = SkipReason.LOCAL
NETWORK, PRIVATE, AUTH, UNKNOWN = (
    SkipReason.NETWORK,
    SkipReason.PRIVATE,
    SkipReason.AUTHENTICATED,
    SkipReason.UNKNOWN_CLIENT,
)


@pytest.mark.parametrize(
    ("given", "usual", "private_too", "authenticated_too"),
    [
        (lambda: facts(address="203.0.113.7"), None, None, None),
        (lambda: facts(address="203.0.113.7", authenticated="joe"), AUTH, AUTH, None),
        (lambda: facts(address="10.0.0.1"), PRIVATE, None, PRIVATE),
        (lambda: facts(address="10.0.0.1", authenticated="joe"), AUTH, AUTH, PRIVATE),
        (lambda: facts(address="127.0.0.1"), NETWORK, NETWORK, NETWORK),
        (lambda: facts(address="127.0.0.1", authenticated="joe"), NETWORK, NETWORK, NETWORK),
        (lambda: facts(address=None), UNKNOWN, UNKNOWN, UNKNOWN),
        (lambda: facts(address=None, authenticated="joe"), AUTH, AUTH, UNKNOWN),
        (lambda: facts(address=None, local=True), LOCAL, LOCAL, LOCAL),
        (lambda: facts(address=None, local=True, authenticated="joe"), LOCAL, LOCAL, LOCAL),
    ],
)
def test_the_reason_named_is_the_most_trusting_one_and_each_switch_can_be_turned_off(
    given: Callable[[], Facts],
    usual: SkipReason | None,
    private_too: SkipReason | None,
    authenticated_too: SkipReason | None,
) -> None:
    assert plan(given(), settings()).skip == usual
    assert plan(given(), settings("[exempt]\nprivate_clients = no")).skip == private_too
    assert plan(given(), settings("[exempt]\nauthenticated = no")).skip == authenticated_too


@pytest.mark.parametrize(
    ("networks", "address", "skip"),
    [
        ("", "127.0.0.1", None),  # an administrator may have even loopback checked
        ("198.51.100.0/24", "198.51.100.255", NETWORK),
        ("198.51.100.0/24", "198.51.101.0", None),
        ("198.51.100.9", "198.51.100.9", NETWORK),
        ("10.0.0.0/8", "10.1.2.3", NETWORK),  # and not merely private
        ("2001:db8::/32", "2001:db8:ffff::", NETWORK),
        ("2001:db8::/32", "203.0.113.7", None),  # of the other version
        ("0.0.0.0/1, 128.0.0.0/1", "2001:db8::7", None),
        ("198.51.100.9\n    2001:db8::/32", "2001:db8::7", NETWORK),
    ],
)
def test_exempt_networks_are_exactly_those_listed(networks: str, address: str, skip: SkipReason | None) -> None:
    assert plan(facts(address=address), settings(f"[exempt]\nnetworks = {networks}")).skip == skip


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        (lambda: facts(address="127.0.0.1"), True),
        (lambda: facts(address=None, local=True), True),
        (lambda: facts(address="10.0.0.1"), False),  # a NAT may hide any client
        (lambda: facts(authenticated="joe"), False),
        (lambda: facts(address=None), False),
        (facts, False),
    ],
)
def test_only_our_own_side_is_trusted_to_bring_our_header_fields(given: Callable[[], Facts], *, trusted: bool) -> None:
    assert plan(given(), settings()).trusted is trusted


def test_the_client_of_a_check_is_the_client_of_the_facts() -> None:
    assert {check.address for check in plan(facts(address="198.51.100.1"), settings()).checks} == {
        ip_address("198.51.100.1")
    }


@pytest.mark.parametrize(
    ("senders", "skipped"),
    [
        ("a.example", True),
        ("a.example from 203.0.113.0/24", True),
        ("a.example from 192.0.2.0/24 203.0.113.7", True),
        ("a.example from 192.0.2.0/24", False),
        ("a.example from 192.0.2.0/24, a.example from 203.0.113.7", True),
        ("b.example from 203.0.113.7", False),
        ("a.example if pass", False),
        ("a.example if pass from 203.0.113.7", False),
        ("a.example if pass, a.example", True),
    ],
)
def test_an_exempt_sender_may_be_one_from_some_networks_only(senders: str, *, skipped: bool) -> None:
    planned = plan(facts("<u@a.example>"), settings(f"[exempt]\nsenders = {senders}"))
    assert (planned.skip is SkipReason.SENDER) is skipped
