"""Which service a refused client belongs to: who is asked about, and who is not."""

from dataclasses import replace
from typing import Any, cast

import pytest

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation.engine import Inquiry
from spfmilter.evaluation.suggestion import service_of
from spfmilter.model import Check, Client, Identity, Result, Verdict
from tests.values import check, facts, verdict

GOOGLE, MICROSOFT, ALIBABA = "_spf.google.com", "spf.protection.outlook.com", "spf.qiye.aliyun.com"
DIRECT_MAIL, OUTLOOK = "spf1.dm.aliyun.com", "outlook.com"


class Records:
    """In the place of an Inquiry: whose record passes the client, the MX hosts, and what was asked."""

    def __init__(
        self, *passing: str, exchanges: tuple[str, ...] = (), lookups: int = 0, void: int = 0, other: str = "fail"
    ) -> None:
        self._passing, self._exchanges = passing, exchanges
        self._lookups, self._void, self._other = lookups, void, Result(other)
        self.asked: list[str] = []

    def clock(self) -> float:
        """Some time."""
        return 100.0

    def expect(self, checks: list[Check]) -> None:
        """These are going to be asked."""
        self.asked += [f"expect {about.domain}" for about in checks]

    @property
    def guarded(self) -> "Records":
        """The lookups."""
        return self

    def ask(self, domain: str, rdtype: Type, deadline: float) -> Answer:
        """The MX hosts of any domain."""
        assert rdtype is Type.MX
        assert 100 < deadline <= 102
        self.asked.append(f"MX {domain}")
        return Answer(Status.DATA, tuple((10, host) for host in self._exchanges), 300)

    def evaluate_best_effort(self, about: Check, deadline: float) -> Verdict:
        """By the domain alone. A client that no record lists needs all lookups of the record."""
        assert 100 < deadline <= 102
        if about.address.is_unspecified:
            return Verdict(check=about, result=self._other, lookups=self._lookups, void_lookups=self._void)
        self.asked.append(about.domain)
        return Verdict(check=about, result=Result.PASS if about.domain in self._passing else Result.FAIL)


def suggested(records: Records, found: Verdict, *, name: str = "unknown", helo: str = "mail.example.com") -> str | None:
    """The include that is suggested, if any."""
    about = facts(helo=helo)
    about = replace(about, client=Client(address=about.client.address, name=name))
    service = service_of(found, about, cast("Inquiry", records))
    return service.include if service is not None else None


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE])
def test_the_records_of_those_whose_names_hint_are_asked_all_at_once_and_the_first_that_passes_is_it(
    result: Result,
) -> None:
    records = Records(ALIBABA)
    assert suggested(records, verdict(result), name="out1.mail.aliyun.com") == ALIBABA
    known = (ALIBABA, "spf.mxhichina.com", DIRECT_MAIL)
    assert records.asked == [*(f"expect {domain}" for domain in known), ALIBABA]


def test_a_third_record_of_a_provider_is_asked_as_well() -> None:
    assert suggested(Records(DIRECT_MAIL), verdict(Result.FAIL), name="out1.mail.aliyun.com") == DIRECT_MAIL


def test_helo_hints_as_well_and_no_mx_is_asked_for() -> None:
    records = Records(GOOGLE, MICROSOFT)
    assert suggested(records, verdict(Result.FAIL), helo="x.outbound.protection.outlook.com") == MICROSOFT
    assert records.asked == [f"expect {MICROSOFT}", f"expect {OUTLOOK}", MICROSOFT]


def test_the_mx_hints_where_no_name_does() -> None:
    records = Records(GOOGLE, exchanges=("aspmx.l.google.com", "alt1.aspmx.l.google.com"))
    assert suggested(records, verdict(Result.FAIL)) == GOOGLE
    assert records.asked == ["MX example.com", f"expect {GOOGLE}", GOOGLE]


def test_who_is_not_in_the_record_does_not_belong_to_it() -> None:
    assert suggested(Records(), verdict(Result.FAIL), name="mail.google.com") is None


def test_many_names_still_cost_the_records_of_two_providers_at_most() -> None:
    records = Records(exchanges=("a.google.com", "b.outlook.com", "c.sendgrid.net", "d.mailgun.org"))
    assert suggested(records, verdict(Result.FAIL)) is None
    assert [asked for asked in records.asked if " " not in asked] == [GOOGLE, MICROSOFT, OUTLOOK]


@pytest.mark.parametrize(
    ("lookups", "void", "whole", "named"),
    [
        (6, 0, {"lookups": 3}, True),
        (7, 0, {"lookups": 3}, False),  # with the include itself eleven
        (0, 1, {"void": 1}, True),
        (0, 2, {"void": 1}, False),
        (0, 0, {"lookups": 11, "other": "permerror"}, False),
        (0, 0, {"other": "temperror"}, False),
        (0, 0, {"lookups": 9, "other": "pass"}, True),
    ],
)
def test_an_include_that_would_break_the_record_for_all_of_its_mail_is_not_suggested(
    lookups: int, void: int, whole: dict[str, Any], named: bool
) -> None:
    """RFC 7208 section 4.6.4, counted for a sender whom nothing passes."""
    found = replace(verdict(Result.FAIL), lookups=lookups, void_lookups=void)
    for address in ("203.0.113.7", "2001:db8::7"):
        about = replace(found, check=check(address=address))
        assert suggested(Records(GOOGLE, **whole), about, name="mail.google.com") == (GOOGLE if named else None)


@pytest.mark.parametrize(
    "found",
    [
        verdict(Result.PASS),
        verdict(Result.PERMERROR),
        verdict(Result.TEMPERROR),
        verdict(Result.FAIL, Identity.HELO),
        verdict(Result.NONE, check=check(domain="")),
        verdict(Result.FAIL, check=check(record="v=spf1 -all")),
    ],
    ids=["pass", "permerror", "temperror", "helo", "no-domain", "pinned"],
)
def test_no_lookup_is_made_where_no_include_would_help(found: Verdict) -> None:
    records = Records(GOOGLE, exchanges=("aspmx.l.google.com",))
    assert suggested(records, found, name="mail.google.com") is None
    assert not records.asked
