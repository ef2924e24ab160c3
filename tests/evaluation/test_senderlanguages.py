"""Which languages a sender reads: by which name that is told, and when the DNS is asked."""

from dataclasses import replace
from typing import cast

import pytest

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation.engine import Inquiry
from spfmilter.evaluation.senderlanguages import sender_languages
from spfmilter.model import Client, Identity, Result
from tests.values import check, facts, verdict


class Lookups:
    """In the place of an Inquiry: the MX hosts of any domain, and what was asked."""

    def __init__(self, *exchanges: str) -> None:
        self._exchanges = exchanges
        self.asked: list[str] = []

    def clock(self) -> float:
        """Some time."""
        return 100.0

    @property
    def guarded(self) -> "Lookups":
        """The lookups."""
        return self

    def ask(self, domain: str, rdtype: Type, deadline: float) -> Answer:
        """The MX hosts."""
        assert rdtype is Type.MX
        assert deadline == 100.5
        self.asked.append(domain)
        return Answer(Status.DATA, tuple((10, host) for host in self._exchanges), 300)


def found(
    lookups: Lookups, domain: str, *, name: str = "unknown", identity: Identity = Identity.MAILFROM,
    sender: str = "", record: str = "",
) -> tuple[str, ...]:  # fmt: skip
    """The languages of a sender."""
    about = facts(f"<u@{sender or domain}>")
    about = replace(about, client=Client(address=about.client.address, name=name))
    checked = replace(check(domain=domain, identity=identity), record=record)
    return sender_languages(replace(verdict(Result.FAIL), check=checked), about, cast("Inquiry", lookups))


def test_the_senders_country_is_known_without_a_lookup() -> None:
    lookups = Lookups("mx.example.fr")
    assert found(lookups, "kunde.de", name="mail.example.it") == ("de",)
    assert lookups.asked == []


def test_an_mx_host_tells_it_before_the_client() -> None:
    lookups = Lookups("mx.example.net", "mx.example.fr")
    assert found(lookups, "kunde.example", name="mail.example.it") == ("fr",)
    assert lookups.asked == ["kunde.example"]


@pytest.mark.parametrize(("name", "languages"), [("mail.example.it", ("it",)), ("unknown", ())])
def test_the_client_tells_it_last(name: str, languages: tuple[str, ...]) -> None:
    assert found(Lookups("mx.example.net"), "kunde.example", name=name) == languages


def test_for_helo_the_sender_counts_as_well_and_no_mx_is_asked() -> None:
    lookups = Lookups("mx.example.fr")
    assert found(lookups, "host.example", identity=Identity.HELO, sender="kunde.de") == ("de",)
    assert found(lookups, "host.example", identity=Identity.HELO) == ()
    assert lookups.asked == []


def test_a_pinned_record_asks_nothing() -> None:
    lookups = Lookups("mx.example.fr")
    assert found(lookups, "kunde.example", record="v=spf1 -all") == ()
    assert lookups.asked == []
