"""A deferral ends, as its entry says; our own resolver's failure is no reason to defer."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from lab.processes import until
from tests.mta.site import Sent, Site
from tests.mta.zones import LISTED, UNLISTED, UNREACHABLE, ZONES

DEFER = "[policy.mailfrom]\ntemperror = defer\nsoftfail = defer, tag\n"


@pytest.fixture(scope="module")
def patient(name_server: Nsd) -> Iterator[Site]:
    """Defers for a second."""
    with Site(name_server, f"[policy]\ndefer_at_most = 1s\n{DEFER}") as running:
        yield running


def taken_in_the_end(site: Site, sender: str) -> Sent:
    """The message as soon as it is taken, tried again and again as a client would."""

    def attempt() -> Sent | None:
        sent = site.send(sender)
        assert sent.answer.code in {250, 451}
        return sent if sent.accepted else None

    return until(attempt, 10, f"{sender} is taken")


def test_a_sender_is_deferred_for_so_long_and_then_taken_with_the_result(patient: Site) -> None:
    first = patient.send(f"patient@{UNREACHABLE}").answer
    assert (first.code, first.lines[0].partition(" ")[0]) == (451, "4.7.24")
    sent = taken_in_the_end(patient, f"patient@{UNREACHABLE}")
    assert patient.field(sent, "Received-SPF")[0].startswith("temperror (")
    line = patient.logged(queue_id=sent.queue_id)
    assert (line["action"], line["rule"]) == ("accept", "[policy] defer_at_most = 1s (line 8)")


def test_a_softfail_waits_once_and_a_pass_does_not(patient: Site) -> None:
    """The recipe of docs/policy.md."""
    assert patient.send("friend@soft.example.com", LISTED).accepted
    assert patient.send("stranger@soft.example.com").answer.code == 451
    sent = taken_in_the_end(patient, "stranger@soft.example.com")
    assert patient.field(sent, "Received-SPF")[0].startswith("softfail (")
    [notice] = patient.field(sent, "X-SPF-Notice")
    assert notice.startswith("tag; ")
    line = patient.logged(queue_id=sent.queue_id)
    assert (line["action"], line["override"]) == ("tag", "defer_at_most")


def test_a_new_sender_is_deferred_though_others_have_waited(patient: Site) -> None:
    """The clock is of a domain and a client network: a neighbour's waiting counts, another network's does not."""
    taken_in_the_end(patient, f"first@sub.{UNREACHABLE}")
    assert patient.send(f"second@sub.{UNREACHABLE}", "203.0.113.200").accepted
    assert patient.send(f"third@sub.{UNREACHABLE}", "198.51.100.7").answer.code == 451
    assert patient.send(f"fourth@other.{UNREACHABLE}", UNLISTED).answer.code == 451


def test_a_reload_does_not_start_the_clock_anew(patient: Site) -> None:
    taken_in_the_end(patient, f"before@reload.{UNREACHABLE}")
    patient.configure(f"[policy]\ndefer_at_most = 1s\n{DEFER}")
    assert patient.send(f"after@reload.{UNREACHABLE}").accepted


def test_while_our_own_resolver_is_away_no_message_is_deferred() -> None:
    with Nsd(ZONES) as own, Site(own, DEFER) as site:
        own.stop()
        sent = site.send("someone@mail163.example")
        assert site.field(sent, "Received-SPF")[0].startswith("temperror (")
        assert "own resolver" in site.logged(queue_id=sent.queue_id)["rule"]
