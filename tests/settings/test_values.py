"""The kinds of value: what is read, what is shown again, what is refused with advice (more of that in bad/)."""

import re
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Identity
from spfmilter.settings import names, sockets
from spfmilter.settings import values as types
from spfmilter.settings.sockets import SocketAddress
from spfmilter.settings.urls import state_url
from spfmilter.settings.values import Duration, Nameserver, Size, to_ini


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("0s", 0, "0s"),
        ("0d", 0, "0s"),
        ("250ms", 0.25, "250ms"),
        ("1500ms", 1.5, "1500ms"),
        ("1000ms", 1, "1s"),
        ("30s", 30, "30s"),
        ("90s", 90, "90s"),
        ("60m", 3600, "1h"),
        ("36h", 129600, "36h"),
        ("30d", 2592000, "30d"),
    ],
)
def test_times(text, seconds, shown) -> None:
    assert types.duration(text) == Duration(seconds)
    assert str(types.duration(text)) == shown


@given(st.integers(0, 999_999_999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_time_that_is_shown_is_the_same_time(number, unit) -> None:
    value = types.duration(f"{number}{unit}")
    shown = str(value)
    if len(shown.rstrip("dhms")) <= 9:
        assert types.duration(shown) == value


@pytest.mark.parametrize("text", ["", "30", "1.5s", "-1s", "30 s", "1H", "s", "٣s", "9999999999s", "30sec", "1h30m"])
def test_what_is_no_time(text) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        types.duration(text)


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [
        ("64M", 64 << 20, "64M"),
        ("1g", 1 << 30, "1G"),
        ("1024M", 1 << 30, "1G"),
        ("1536M", 1536 << 20, "1536M"),
        ("65537K", 65537 << 10, "65537K"),
        ("65536k", 64 << 20, "64M"),
    ],
)
def test_amounts_of_memory(text, number, shown) -> None:
    assert types.size(text) == Size(number)
    assert str(types.size(text)) == shown


@pytest.mark.parametrize("text", ["", "512", "1.5G", "-1M", "512 M", "512MB", "512MiB", "M", "٣M", "9999999999M", "1T"])
def test_what_is_no_amount_of_memory(text) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory"):
        types.size(text)


def test_the_bounds_of_an_amount_are_included() -> None:
    read = types.size_between("64M", "64G")
    assert [read(text) for text in ("64M", "65536M")] == [Size(64 << 20), Size(64 << 30)]


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("inet:8890@127.0.0.1", SocketAddress("inet", port=8890, host="127.0.0.1"), "inet:8890@127.0.0.1"),
        ("inet6:8890@::1", SocketAddress("inet6", port=8890, host="::1"), "inet6:8890@::1"),
        ("inet6:8890@[::0001]", SocketAddress("inet6", port=8890, host="::1"), "inet6:8890@::1"),
        ("unix:/run/a.sock", SocketAddress("unix", path="/run/a.sock"), "unix:/run/a.sock"),
        ("local:/run/a.sock", SocketAddress("unix", path="/run/a.sock"), "unix:/run/a.sock"),
        ("systemd", SocketAddress("systemd"), "systemd"),
    ],
)
def test_sockets(text, value, shown) -> None:
    assert sockets.socket_address(text) == value
    assert str(value) == shown


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("9000", "inet:9000@127.0.0.1"),
        ("9000@192.0.2.7", "inet:9000@192.0.2.7"),
        ("192.0.2.7:9000", "inet:9000@192.0.2.7"),
        ("localhost:9000", "inet:9000@127.0.0.1"),
        ("tcp://[2001:db8::1]:9000", "inet6:9000@2001:db8::1"),
        ("inet:mx1.example.com:9000", "inet:9000@127.0.0.1"),
        ("inet:9000@mx1.example.com", "inet:9000@127.0.0.1"),
        ("inet:9000", "inet:9000@127.0.0.1"),
        ("inet6:9000", "inet6:9000@::1"),
        ("inet6:9000@", "inet6:9000@::1"),
        ("inet6:[::1]:9000", "inet6:9000@::1"),
        ("inet6:9000@fe80::1", "inet6:9000@::1"),
        ("inet:99999:127.0.0.1", "inet:8890@127.0.0.1"),
        ("/run/x.sock", "unix:/run/x.sock"),
        ("unix:var/x.sock", "unix:/var/x.sock"),
        ("local:private/x", "unix:/var/spool/postfix/private/x"),
        ("unix:", "unix:/run/spfmilter/spfmilter.sock"),
        ("unix:" + "d" * 60, "unix:/run/spfmilter/spfmilter.sock"),
    ],
)
def test_the_example_in_the_error_of_a_socket_has_what_was_typed(text, meant) -> None:
    with pytest.raises(ValueError, match=r"write |such as ") as caught:
        sockets.socket_address(text)
    example = str(caught.value).split()[-1]
    assert example == meant
    assert str(sockets.socket_address(example)) == meant


