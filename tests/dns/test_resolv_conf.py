"""Which servers resolv.conf names, when it is read, and that nothing else of it counts."""

import os
import socket
import time
from pathlib import Path

import pytest

from lab.dnsserver import ScriptedDNS
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import Nameserver

HOST = {"A": "192.0.2.1"}


def ask(resolver: Resolver, name: str = "e.example", rdtype: Type = Type.A, *, limit: float = 10.0) -> Answer:
    return ask_once(resolver, name, rdtype, time.monotonic() + limit)


def test_resolv_conf_gives_addresses_and_nothing_else(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search corp.local\ndomain corp.local\noptions ndots:5\nnameserver 192.0.2.53\nnameserver ::1\n")
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver("192.0.2.53"), Nameserver("::1"))


@pytest.mark.outside
def test_the_search_list_is_never_applied(server: ScriptedDNS, resolver: Resolver) -> None:
    """A sender's domain that does not exist was evaluated as its namesake under the host's own domain, and passed."""
    server.load({"e.example.corp.local": [HOST], "mail.corp.local": [HOST]})
    assert ask(resolver).status is Status.NO_NAME
    assert ask(resolver, "mail").status is Status.NO_NAME
    assert set(server.queries) == {("e.example", "A"), ("mail", "A")}


@pytest.mark.outside
def test_the_host_of_resolv_conf_is_asked_for_the_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with the file: it cannot name a port, so that the packet is caught where it is sent."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("search corp.local\nnameserver 127.0.0.1\n")
    asked: list[bytes] = []
    monkeypatch.setattr(socket.socket, "send", lambda _, data: asked.append(data) or len(data))
    ask_once(Resolver(resolv_conf=conf), "e.example", Type.A, time.monotonic() + 0.05)
    assert [data[12:23] for data in asked] == [b"\1e\7example\0"]


def test_a_changed_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    conf.write_text("nameserver 192.0.2.22\n")
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    now += 5.0
    assert resolver.nameservers() == (Nameserver("192.0.2.22"),)


def test_an_unchanged_file_keeps_what_is_known_of_the_servers(tmp_path: Path) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    before = resolver.by_health()[0]
    now += 60.0
    assert resolver.by_health()[0] is before


def test_a_file_that_is_written_again_keeps_what_is_known_of_the_servers_that_stay(tmp_path: Path) -> None:
    """As by a DHCP client that renews its lease."""
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    first, second = resolver.by_health()
    first.avoid_until, second.plain_until = 130.0, 3700.0
    conf.write_text("# again\nnameserver 192.0.2.3\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    now += 5.0
    new, *others = resolver.by_health()
    assert new.address == Nameserver("192.0.2.3")
    assert others == [second, first]


@pytest.mark.parametrize(
    "odd",
    [
        "search a..b",
        "search " + "x" * 64 + ".example",
        "search \\",
        "# caf\xe9",
        "nameserver foo",
        "nameserver 1.1",
        "nameserver https://x/",
        "options ndots:x",
        "nameserver 192.0.2.300 ",
    ],
)
def test_an_odd_line_takes_no_server_away(tmp_path: Path, odd: str) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_bytes(f"{odd}\nnameserver 192.0.2.1\n\tnameserver\t2001:db8::53 # ours\n{odd}\n".encode("latin-1"))
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver("192.0.2.1"), Nameserver("2001:db8::53"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1%2", "fe80::1%2"),
        ("fe80::1", "fe80::1"),  # no socket can use it, which is said when it is asked
        ("2001:db8::53%eth0", "2001:db8::53"),
        ("::1%lo", "::1"),
        ("::ffff:192.0.2.53", "192.0.2.53"),
        ("169.254.169.253", "169.254.169.253"),  # a cloud's
    ],
)
def test_a_zone_counts_at_a_link_local_address_alone(tmp_path: Path, text: str, meant: str) -> None:
    """As glibc takes it."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {text}\n")
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver(meant),)


@pytest.mark.parametrize("text", ["", "search corp.local\n", "nameserver nonsense\n", "nameserver\n", "\0\xff\n"])
def test_a_file_without_a_server_means_this_host(tmp_path: Path, text: str) -> None:
    """resolv.conf(5)."""
    conf = tmp_path / "resolv.conf"
    conf.write_bytes(text.encode("latin-1"))
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver("127.0.0.1"),)


@pytest.mark.parametrize("text", [None, "", "nameserver nonsense\n"])
def test_a_file_that_is_broken_later_changes_nothing(tmp_path: Path, text: str | None) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    if text is None:
        conf.unlink()
    else:
        conf.write_text(text)
        os.utime(conf, (1, 1))
    now += 5.0
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)


def test_servers_that_were_given_are_not_replaced(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 192.0.2.1\n")
    assert Resolver([Nameserver("192.0.2.9", 5353)], resolv_conf=conf).nameservers() == (Nameserver("192.0.2.9", 5353),)
