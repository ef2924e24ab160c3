"""Rules of particular domains and conditions, as clients and recipients of a real Postfix see them."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from tests.mta.site import Site
from tests.mta.zones import LISTED, UNLISTED

RULES = f"""
[policy]
own_addresses = 9.9.9.9
[policy.mailfrom]
wide_open = tag
no_mail = quarantine
unreachable = reject
[headers]
skipped = yes
[exempt]
senders = partner.example
[domain:mail163.example]
record = v=spf1 ip4:{UNLISTED} ~all
softfail = reject
[domain:.example.com]
neutral = reject
[domain:soft.example.com]
softfail = accept
trust = 198.51.100.0/24
"""


@pytest.fixture(scope="module")
def site(name_server: Nsd) -> Iterator[Site]:
    with Site(name_server, RULES) as running:
        yield running


def test_a_pinned_record_is_evaluated_instead_of_the_published_one_and_reported_as_such(site: Site) -> None:
    sent = site.send("pinned@mail163.example", UNLISTED)
    mailfrom = site.field(sent, "Received-SPF")[0]
    assert mailfrom.startswith("pass (")
    assert "by a record of this server, not the published one)" in mailfrom
    assert site.logged(queue_id=sent.queue_id)["pinned"] == "yes"
    assert site.send("unpinned@mail163.example", LISTED).answer.code == 550


def test_the_most_particular_section_of_a_domain_decides(site: Site) -> None:
    """soft.example.com has its own, and stands below .example.com."""
    sent = site.send("own@soft.example.com")
    assert site.logged(queue_id=sent.queue_id)["rule"].startswith("[domain:soft.example.com] softfail = accept (line ")
    assert site.send("below@neutral.example.com").answer.code == 550
    line = site.logged(**{"from": "<below@neutral.example.com>"})
    assert line["rule"].startswith("[domain:.example.com] neutral = reject (line ")


def test_a_client_that_is_trusted_for_a_domain_is_trusted_for_that_one_alone(site: Site) -> None:
    sent = site.send("trusted@soft.example.com", "198.51.100.7")
    assert site.logged(queue_id=sent.queue_id)["skip"] == "trusted-for-domain"
    [result] = site.field(sent, "Authentication-Results")
    assert result.startswith(
        "mx.example.net; spf=none (not checked: trusted-for-domain) smtp.mailfrom=soft.example.com"
    )
    assert site.send("other@mail163.example", "198.51.100.7").answer.code == 550


def test_a_sender_can_be_exempt(site: Site) -> None:
    sent = site.send("boss@partner.example", UNLISTED)
    assert site.logged(queue_id=sent.queue_id)["skip"] == "exempt-sender"


@pytest.mark.parametrize("domain", ["open.example.com", "wide.example.com"])
def test_a_record_that_lets_everybody_pass_can_be_tagged(site: Site, domain: str) -> None:
    """By `+all`, or by networks so wide that even our own server, which has nothing to do with it, may send."""
    sent = site.send(f"anybody@{domain}")
    assert site.field(sent, "Received-SPF")[0].startswith("pass (")
    assert site.field(sent, "X-SPF-Notice")
    line = site.logged(queue_id=sent.queue_id)
    assert line["condition"] == "wide_open"
    assert line["rule"].startswith("[policy.mailfrom] wide_open = tag (line ")


def test_a_record_that_lists_its_own_servers_passes_as_ever(site: Site) -> None:
    assert not site.field(site.send("exact@mail.example.com", LISTED), "X-SPF-Notice")


def test_a_domain_that_sends_no_mail_and_one_that_gets_none_have_their_own_policy_entries(site: Site) -> None:
    held = site.send("never@silent.example.com")
    assert site.postfix.queue_name(held.queue_id) == "hold"
    refused = site.send("nobody@nullmx.example.com").answer
    assert refused.code == 550
    assert site.logged(**{"from": "<nobody@nullmx.example.com>"})["rule"].startswith("[policy.mailfrom] unreachable = ")
