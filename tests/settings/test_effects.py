"""Settings without effect: each is named with its line and the reason, and only where it has none."""

from pathlib import Path

import pytest

from spfmilter.settings import load, without_effect
from tests.values import settings

SHIPPED = Path(__file__).parents[2] / "conf" / "spfmilter.ini"
DEFER = "[policy.mailfrom]\ntemperror = defer\n"
ALL_ACCEPTED = "".join(f"{key} = accept\n" for key in ("softfail", "fail", "permerror"))
SERVICE = "[service:Bulk]\ninclude = spf.bulk.example\nhosts = bulk.example\n"
NO_TAG = "[policy.mailfrom]\nsoftfail = accept\npermerror = reject\n"
NO_REFUSAL = f"[policy.helo]\nfail = accept\n[policy.mailfrom]\n{ALL_ACCEPTED}"


def found(text: str, *, is_public: bool = True) -> list[str]:
    """Return the place and the beginning of the reason of each finding."""
    return [
        f"{finding.section} {finding.key} {finding.line}: {finding.message.removeprefix('has no effect: ')}"
        for finding in without_effect(settings(text), is_public=is_public)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policy]\nown_addresses = 9.9.9.9", "policy own_addresses 2: no policy entry is called wide_open"),
        ("[policy]\nown_addresses = 192.0.2.1\n[policy.helo]\nwide_open = tag", "policy own_addresses 2: 192.0.2.1"),
        ("[milter]\nsocket_mode = 0666", "milter socket_mode 2: only a unix socket has one"),
        ("[milter]\nsocket = systemd\nsocket_group = mail", "milter socket_group 3: spfmilter.socket sets it"),
        ("[policy]\ncheck = mailfrom\n[policy.helo]\nfail = tag", "policy.helo fail 4: [policy] check has no helo"),
        ("[policy]\ncheck = helo\n[policy.mailfrom]\npass = tag", "policy.mailfrom pass 4: [policy] check has no"),
        ("[policy]\ncheck = helo\n[domain:a.example]\nfail = tag", "domain:a.example fail 4: it is about MAIL FROM"),
        ("[policy]\ncheck = helo\n[domain:a.example]\nrecord = v=spf1 -all", "domain:a.example record 4: it is about"),
        ("[policy]\ndefer_at_most = 1h", "policy defer_at_most 2: no policy entry says defer"),
        (f"[headers]\ntag_subject = [SPF]\n{NO_TAG}", "headers tag_subject 2: no policy entry says tag"),
        (f"[headers]\ntag_header = X-Ours\n{NO_TAG}", "headers tag_header 2: no policy entry says tag"),
        ("[reply]\nneutral = Hello", "reply neutral 2: every policy entry for neutral says accept"),
        ("[reply]\npass = Hello", "reply pass 2: every policy entry for pass says accept"),
        (f"{NO_REFUSAL}[exempt]\nforwarders = a.example", "exempt forwarders 8: every policy entry but that of pass"),
        (f"{NO_REFUSAL}[exempt]\nforwarder_spf = a.example", "exempt forwarder_spf 8: every policy entry but"),
        (f"{NO_REFUSAL}[policy]\nreject_at = message\nyield_to_dmarc = yes", "policy yield_to_dmarc 9: every"),
        ("[relays]\nrefuse = yes", "relays refuse 2: trusted is empty"),
        ("[headers]\nwrite = received-spf\nskipped = yes", "headers skipped 3: write has no authentication-results"),
        ("[headers]\nauthserv_id = a, b\nremove_forged = no", "headers authserv_id 2: names after the first"),
        ("[dns]\ncache_entries = 0\nserve_stale = 1d", "dns serve_stale 3: cache_entries = 0 remembers no answer"),
        ("[dns]\ncache_entries = 0\ncache_max_ttl = 1m", "dns cache_max_ttl 3: cache_entries = 0 remembers no answer"),
        ("[exempt]\nnetworks = 192.0.2.7\n[relays]\ntrusted = 192.0.2.0/24", "exempt networks 2: 192.0.2.7/32 is in"),
        ("[policy]\nreject_at = rcpt\n[recipient:postmaster@]\nfail = tag", "recipient:postmaster@ None 3: the"),
        ("[exempt]\nsenders = a.example\n[domain:a.example]\nfail = tag", "domain:a.example None 3: the domain is in"),
        ("[exempt]\nsenders = .a.example\n[domain:x.a.example]\nfail = tag", "domain:x.a.example None 3: the domain"),
        ("[domain:corp]\nfail = tag", "domain:corp None 1: corp has one label only"),
        ("[exempt]\nsenders = corp, corp.example, .corp", "exempt senders 2: corp has one label only"),
        ("[exempt]\nforwarder_spf = mailer", "exempt forwarder_spf 2: mailer has one label only"),
        ("[exempt]\nnetworks = 64:ff9b::c000:201", "exempt networks 2: clients in 64:ff9b::c000:201/128 count as IPv4"),
        ("[relays]\ntrusted = 64:ff9b::/96", "relays trusted 2: clients in 64:ff9b::/96 count as IPv4"),
        (f"{SERVICE}[reply]\nsuggest_services = no", "service:Bulk None 1: [reply] suggest_services = no"),
        ("[domain:a.example]\ntrust = 127.0.0.1", "domain:a.example trust 2: 127.0.0.1/32 is in [exempt] networks"),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_named(text: str, said: str) -> None:
    findings = found(text)
    assert len(findings) == 1, findings
    assert findings[0].startswith(said), findings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[policy]\nown_addresses = 9.9.9.9\n[domain:a.example]\nwide_open = tag",
        "[milter]\nsocket = unix:/run/s\nsocket_mode = 0666",
        f"{DEFER}[policy]\ndefer_at_most = 1h\n[state]\nurl = redis://192.0.2.9",
        "[policy]\ndefer_at_most = 1h\nreject_at = rcpt\n[recipient:a@b.example]\ntemperror = defer",
        "[headers]\ntag_subject = [SPF]",
        f"[headers]\ntag_subject = [SPF]\n{NO_TAG}[relays]\ntrusted = 192.0.2.1",
        "[reply]\nneutral = Hello\n[policy.helo]\nneutral = reject",
        "[reply]\npass = Hello\n[policy.mailfrom]\nwide_open = reject",
        "[exempt]\nforwarders = a.example",
        "[policy]\ncheck = mailfrom\n[policy.helo]\nfail = reject",  # the default, as the shipped file has it
        "[policy]\ncheck = helo\n[exempt]\nforwarder_spf = a.example\n[domain:a.example]\nrecord = v=spf1 a -all",
        "[exempt]\nsenders = a.example\n[domain:b.example]\nfail = tag",
        "[relays]\ntrusted = 192.0.2.7\nrefuse = yes",
        SERVICE,
    ],
)
def test_the_same_is_silent_where_it_has_an_effect(text: str) -> None:
    assert found(text) == []


def test_the_shipped_file_has_none() -> None:
    assert not list(without_effect(load(SHIPPED), is_public=False))


@pytest.mark.parametrize(
    ("own", "is_public", "warned"), [("", False, True), ("", True, False), ("own_addresses = 9.9.9.9", False, False)]
)
def test_wide_open_behind_nat_needs_the_public_address(own: str, *, is_public: bool, warned: bool) -> None:
    findings = found(f"[policy]\n{own}\n[policy.mailfrom]\nwide_open = tag", is_public=is_public)
    assert bool(findings) is warned
    assert all("[policy] own_addresses" in finding for finding in findings)
    assert all(finding.startswith("policy.mailfrom wide_open 4: cannot work, but for records") for finding in findings)
