"""Debian's OpenDMARC behind us at the same Postfix: what it makes of our results, and what it does by them.

Our policy lets a fail pass, so that OpenDMARC sees it. The authors' domains publish p=reject (mail163.example),
p=quarantine (example.com) and p=none (watching.example).
"""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from lab.opendmarc import OpenDmarc
from tests.mta.site import Sent, Site, written_by
from tests.mta.zones import LISTED, UNLISTED, UNREACHABLE

LENIENT = "[policy.mailfrom]\nfail = tag\n[policy.helo]\nfail = tag\n"
LONG = "x" * 50


def bounce(site: Site, client: str) -> Sent:
    """A message without a sender, from the host mail.example.com, or who claims to be it."""
    return site.send("", client, helo="mail.example.com", content=written_by("mail.example.com"))


@pytest.fixture(scope="module")
def dmarc(resolver: Nsd) -> Iterator[OpenDmarc]:
    with OpenDmarc(resolver.host) as running:
        yield running


@pytest.fixture(scope="module")
def chain(resolver: Nsd, dmarc: OpenDmarc) -> Iterator[Site]:
    """spfmilter, then OpenDMARC."""
    with Site(resolver, LENIENT, behind=dmarc.milter) as running:
        yield running


@pytest.mark.parametrize(
    ("sender", "client", "author", "assessment"),
    [
        ("good@mail163.example", LISTED, "mail163.example", "spf=pass dmarc=pass accept"),
        ("good@mail163.example", UNLISTED, "mail163.example", "spf=fail dmarc=fail reject"),
        ("list+bob=example.net@mail163.example", LISTED, "mail163.example", "spf=pass dmarc=pass accept"),
        ("list+bob=example.net@mail163.example", UNLISTED, "mail163.example", "spf=fail dmarc=fail reject"),
        (f"list+{LONG}=e@mail163.example", LISTED, "mail163.example", "spf=pass dmarc=pass accept"),
        # Its reader of Received-SPF loses its way at a "=" behind a long word, and then believes neither pass nor fail.
        (f"list+{LONG}=e@mail163.example", UNLISTED, "mail163.example", "spf=neutral dmarc=fail reject"),
        ('"quoted; (part)"@mail163.example', LISTED, "mail163.example", "spf=pass dmarc=pass accept"),
        (f"lost@{UNREACHABLE}", LISTED, "mail163.example", "spf=temperror dmarc=fail reject"),
        ("sub@soft.example.com", LISTED, "example.com", "spf=pass dmarc=pass accept"),
        ("soft@soft.example.com", UNLISTED, "example.com", "spf=softfail dmarc=fail quarantine"),
        ("none@www.example.com", LISTED, "example.com", "spf=none dmarc=fail quarantine"),
        ("other@mail163.example", LISTED, "example.com", "spf=pass dmarc=fail quarantine"),
        ("watched@watching.example", UNLISTED, "watching.example", "spf=fail dmarc=fail accept"),
    ],
)
def test_opendmarc_takes_our_result_over_and_acts_by_it(
    chain: Site, dmarc: OpenDmarc, sender: str, client: str, author: str, assessment: str
) -> None:
    sent = chain.send(sender, client, content=written_by(author))
    queue_id = chain.logged(**{"from": f"<{sender}>", "client": client})["queue_id"]
    assert str(dmarc.assessment(queue_id)) == assessment
    _, result, action = assessment.split()
    if action == "accept":
        assert chain.field(sent, "Authentication-Results")[0].startswith(f"mx.example.net; {result} (")
    elif action == "quarantine":
        assert chain.postfix.queue_name(queue_id) == "hold"
    else:
        assert str(sent.answer) == f"550 5.7.1 rejected by DMARC policy for {author}"


def test_a_pass_of_helo_does_not_stand_in_for_a_fail_of_mail_from(chain: Site, dmarc: OpenDmarc) -> None:
    sent = chain.send("a@explained.example.com", LISTED, helo="mail.example.com", content=written_by("example.com"))
    assert str(dmarc.assessment(sent.queue_id)) == "spf=fail dmarc=fail quarantine"


def test_a_forged_pass_in_our_name_does_not_reach_opendmarc(chain: Site, dmarc: OpenDmarc) -> None:
    forged = (
        "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=mail163.example\n"
        "Authentication-Results: mx.example.net; dkim=pass header.d=mail163.example\n"
        "Received-SPF: pass identity=mailfrom; envelope-from=forger@mail163.example\n"
    )
    assert chain.send("forger@mail163.example", content=forged + written_by("mail163.example")).answer.code == 550
    queue_id = chain.logged(**{"from": "<forger@mail163.example>"})["queue_id"]
    assert str(dmarc.assessment(queue_id)) == "spf=fail dmarc=fail reject"


def test_opendmarc_takes_no_result_over_for_a_bounce(chain: Site, dmarc: OpenDmarc) -> None:
    """It compares a result's domain with that of the envelope, which has none: DKIM has to vouch for bounces."""
    sent = bounce(chain, LISTED)
    assert str(dmarc.assessment(sent.queue_id)) == "spf=neutral dmarc=fail quarantine"


def test_opendmarc_evaluates_a_bounce_itself_if_it_is_told_to_and_finds_no_received_spf(resolver: Nsd) -> None:
    ini = f"{LENIENT}[headers]\nwrite = authentication-results\n"
    with OpenDmarc(resolver.host, self_validate=True) as own, Site(resolver, ini, behind=own.milter) as site:
        good, bad = bounce(site, LISTED), bounce(site, UNLISTED)
        assert str(own.assessment(good.queue_id)) == "spf=pass dmarc=pass accept"
        assert str(own.assessment(bad.queue_id)) == "spf=fail dmarc=fail quarantine"
        other = site.send("good@mail163.example", LISTED, content=written_by("mail163.example"))
        assert str(own.assessment(other.queue_id)) == "spf=pass dmarc=pass accept"