def test_the_longest_path_leaves_room_for_the_name_that_the_listener_uses_first() -> None:
    path = "/" + "d" * 97
    assert sockets.socket_address(f"unix:{path}").path == path
    assert len(f"{path}..4194304".encode()) <= 108, "sockaddr_un of unix(7), and the highest process id of Linux"
    with pytest.raises(ValueError, match="at most 98 bytes"):
        sockets.socket_address(f"unix:{path}d")


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("127.0.0.1", Nameserver("127.0.0.1"), "127.0.0.1"),
        ("127.0.0.1:53", Nameserver("127.0.0.1"), "127.0.0.1"),
        ("127.0.0.1:5353", Nameserver("127.0.0.1", 5353), "127.0.0.1:5353"),
        ("2001:db8::53", Nameserver("2001:db8::53"), "2001:db8::53"),
        ("[2001:db8::53]", Nameserver("2001:db8::53"), "2001:db8::53"),
        ("[2001:db8::53]:5353", Nameserver("2001:db8::53", 5353), "[2001:db8::53]:5353"),
        ("fe80::53%eth0", Nameserver("fe80::53%eth0"), "fe80::53%eth0"),
        ("[FE80::53%eth0]:5353", Nameserver("fe80::53%eth0", 5353), "[fe80::53%eth0]:5353"),
    ],
)
def test_nameservers(text, value, shown) -> None:
    assert types.nameserver(text) == value
    assert str(value) == shown


@pytest.mark.parametrize(
    "text",
    ["", ":", ":53", "localhost", "127.0.0.1:", "127.0.0.1:66000", "[::1", "[::1]53", "[]:53", "1.2.3", "[::1]:5:3"],
)
def test_what_is_no_nameserver(text) -> None:
    with pytest.raises(ValueError, match="is not"):
        types.nameserver(text)


