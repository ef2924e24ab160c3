"""The help page as a visitor finds it: a zone, the real server, and links to cases."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import free_port
from spfmilter.helplink.token import Case, Signer
from spfmilter.model import Identity, Result
from tests.values import CASE

CLIENT = "203.0.113.7"
SECRET = "the-secret-of-the-tests-and-of-nobody-else"
WEB = tuple(word if word != "run" else "web" for word in COMMAND)
ZONE: ZoneData = {
    "example.com": [
        {"TXT": "v=spf1 ip4:192.0.2.0/24 mx include:_spf.provider.example -all exp=why.example.com"},
        {"MX": [10, "mail.example.com"]},
        {"NS": "kira.ns.cloudflare.com"},
        {"NS": "lou.ns.cloudflare.com"},
    ],
    "mail.example.com": [{"A": "192.0.2.25"}, {"TXT": "v=spf1 a -all"}],
    "why.example.com": [{"TXT": "Mail of %{d} comes from our own servers only."}],
    "_spf.provider.example": [{"TXT": "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:25::/48 ?all"}],
    "pass.example": [{"TXT": "v=spf1 ip4:203.0.113.0/24 -all"}],
    "soft.example": [{"TXT": "v=spf1 a mx ~all"}],
    "neutral.example": [{"TXT": "v=spf1 ip4:192.0.2.1"}],
    "none.example": [{"A": "192.0.2.1"}],
    "perm.example": [{"TXT": "v=spf1 ip4:192.0.2.0/24 include:nothing.example ipv4:203.0.113.7 -all"}],
    "temp.example": [{"RCODE": "SERVFAIL"}],
    "moved.example": [{"TXT": "v=spf1 redirect=example.com"}],
    "named.example": [{"TXT": "v=spf1 -ip4:203.0.113.0/24 +all"}],
    "script.example": [{"TXT": "v=spf1 x=<script>document.title='owned'</script> exp=why.script.example -all"}],
    "why.script.example": [{"TXT": "<img src=https://evil.example/x onerror=alert(1)> \u202edetnirp\u202c \x1b[31m"}],
    "long.example": [{"TXT": "v=spf1 " + "ip4:192.0.2.1 " * 400 + "-all"}],
    "huge.example": [{"TXT": "v=spf1 " + "a" * 64_000 + " -all"}],
    "plain.example": [{"TXT": "v=spf1 -all"}],
    "shop.example": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}],
    "many.example": [{"TXT": "v=spf1 a include:one.many.example include:two.many.example -all"}, {"A": "192.0.2.1"}],
    **{
        name: [{"TXT": f"v=spf1 {' '.join(f'a:h{n}.many.example' for n in range(6))} ?all"}]
        for name in ("one.many.example", "two.many.example")
    },
    **{f"h{n}.many.example": [{"A": "192.0.2.1"}] for n in range(6)},
}


@dataclass(frozen=True)
class Site:
    """A help page that serves, and where."""

    url: str  # of the form, with a slash at its end
    dns: ScriptedDNS
    daemon: SpfmilterDaemon

    def link(self, domain: str = "example.com", **other: object) -> str:
        """The link that a notice about this domain holds."""
        return self.url + token(domain, **other)


def token(domain: str = "example.com", **other: object) -> str:
    """A token for a message that came now, unless another time is given."""
    usual = {
        "address": ip_address(CLIENT),
        "identity": Identity.MAILFROM,
        "domain": domain,
        "result": Result.FAIL,
        "time": int(time.time()),
        "id": CASE,
    }
    return Signer([SECRET.encode()]).sign(Case(**{**usual, **other}))  # type: ignore[arg-type]


def ini(dns: ScriptedDNS, folder: Path, port: int, more: str = "") -> str:
    """Settings of the page for this DNS server; `more` are further keys of [web]."""
    secret = folder / "secret"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(SECRET + "\n")
    return (
        f"[dns]\nnameservers = {dns.address}\n[headers]\nauthserv_id = mx.example.net\n"
        f"[reply]\nhelp_url = http://127.0.0.1:{port}/spf/{{token}}\n"
        f"[web]\nlisten = 127.0.0.1:{port}\nsecret_file = {secret}\n{more}\n"
    )


@contextmanager
def serving(folder: Path, more: str = "rate = 1000/minute", zone: ZoneData = ZONE) -> Iterator[Site]:
    """The page, with a DNS of its own whose answers may not be cached: a corrected record is seen at once."""
    port = free_port()
    with (
        ScriptedDNS(zone, ttl=0, negative_ttl=0) as dns,
        SpfmilterDaemon(ini(dns, folder, port, more), command=WEB) as daemon,
    ):
        yield Site(f"http://127.0.0.1:{port}/spf/", dns, daemon)
