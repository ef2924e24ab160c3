"""A nameserver at a link-local address, as router advertisements hand them out: it is asked over its interface.

The whole program runs in a network namespace of its own, where the loopback interface has such an address.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.processes import HUNG, with_resolv_conf
from spfmilter.dns.answer import Status, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import Nameserver

pytestmark = pytest.mark.outside

HOST = "fe80::53%lo"
# At port 53, since resolv.conf names no port; the second domain's record has to be fetched over TCP.
SERVE = f"""
import subprocess, sys
from lab.dnsserver import ScriptedDNS
zone = {{
    "example.com": [{{"TXT": "v=spf1 include:large.example.com -all"}}],
    "large.example.com": [{{"TXT": "v=spf1 ip4:192.0.2.1 ?all"}}, {{"TRUNCATE": True}}],
}}
with ScriptedDNS(zone, host="{HOST}", port=53):
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)
"""
NAMESPACE = 'ip link set lo up && ip -6 address add fe80::53/64 dev lo nodad && exec "$@"'


LISTEN = f"""
from spfmilter.observe import scrape
from spfmilter.web.server import _listen
print(scrape.listen("{HOST}", 9890).getsockname()[:2], _listen("[{HOST}]:8891").getsockname()[:2])
"""


TRY = f"""
from spfmilter.daemon.trial import attempt
from spfmilter.settings import parse
listen = "[metrics]\\nlisten = [{HOST}]:9890\\n[web]\\nlisten = [{HOST}]:8891\\nsecret_file = /nowhere/secret\\n"
tried = attempt(parse(listen + "[reply]\\nhelp_url = https://mx.example.net/spf/{{{{token}}}}\\n"))
print([(found.outcome.value, found.detail) for found in tried if found.what.endswith("listen")])
"""


def in_namespace(*command: str) -> str:
    """Return what the command prints where that address exists."""
    inside = ["unshare", "-n", "sh", "-c", NAMESPACE, "sh", *command]
    done = subprocess.run(inside, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own
    assert done.stdout, done.stderr
    return done.stdout


def test_the_metrics_and_the_help_page_can_be_served_at_such_an_address() -> None:
    assert in_namespace(sys.executable, "-c", LISTEN) == "('fe80::53', 9890) ('fe80::53', 8891)\n"


def test_a_trial_of_the_start_opens_it_as_the_start_does() -> None:
    opened = [("ok", f"[{HOST}]:{port} can be opened") for port in (9890, 8891)]
    assert in_namespace(sys.executable, "-c", TRY) == f"{opened}\n"


def checked(tmp_path: Path, nameserver: str, nameservers: str) -> dict[str, object]:
    """Return what ``spfmilter check`` says, with that server in resolv.conf, and those in the settings."""
    conf, ini = tmp_path / "resolv.conf", tmp_path / "spfmilter.ini"
    conf.write_text(f"nameserver {nameserver}\n")
    ini.write_text(f"[dns]\nnameservers = {nameservers}\ntimeout = 5s\n")
    check = ("-m", "spfmilter", "check", "-c", str(ini), "--json", "--ip", "192.0.2.1", "--mail-from", "u@example.com")
    inside = with_resolv_conf(conf, [sys.executable, "-c", SERVE, sys.executable, *check])
    found: dict[str, object] = json.loads(in_namespace(*inside))
    return found


@pytest.mark.parametrize(
    ("nameserver", "nameservers"),
    [(HOST, ""), ("fe80::53%1", ""), ("192.0.2.53", HOST), ("192.0.2.53", f"[{HOST}]:53")],
    ids=["resolv.conf", "number of the interface", "settings", "settings with port"],
)
def test_it_is_asked_over_its_interface(tmp_path: Path, nameserver: str, nameservers: str) -> None:
    said = json.dumps(checked(tmp_path, nameserver, nameservers))
    assert '"result": "pass"' in said, said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("fe80::53%nope9", "there is no network interface nope9"),
        ("fe80::53", "fe80::53 is link-local and names no interface, as fe80::53%eth0"),
    ],
)
def test_one_that_cannot_be_asked_says_why(address: str, why: str) -> None:
    answer = ask_once(Resolver([Nameserver(address)]), "e.example", Type.A, time.monotonic() + 5)
    assert answer.status is Status.FAILED
    assert why in answer.failure
    assert answer.local_failure
