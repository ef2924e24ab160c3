"""The addresses of this host, as the kernel shows them."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from spfmilter.interfaces import addresses, has_public_address

FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.168.1.0/24 2 0 2
        |-- 192.168.1.0
           /24 link UNICAST
        |-- {address}
           /32 host LOCAL
        |-- 192.168.1.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
{address} 02 40 00 80     eth0
"""


def proc(folder: Path, ip4: str | None, ip6: str | None) -> Path:
    """A folder as the kernel's, where the main table is shown again as the local one."""
    if ip4 is not None:
        (folder / "fib_trie").write_text((FIB_TRIE + FIB_TRIE.replace("Main", "Local")).format(address=ip4))
    if ip6 is not None:
        (folder / "if_inet6").write_text(IF_INET6.format(address=ip_address(ip6).packed.hex()))
    return folder


def test_each_address_is_found_once(tmp_path: Path) -> None:
    found = addresses(proc(tmp_path, "192.168.1.7", "2001:db8::7"))
    assert list(map(str, found)) == ["192.168.1.7", "127.0.0.1", "::1", "2001:db8::7"]


@pytest.mark.parametrize(
    ("ip4", "ip6", "public"),
    [
        ("9.9.9.9", None, True),
        ("192.168.1.7", "2620:fe::fe", True),
        ("192.168.1.7", "fd00::7", False),
        ("100.64.0.7", "fe80::7", False),
        (None, None, False),
    ],
)
def test_whether_one_is_public(tmp_path: Path, ip4: str | None, ip6: str | None, *, public: bool) -> None:
    assert has_public_address(proc(tmp_path, ip4, ip6)) is public


def test_a_system_that_does_not_show_them_has_none(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text("\n|--\n/32 host\n")
    (tmp_path / "if_inet6").write_text("\nx y\n")
    assert addresses(tmp_path) == ()


def test_this_host_has_at_least_its_loopback_address() -> None:
    assert ip_address("127.0.0.1") in addresses()
