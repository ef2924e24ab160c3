"""The private NSD serves what it is given, over UDP and TCP, and takes another zone while running."""

import dns.message
import dns.query
import dns.rcode
import pytest

from lab import nsd
from lab.nsd import Nsd

pytestmark = pytest.mark.skipif(bool(nsd.unavailable()), reason=nsd.unavailable() or "available")

ZONES = {
    "example.com": '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"\nmail A 192.0.2.25\n@ MX 10 mail',
    "2.0.192.in-addr.arpa": "25 PTR mail.example.com.",
}

UNKNOWN = "(unrecognized RR type|Invalid TYPE in RR)"  # NSD 4.6, 4.12


def ask(server: Nsd, name: str, kind: str, *, tcp: bool = False) -> list[str]:
    query = dns.message.make_query(name, kind)
    answer = (dns.query.tcp if tcp else dns.query.udp)(query, "127.0.0.1", timeout=5, port=server.port)
    assert answer.rcode() == dns.rcode.NOERROR
    return [str(rdata) for rrset in answer.answer for rdata in rrset]


def test_every_zone_is_served_over_udp_and_tcp() -> None:
    with Nsd(ZONES) as server:
        assert server.address == f"127.0.0.1:{server.port}"
        assert ask(server, "example.com", "TXT") == ['"v=spf1 ip4:192.0.2.0/24 -all"']
        assert ask(server, "example.com", "MX", tcp=True) == ["10 mail.example.com."]
        assert ask(server, "25.2.0.192.in-addr.arpa", "PTR") == ["mail.example.com."]


def test_a_replaced_zone_is_served_when_replace_returns() -> None:
    with Nsd(ZONES) as server:
        for policy in ("~all", "?all", "+all"):
            server.replace("example.com", f'@ TXT "v=spf1 {policy}"')
            assert ask(server, "example.com", "TXT") == [f'"v=spf1 {policy}"']
        assert ask(server, "25.2.0.192.in-addr.arpa", "PTR") == ["mail.example.com."]


def test_a_zone_that_nsd_refuses_is_an_error_with_its_line() -> None:
    with pytest.raises(ValueError, match=UNKNOWN), Nsd({"example.com": "@ NONSENSE x"}):
        pass
    with Nsd(ZONES) as server:
        with pytest.raises(ValueError, match=rf"(?s)refuses the zone example.com.*{UNKNOWN}"):
            server.replace("example.com", "@ NONSENSE x")
        server.replace("example.com", '@ TXT "mended"')
        assert ask(server, "example.com", "TXT") == ['"mended"']


def test_its_end_frees_the_port_and_removes_its_files() -> None:
    with Nsd(ZONES) as server:
        folder = server.folder
    assert not folder.exists()
    with pytest.raises(OSError, match=r"refused"):
        dns.query.tcp(dns.message.make_query("example.com", "TXT"), "127.0.0.1", timeout=2, port=server.port)