UNUSABLE = {
    "fe80::53": "is a link-local address, which each interface can have: name it, as fe80::53%eth0",
    "2001:db8::53%eth0": "only a link-local address names its interface: write 2001:db8::53",
    "::1%lo": "only a link-local address names its interface: write ::1",
    "::ffff:192.0.2.53": "is an IPv4 address in the form of IPv6: write 192.0.2.53",
    "224.0.0.1": "is an address of many hosts: write that of one host",
    "ff02::1%eth0": "is an address of many hosts: write that of one host",
    "255.255.255.255": "is an address of many hosts: write that of one host",
}


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(types.nameserver, id="nameserver"),
        pytest.param(lambda host: types.nameserver(f"[{host}]:53"), id="nameserver with port"),
        pytest.param(lambda host: types.endpoint(9890)(f"[{host}]:9890"), id="listen"),
        pytest.param(lambda host: state_url(f"redis://[{host}]/0" if ":" in host else f"redis://{host}/0"), id="url"),
    ],
)
@pytest.mark.parametrize(("host", "said"), UNUSABLE.items())
def test_an_address_that_no_socket_can_use_is_told_what_to_write(read, host, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said) + "$"):
        read(host)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("inet6:8890@::ffff:192.0.2.1", "names an IPv4 address: write inet:8890@192.0.2.1"),
        ("inet6:8890@fe80::1", "no MTA can be told the interface of a link-local address: write inet6:8890@::1"),
        ("inet6:8890@fe80::1%eth0", "no MTA can be told the interface of a link-local address: write inet6:8890@::1"),
        ("inet6:8890@::1%lo", "only a link-local address names its interface: write ::1"),
        ("inet:8890@224.0.0.1", "is an address of many hosts: write that of one host"),
        ("inet6:8890@ff02::1", "is an address of many hosts: write that of one host"),
    ],
)
def test_a_socket_at_which_nothing_can_listen_is_told_what_to_write(text, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said) + "$"):
        sockets.socket_address(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_networks(text, shown) -> None:
    assert types.network(text) == ip_network(shown)
    assert to_ini(types.network(text)) == shown


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("192.0.2.1/24", "write 192.0.2.0/24 for the network, or 192.0.2.1 for the address"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("192.0.2.0/0.0.0.255", "192.0.2.0/24"),
        ("::ffff:192.0.2.0/120", "write 192.0.2.0/24"),
        ("::1%lo", "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"),
        ("192.0.2", "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"),
        ("", "write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"),
    ],
)
def test_what_is_no_network_is_told_what_to_write(text, advice) -> None:
    with pytest.raises(ValueError, match=re.escape(advice) + "$"):
        types.network(text)


@pytest.mark.parametrize("text", ["yes", "YES", "true", "on", "1"])
def test_yes(text) -> None:
    assert types.yes_no(text) is True


@pytest.mark.parametrize("text", ["no", "No", "false", "off", "0"])
def test_no(text) -> None:
    assert types.yes_no(text) is False


@pytest.mark.parametrize(("text", "bits"), [("0660", 0o660), ("660", 0o660), ("0777", 0o777), ("0002", 2)])
def test_modes(text, bits) -> None:
    assert types.file_mode(text).bits == bits


def test_words_are_read_without_case_and_named_when_wrong() -> None:
    assert types.one_of(Identity)("MailFrom") is Identity.MAILFROM
    with pytest.raises(ValueError, match="'mail' is not one of helo, mailfrom"):
        types.one_of(Identity)("mail")


@pytest.mark.parametrize(("text", "items"), [("", ()), (",", ()), ("a,b\nc,,\n d ", ("a", "b", "c", "d"))])
def test_lists(text, items) -> None:
    assert types.split_list(text) == items


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com.", "example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("i❤.example。", "xn--i-7iq.example"),  # as in MAIL FROM
        ("_spf.example.com", "_spf.example.com"),
    ],
)
def test_domain_names(text, name) -> None:
    assert names.domain_name(text) == name
    assert names.domain_or_subdomains(f".{text}") == f".{name}"


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "a b", "-a.example", "x" * 64 + ".example", "a\u200f.example", "é..x"]
)
def test_what_is_no_domain_name(text) -> None:
    with pytest.raises(ValueError, match="is not a domain name"):
        names.domain_name(text)


@pytest.mark.parametrize("text", ["user@example.com", "user@", "@example.com", '"a@b"@example.com'])
def test_recipients(text) -> None:
    assert names.recipient_pattern(text) == text


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("User@Example.COM", "user@example.com"), ('"user"@', "user@"), ('"A\\@\\b"@example.com', '"a@b"@example.com')],
)
def test_a_recipient_is_read_as_those_of_messages_are(text, pattern) -> None:
    assert names.recipient_pattern(text) == pattern


@pytest.mark.parametrize("text", ["", "mx.example.net", "mx_1", "a+b"])
def test_authserv_ids(text) -> None:
    assert names.authserv_id(text) == text


def test_spf_records_are_one_line_with_single_blanks() -> None:
    assert names.spf_record("V=SPF1  ip4:192.0.2.0/24\n-all") == "V=SPF1 ip4:192.0.2.0/24 -all"
    assert names.spf_record("") == ""
