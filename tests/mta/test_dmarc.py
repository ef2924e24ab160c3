"""`yield_to_dmarc` with real DMARC filters behind us: what SPF alone would refuse, DMARC decides, which knows more."""

from collections.abc import Iterator

import pytest

from lab import pydmarc
from lab.nsd import Nsd
from lab.opendmarc import OpenDmarc
from lab.pydmarc import PyDmarc
from tests.mta.neighbour import Neighbour
from tests.mta.site import Sent, Site, written_by
from tests.mta.test_postfix import REFUSAL
from tests.mta.zones import FORWARDER, LISTED
from tests.values import without_case

YIELDING = "[policy]\nreject_at = message\nyield_to_dmarc = yes\n[exempt]\nnetworks =\n"
SIGNED = "Authentication-Results: dkim.example.net; dkim=pass header.d=mail163.example\n"


@pytest.fixture(scope="module")
def dmarc(resolver: Nsd) -> Iterator[OpenDmarc]:
    """It believes a DKIM verifier as well, as there is one at most sites."""
    with OpenDmarc(resolver.host, trusted=("mx.example.net", "dkim.example.net")) as running:
        yield running


@pytest.fixture(scope="module")
def site(resolver: Nsd, dmarc: OpenDmarc) -> Iterator[Site]:
    # To Postfix an XCLIENT'ed client is still the local one that it was, for which it would write a missing From field.
    as_remote = {"local_header_rewrite_clients": ""}
    with Site(resolver, YIELDING, behind=dmarc.milter, main_cf=as_remote) as running:
        yield running


def test_a_fail_is_left_to_dmarc_where_the_authors_domain_has_a_policy(site: Site, dmarc: OpenDmarc) -> None:
    """The refusal is then OpenDMARC's."""
    answer = site.send("forger@mail163.example", content=written_by("mail163.example")).answer
    assert str(answer) == "550 5.7.1 rejected by DMARC policy for mail163.example"
    line = site.logged(**{"from": "<forger@mail163.example>"})
    assert (line["spf_mailfrom"], line["action"]) == ("fail", "accept")
    assert line["override_by"] == "mail163.example p=reject"
    assert str(dmarc.assessment(line["queue_id"])) == "spf=fail dmarc=fail reject"


def test_a_forwarded_message_with_a_signature_is_taken_though_its_spf_fails(site: Site) -> None:
    """The very mail that a fail at MAIL FROM would lose: by a real forwarder without SRS."""
    recipient = site.recipient()
    aliases = {"bob@forwarder.example": recipient}
    with Neighbour(site.postfix.port, "out.forwarder.example", FORWARDER, aliases=aliases) as forwarder:
        forwarder.take(
            LISTED,
            "alice@mail163.example",
            "bob@forwarder.example",
            helo="www.example.com",
            content=SIGNED + written_by("mail163.example"),
        )
        sent = Sent(answer=forwarder.answered(recipient), recipient=recipient)
    assert site.field(sent, "Received-SPF")[0].startswith("fail (")
    assert site.field(sent, "Authentication-Results")[0].startswith("mx.example.net; dmarc=pass (p=reject")


@pytest.mark.parametrize(
    "authors",
    [
        pytest.param(["watching.example"], id="p=none"),
        pytest.param(["testing.example"], id="pct=0"),
        pytest.param(["trial.example"], id="p=quarantine; t=y"),
        pytest.param(["gone.example.org"], id="np=none"),
        pytest.param(["new.bank"], id="psd=y"),
        pytest.param(["xn--fsqu00a.example"], id="no policy"),
        pytest.param(["mail163.example", "mail163.example"], id="two From fields"),
        pytest.param([], id="no From field"),
    ],
)
def test_where_dmarc_would_not_act_spf_does(site: Site, authors: list[str]) -> None:
    answer = site.send("alice@mail163.example", content=written_by(*authors)).answer
    assert (answer.code, without_case(answer.lines)) == (550, REFUSAL)


@pytest.mark.parametrize(
    ("author", "by"),
    [
        ("news.example.com", "example.com p=quarantine"),
        ("a.b.c.d.e.f.g.h.example.com", "example.com p=quarantine"),
        ("here.example.org", "example.org p=quarantine"),
    ],
)
def test_the_policy_of_the_organizational_domain_holds_below_it(
    site: Site, dmarc: OpenDmarc, author: str, by: str
) -> None:
    sent = site.send("below@mail163.example", content=written_by(author))
    assert site.logged(queue_id=sent.queue_id)["override_by"] == by
    assert str(dmarc.assessment(sent.queue_id)) == "spf=fail dmarc=fail quarantine"
    assert site.postfix.queue_name(sent.queue_id) == "hold"


def test_a_filter_that_does_not_know_t_acts_more_severely_than_we_expect(site: Site, dmarc: OpenDmarc) -> None:
    """OpenDMARC 1.4 goes by RFC 7489: it rejects what RFC 9989 quarantines. Either way, DMARC decides."""
    answer = site.send("stepped@mail163.example", content=written_by("step.example")).answer
    assert str(answer) == "550 5.7.1 rejected by DMARC policy for step.example"
    line = site.logged(**{"from": "<stepped@mail163.example>"})
    assert line["override_by"] == "step.example p=quarantine"
    assert str(dmarc.assessment(line["queue_id"])) == "spf=fail dmarc=fail reject"


# -- another filter ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(resolver: Nsd) -> Iterator[Site]:
    """The milter of the package dmarc behind us."""
    if missing := pydmarc.unavailable():
        pytest.skip(missing)
    with PyDmarc(resolver.host) as filter_, Site(resolver, YIELDING, behind=filter_.milter) as running:
        yield running


@pytest.mark.parametrize(
    ("author", "by", "does"),
    [
        ("mail163.example", "mail163.example p=reject", "reject"),
        ("news.example.com", "example.com p=quarantine", "quarantine"),
        ("here.example.org", "example.org p=quarantine", "quarantine"),
        ("step.example", "step.example p=quarantine", "quarantine"),  # p=reject; t=y
    ],
)
def test_what_is_left_to_the_package_dmarc_is_decided_by_it(other: Site, author: str, by: str, does: str) -> None:
    answer = other.send(f"{does}@mail163.example", content=written_by(author)).answer
    assert str(answer) == f"550 5.7.1 {does} is the DMARC policy of {author}"
    assert other.logged(override_by=by)["from"] == f"<{does}@mail163.example>"


@pytest.mark.parametrize("author", ["trial.example", "testing.example", "gone.example.org", "new.bank"])
def test_what_the_package_dmarc_might_let_pass_is_not_left_to_it(other: Site, author: str) -> None:
    answer = other.send("alice@mail163.example", content=written_by(author)).answer
    assert (answer.code, without_case(answer.lines)) == (550, REFUSAL)
