"""Mail that our own backup MX, another real Postfix, has taken in and hands on: the client is the one that it saw."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from tests.mta.neighbour import Neighbour
from tests.mta.site import HELO, MESSAGE, Sent, Site
from tests.mta.zones import EDGE, LISTED, LISTED_V6, PRIVATE, RELAY, UNLISTED, UNLISTED_V6

TRUSTING = f"[exempt]\nnetworks =\n[relays]\ntrusted = {RELAY}, {EDGE}\n"
FORGED = "Received: from mail.example.com (mail.example.com [192.0.2.25]) by backup.example.net (Postfix)\n"


@pytest.fixture(scope="module")
def site(name_server: Nsd) -> Iterator[Site]:
    with Site(name_server, TRUSTING) as running:
        yield running


@pytest.fixture(scope="module")
def backup(site: Site) -> Iterator[Neighbour]:
    """Our backup MX."""
    with Neighbour(site.postfix.port, "backup.example.net", RELAY) as running:
        yield running


def by_way_of(
    relay: Neighbour, site: Site, sender: str, client: str, *, helo: str = HELO, content: str = MESSAGE, **xclient: str
) -> Sent:
    """A message that is handed to a relay, as the site answered the relay in the end."""
    recipient = site.recipient()
    assert relay.take(client, sender, recipient, helo=helo, content=content, **xclient).code == 250
    return Sent(answer=relay.answered(recipient), recipient=recipient)


@pytest.mark.parametrize("client", [LISTED, LISTED_V6])
def test_the_client_that_the_relay_saw_is_checked(site: Site, backup: Neighbour, client: str) -> None:
    sent = by_way_of(backup, site, "good@mail163.example", client)
    mailfrom, helo = site.field(sent, "Received-SPF")
    assert mailfrom.startswith("pass (")
    assert f"domain of mail163.example designates {client} as permitted sender" in mailfrom
    assert RELAY in mailfrom.partition(")")[0], "the comment names the relay"
    assert f"helo={HELO};" in helo
    line = site.logged(queue_id=sent.queue_id)
    assert (line["client"], line["relay"], line["helo"], line["spf_mailfrom"]) == (client, RELAY, HELO, "pass")


@pytest.mark.parametrize("client", [UNLISTED, UNLISTED_V6])
def test_what_would_be_refused_is_tagged_as_the_relay_would_have_to_bounce_it(
    site: Site, backup: Neighbour, client: str
) -> None:
    sent = by_way_of(backup, site, "bad@mail163.example", client)
    assert site.field(sent, "X-SPF-Notice")[0].startswith(f"tag; {client} is not in the trusted sender list of mail163")
    line = site.logged(queue_id=sent.queue_id)
    assert (line["action"], line["spf_mailfrom"], line["relay"]) == ("tag", "fail", RELAY)


def test_a_field_that_the_client_itself_wrote_is_not_believed(site: Site, backup: Neighbour) -> None:
    sent = by_way_of(backup, site, "forger@mail163.example", UNLISTED, content=FORGED + MESSAGE)
    assert site.logged(queue_id=sent.queue_id)["client"] == UNLISTED


@pytest.mark.parametrize(
    "helo",
    [
        "[192.0.2.25]",
        "x ([192.0.2.25])",
        "x (unknown [192.0.2.25]) by backup.example.net (Postfix) with ESMTP id A1; (",
        "mail.example.com [192.0.2.25]",
        "a" * 2000,
    ],
)
def test_a_greeting_chooses_no_client(site: Site, backup: Neighbour, helo: str) -> None:
    """Postfix puts HELO into its Received field."""
    sent = by_way_of(backup, site, "greeter@mail163.example", UNLISTED, helo=helo)
    line = site.logged(queue_id=sent.queue_id)
    assert (line["client"], line["action"]) == (UNLISTED, "tag")


def test_a_bounce_by_way_of_the_relay_is_checked_by_the_host_name_that_the_relay_was_told(
    site: Site, backup: Neighbour
) -> None:
    sent = by_way_of(backup, site, "", LISTED, helo="mail.example.com")
    assert site.field(sent, "Received-SPF")[0].startswith("pass (")
    assert "smtp.helo=mail.example.com" in site.field(sent, "Authentication-Results")[0]


def test_the_walk_goes_through_several_relays(site: Site, backup: Neighbour) -> None:
    with Neighbour(backup.port, "edge.example.net", EDGE) as edge:
        recipient = site.recipient()
        edge.take(LISTED, "far@mail163.example", recipient, helo=HELO)
        sent = Sent(answer=backup.answered(recipient), recipient=recipient)
    assert site.field(sent, "Received-SPF")[0].startswith("pass (")
    assert site.logged(queue_id=sent.queue_id)["client"] == LISTED


def skipped(site: Site, sent: Sent) -> bool:
    """Whether nothing was checked, since no client was found."""
    line = site.logged(queue_id=sent.queue_id)
    return (line["skip"], line["action"]) == ("relay", "accept") and not site.field(sent, "Received-SPF")


def test_a_relay_that_does_not_tell_its_client_is_a_skip_and_never_a_fail(site: Site) -> None:
    silent = {"smtp_header_checks": "regexp:{{/^Received: .*ESMTP/ IGNORE}}"}
    with Neighbour(site.postfix.port, "backup.example.net", RELAY, main_cf=silent) as relay:
        assert skipped(site, by_way_of(relay, site, "hidden@mail163.example", UNLISTED))


def test_a_client_that_spf_says_nothing_about_is_not_checked_behind_the_relay_either(
    site: Site, backup: Neighbour
) -> None:
    assert skipped(site, by_way_of(backup, site, "private@mail163.example", PRIVATE))
    assert skipped(site, by_way_of(backup, site, "user@mail163.example", UNLISTED, login="alice"))


def test_another_server_of_the_same_network_is_no_relay(site: Site) -> None:
    with Neighbour(site.postfix.port, "backup.example.net", "127.0.9.4") as neighbour:
        answer = by_way_of(neighbour, site, "other@mail163.example", LISTED).answer
    assert answer.text.startswith(
        "5.7.23 Message refused: 127.0.9.4 is not in the trusted sender list of mail163.example"
    )


def test_the_relay_is_refused_at_the_end_of_the_message_if_the_administrator_wants_so(
    site: Site, backup: Neighbour
) -> None:
    site.configure(f"{TRUSTING}refuse = yes\n")
    try:
        refused = by_way_of(backup, site, "refused@mail163.example", UNLISTED).answer
        assert by_way_of(backup, site, "good@mail163.example", LISTED).accepted
    finally:
        site.configure(TRUSTING)
    assert refused.code == 550
    assert refused.text.startswith(
        f"5.7.23 Message refused: {UNLISTED} is not in the trusted sender list of mail163.example"
    )
    assert "end of DATA" in backup.log()
