"""The sanitizer of what a client says of itself."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.addresses import (
    client_of,
    dns_domain,
    embedded_ip4,
    is_idna2008,
    is_named,
    is_plain,
    is_private,
    parse_address,
    parse_reverse_path,
    patterns_of,
    written_address,
)
from spfmilter.model import Client


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("IPv6:2001:db8::1", "2001:db8::1"),
        ("ipv6:2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # RFC 7208 section 5
        ("IPv6:::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),  # which prefixes are those of translators, the settings say
        ("", None),
        ("unknown", None),
        ("192.0.2", None),
        ("192.0.2.256", None),
        ("192.0.2.1.", None),
        ("192.0.2.01", None),
        ("١٩٢.0.2.1", None),
        ("[192.0.2.1]", None),
        ("192.0.2.1\x00", None),
        ("\udcff", None),
        ("1" * 100_000, None),
    ],
)
def test_addresses_are_read_as_mtas_write_them(text: str, address: str | None) -> None:
    assert parse_address(text) == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("address", "prefix", "meant"),
    [  # the first six are the table of RFC 6052 section 2.4
        ("2001:db8:c000:221::", "2001:db8::/32", "192.0.2.33"),
        ("2001:db8:1c0:2:21::", "2001:db8:100::/40", "192.0.2.33"),
        ("2001:db8:122:c000:2:2100::", "2001:db8:122::/48", "192.0.2.33"),
        ("2001:db8:122:3c0:0:221::", "2001:db8:122:300::/56", "192.0.2.33"),
        ("2001:db8:122:344:c0:2:2100::", "2001:db8:122:344::/64", "192.0.2.33"),
        ("2001:db8:122:344::192.0.2.33", "2001:db8:122:344::/96", "192.0.2.33"),
        ("64:ff9b::192.0.2.33", "64:ff9b::/96", "192.0.2.33"),
        ("64:ff9b:1::192.0.2.33", "64:ff9b::/96", "64:ff9b:1::c000:221"),
        ("192.0.2.33", "64:ff9b::/96", "192.0.2.33"),
    ],
)
def test_a_translators_client_is_the_ip4_address_in_its_address(address: str, prefix: str, meant: str) -> None:
    other = IPv6Network("2001:db8:ffff::/96")
    assert embedded_ip4(ip_address(address), [other, IPv6Network(prefix)]) == ip_address(meant)
    assert embedded_ip4(ip_address(address), []) == ip_address(address)


@pytest.mark.parametrize(
    ("hostaddr", "client"),
    [
        (("192.0.2.1", 25), Client(name="n", address=IPv4Address("192.0.2.1"))),
        (("2001:db8::1", 25, 0, 0), Client(name="n", address=IPv6Address("2001:db8::1"))),
        (("::ffff:192.0.2.1", 25, 0, 0), Client(name="n", address=IPv4Address("192.0.2.1"))),
        (("nonsense", 25), Client(name="n", address=None)),
        ("/run/socket", Client(name="n", address=None, local=True)),
        ("", Client(name="n", address=None, local=True)),
        (None, Client(name="n", address=None)),
        ((), Client(name="n", address=None)),
        ((None, 25), Client(name="n", address=None)),
        (7, Client(name="n", address=None)),
    ],
)
def test_the_client_is_what_libmilter_says_or_unknown(hostaddr: object, client: Client) -> None:
    assert client_of("n", hostaddr) == client


@pytest.mark.parametrize("address", ["10.1.2.3", "100.64.0.1", "172.16.0.1", "192.168.0.1", "169.254.1.1", "fd00::1"])
def test_private_addresses_are_known(address: str) -> None:
    assert is_private(ip_address(address))


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "127.0.0.1", "2001:db8::1", "::1", "ff02::1"])
def test_other_addresses_are_not_private(address: str) -> None:
    assert not is_private(ip_address(address))


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("<>", "", ""),
        ("", "", ""),
        ("  <>  ", "", ""),
        ("<user@example.com>", "user", "example.com"),
        ("user@example.com", "user", "example.com"),
        ("<user@Example.COM>", "user", "Example.COM"),
        ("<user>", "user", ""),
        ("<user@>", "user", ""),
        ("<@example.com>", "", "example.com"),
        ('<"a@b"@victim.example>', '"a@b"', "victim.example"),
        ("<a@b@victim.example>", "a@b", "victim.example"),
        ('<"a>b"@c.example>', '"a>b"', "c.example"),
        ("<@a.example:user@b.example>", "user", "b.example"),
        ("<@a.example,@b.example:user@c.example>", "user", "c.example"),
        ("<@a.example:>", "", ""),
        ('<"x:y"@example.com>', '"x:y"', "example.com"),  # a colon alone is no source route
        ("<user@[IPv6:::1]>", "user", "[IPv6:::1]"),
        ("<user@example.com", "<user", "example.com"),
        ("<user@ example.com >", "user", "example.com"),
        ("<\udcff@example.com>", "\udcff", "example.com"),
    ],
)
def test_the_domain_of_a_sender_begins_after_its_last_at(text: str, local: str, domain: str) -> None:
    path = parse_reverse_path(text)
    assert (path.local, path.domain) == (local, domain)
    assert path.null is (not local and not domain)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("u@d.test", "u@d.test"),
        (" <u@d.test> ", "u@d.test"),
        ("Bob <u@d.test>", "u@d.test"),
        ('"Smith, Bob (x@y.test)" <u@d.test>', "u@d.test"),
        ("<>", "<>"),
        ("", ""),
        ("Bob <>", "Bob <>"),
        ("Bob <u@d.test", "Bob <u@d.test"),
        ("Bob <a@b.test> <u@d.test>", "Bob <a@b.test> <u@d.test>"),
        ("<Bob <u@d.test>>", "<Bob <u@d.test>>"),
        ("Bob\n<u@d.test>", "Bob\n<u@d.test>"),
    ],
)
def test_an_address_may_be_written_with_a_name(text: str, address: str) -> None:
    assert written_address(text) == address


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("example.com", "example.com"),
        ("Example.COM", "Example.COM"),
        ("example.com.", "example.com"),
        ("_spf.example.com", "_spf.example.com"),
        ("a-.example.com", "a-.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),  # decomposed
        ("bücher.example.", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),  # IDNA 2008; 2003 would ask fass.example, another owner's
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("bücher。example。", "xn--bcher-kva.example"),
        ("_dmarc.bücher.example", "_dmarc.xn--bcher-kva.example"),  # an ASCII label is none of IDNA's business
        ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),  # a joiner, where IDNA 2008 allows it
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("localhost", ""),
        ("com.", ""),
        ("", ""),
        (".", ""),
        ("..", ""),
        ("a..example", ""),
        (".example.com", ""),
        ("example.com..", ""),
        ("192.0.2.1", ""),
        ("[192.0.2.1]", ""),
        ("[IPv6:2001:db8::1]", ""),
        ("2001:db8::1", ""),
        ("a b.example", ""),
        ("a\tb.example", ""),
        ("a\x00.example", ""),
        ("a\\.example", ""),
        ("user@a.example", ""),
        ("\udcff.example", ""),
        ("\u202e.example", ""),
        # What IDNA 2008 does not allow, and UTS 46 does: ICU in Postfix, and browsers.
        ("i❤.example", "xn--i-7iq.example"),
        ("i❤\ufe0f.example", "xn--i-7iq.example"),  # with the selector for a picture, as telephones write it
        ("👩\u200d💻.example", "xn--1ug1855pcha.example"),
        ("_bü.example", "xn--_b-yka.example"),
        ("a\u200cb.example", "xn--ab-j1t.example"),  # a joiner where there is nothing to join
        ("\uff58n--i-7iq.example", "xn--i-7iq.example"),  # a fullwidth letter in an A-label that 2008 does not allow
        ("💩.💩", "xn--ls8h.xn--ls8h"),
        ("\u2026.example", ""),  # would be three dots
        ("💩\xa0.example", ""),  # would hold a blank
        (f"{'💩' * 60}.example", ""),  # too long as an A-label
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
        (f"{'a' * 64}.example", ""),
        (f"{'a.' * 126}a", f"{'a.' * 126}a"),
        (f"{'a.' * 127}a", ""),
        ("ü" * 100_000 + ".example", ""),
        ("a" * 1_000_000, ""),
    ],
)
def test_a_domain_is_what_the_dns_can_hold(text: str, domain: str) -> None:
    assert dns_domain(text) == domain


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("example.com", True),
        ("bücher.example", True),
        ("xn--i-7iq.example", True),  # as sent in ASCII: no two readings
        ("i❤.example", False),
        ("_bü.example", False),
        ("_dmarc.bücher.example", True),
        ("a\u200cb.example", False),
        ("\u202e.example", True),  # no domain to anybody
        ("ü", True),
        ("", True),
    ],
)
def test_a_name_that_idna_2008_does_not_allow_is_known(name: str, allowed: bool) -> None:
    assert is_idna2008(name) is allowed


@given(st.text(max_size=300) | st.from_regex(r"[a-zà-ü一-十.\-]{0,80}", fullmatch=True))
def test_any_text_becomes_a_domain_of_printable_ascii_and_fitting_labels_or_none(text: str) -> None:
    name = dns_domain(text)
    assert name == "" or (re.fullmatch(r'[^\[\]:"\\@ ]+', name) and name.isascii() and name.isprintable())
    assert name == "" or (len(name) <= 253 and all(0 < len(label) < 64 for label in name.split(".")) and "." in name)
    assert dns_domain(name) == name


@given(st.text(max_size=100))
def test_no_address_and_no_sender_makes_the_reading_fail(text: str) -> None:
    parse_address(text)
    path = parse_reverse_path(f"<{text}@example.com>")
    assert path.domain == "example.com"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<user@example.com>", True),
        ("<user+tag=a@sub.example.com.>", True),
        ("<用户@例子.example>", True),
        ('<"quoted () \\" part"@example.com>', True),
        ("<user@[192.0.2.1]>", True),
        ("user@example.com", True),
        ("<@relay.example,@other.example:user@example.com>", True),
        ("<user>", True),
        ("<>", False),
        # Of an MTA that is responsible for the domain behind the last "@", all of these may be user@other.example.
        ("<user%other.example@example.com>", False),
        ("<other.example!user@example.com>", False),
        ('<"user@other.example"@example.com>', False),
        ('<"user\\@other.example"@example.com>', False),
        ("<user%other.example>", False),
        ("<@relay.example(:user@example.com>", False),
        ("<@(x:user@example.com>", False),
        ("<@x(:user@):victim@example.com>", False),
        ("<relay.example:user@example.com>", False),
        ("<user@example.com(comment)>", False),
        ("<user@example.com(@example.net>", False),
        ("<(comment)user@example.com>", False),
        ("<user@ex ample.com>", False),
        ('<user@"example.com">', False),
        ("<user@example\\.com>", False),
        ("<user@[example.com>", False),
        ('<"user"x@example.com>', False),
        ("<group:user@example.com;>", False),
        ("<User <user@example.com>>", False),
        ("<a@b@example.com>", False),
        ("<user\x00@example.com>", False),
    ],
)
def test_an_address_is_plain_if_there_is_one_way_to_read_it(text: str, plain: bool) -> None:
    assert is_plain(text) is plain


# -- patterns ----------------------------------------------------------------------------------------------------------


def test_a_name_stands_for_itself_and_a_leading_dot_for_all_below() -> None:
    assert list(patterns_of("A.b.example")) == ["a.b.example", ".b.example", ".example"]
    assert list(patterns_of("")) == [""]
    assert is_named("a.b.example", (".example",))
    assert not is_named("example", (".example",))
    assert not is_named("ab.example", ("b.example", ".b.example"))
    assert not is_named("", (".example",))
