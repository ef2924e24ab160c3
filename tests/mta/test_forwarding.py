"""Mail that comes to the site by way of another site's real Postfix: a forwarder, with and without SRS, and a list."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from tests.mta.neighbour import Neighbour
from tests.mta.site import Sent, Site
from tests.mta.zones import FORWARDER, LISTED, PRETENDER

# The forwarder is on loopback, which a site with its usual settings does not check.
CHECKED = "[exempt]\nnetworks =\n"


@pytest.fixture(scope="module")
def target(name_server: Nsd) -> Iterator[Site]:
    with Site(name_server, CHECKED) as running:
        yield running


def forward(site: Site, envelope_sender: str = "") -> Sent:
    """A message from alice@mail163.example to an address that forwards to this site, as the site answered."""
    recipient = site.recipient()
    forwarder = Neighbour(
        site.postfix.port,
        "out.forwarder.example",
        FORWARDER,
        aliases={"bob@forwarder.example": recipient},
        envelope_sender=envelope_sender,
    )
    with forwarder:
        taken = forwarder.take(LISTED, "alice@mail163.example", "bob@forwarder.example", helo="www.example.com")
        assert taken.code == 250
        return Sent(answer=forwarder.answered(recipient), recipient=recipient)


def test_without_srs_the_forwarder_is_refused_as_it_is_no_server_of_the_senders_domain(target: Site) -> None:
    target.configure(CHECKED)
    refused = forward(target).answer
    assert refused.code == 550
    assert refused.text.startswith(
        "5.7.23 Message refused: 127.0.9.1 is not in the trusted sender list of mail163.example"
    )


@pytest.mark.parametrize(
    ("line", "forwarder"),
    [
        ("forwarders = .forwarder.example", "out.forwarder.example"),
        ("forwarder_spf = other.example, forwarder.example", "forwarder.example"),
    ],
)
def test_a_known_forwarder_is_an_override_by_its_confirmed_name_or_by_its_own_spf(
    target: Site, line: str, forwarder: str
) -> None:
    """The result stays in the header, for who looks at it later."""
    target.configure(CHECKED + line)
    sent = forward(target)
    assert target.field(sent, "Received-SPF")[0].startswith("fail (")
    assert "spf=fail" in target.field(sent, "Authentication-Results")[0]
    assert not target.field(sent, "X-SPF-Notice")
    logged = target.logged(queue_id=sent.queue_id)
    assert (logged["action"], logged["spf_mailfrom"], logged["override_by"]) == ("accept", "fail", forwarder)
    assert logged["rule"] == f"[exempt] {line} (line 9)"


def test_a_name_that_its_domain_does_not_confirm_is_no_override(target: Site) -> None:
    """The PTR of the address says what its owner likes."""
    target.configure(f"{CHECKED}forwarders = .forwarder.example, mail163.example")
    assert target.send("alice@mail163.example", PRETENDER).answer.code == 550


@pytest.mark.parametrize(
    "envelope_sender",
    [
        pytest.param("SRS0=k3Pq=7T=mail163.example=alice@forwarder.example", id="srs"),
        pytest.param("friends-bounces@forwarder.example", id="list"),
    ],
)
def test_a_forwarder_with_srs_and_a_list_send_in_their_own_name_and_pass(target: Site, envelope_sender: str) -> None:
    sent = forward(target, envelope_sender)
    line = target.logged(queue_id=sent.queue_id)
    assert (line["client"], line["spf_mailfrom"], line["action"]) == (FORWARDER, "pass", "accept")
    assert "smtp.mailfrom=forwarder.example" in target.field(sent, "Authentication-Results")[0]
