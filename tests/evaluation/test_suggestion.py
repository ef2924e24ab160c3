"""What is found out about a refused client: its name, its service, and who is asked about."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, cast

import pytest

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation.engine import Inquiry
from spfmilter.evaluation.suggestion import clues_of
from spfmilter.model import Check, Client, Identity, Result, Verdict
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import Service
from tests.evaluation.world import World, ours
from tests.values import check, facts, verdict

GOOGLE, MICROSOFT, ALIBABA = "_spf.google.com", "spf.protection.outlook.com", "spf.qiye.aliyun.com"
DIRECT_MAIL, OUTLOOK = "spf1.dm.aliyun.com", "outlook.com"


class Records:
    """In the place of an Inquiry: whose record passes the client, the MX hosts, the names, and what was asked."""

    def __init__(
        self,
        *passing: str,
        exchanges: tuple[str, ...] = (),
        lookups: int = 0,
        void: int = 0,
        other: str = "fail",
        names: Mapping[str, tuple[str, ...]] | None = None,
        reverse: tuple[str, ...] = (),
    ) -> None:
        self._passing, self._exchanges = passing, exchanges
        self._names, self._reverse = names or {}, reverse
        self._lookups, self._void, self._other = lookups, void, Result(other)
        self.asked: list[str] = []
        self.named: list[str] = []  # the same for the client's name

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

    channel = guarded

    def start(self, name: str, rdtype: Type) -> None:
        """Is going to be asked."""

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """The MX hosts of any domain, the names of any address, the addresses of a name."""
        assert 100 < deadline <= 101
        if rdtype is Type.MX:
            self.asked.append(f"MX {name}")
            return Answer(Status.DATA, tuple((10, host) for host in self._exchanges), 300)
        assert deadline < 100.5, "the name leaves time for the service"
        self.named.append(f"{rdtype.name} {name}")
        if rdtype is Type.PTR:
            return Answer(Status.DATA if self._reverse else Status.NO_NAME, self._reverse, 300)
        return Answer(Status.DATA, tuple(ip_address(each).packed for each in self._names.get(name, ())), 300)

    def evaluate_best_effort(self, about: Check, deadline: float) -> Verdict:
        """By the domain alone. A client that no record lists needs all lookups of the record."""
        assert 100 < deadline <= 102
        if about.address.is_unspecified:
            return Verdict(check=about, result=self._other, lookups=self._lookups, void_lookups=self._void)
        self.asked.append(about.domain)
        return Verdict(check=about, result=Result.PASS if about.domain in self._passing else Result.FAIL)


def suggested(records: Records, found: Verdict, *, name: str = "unknown", helo: str = "mail.example.com") -> str | None:
    """The include that is suggested, if any."""
    service = clues(records, found, name=name, helo=helo).service
    return service.include if service is not None else None


def clues(
    records: Records,
    found: Verdict,
    own: tuple[Service, ...] = (),
    *,
    name: str = "unknown",
    helo: str = "helo.example",
) -> Clues:
    """All that is found out."""
    about = replace(facts(helo=helo), client=Client(address=found.check.address, name=name))
    return clues_of(found, about, cast("Inquiry", records), own)


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


# -- the client's name -------------------------------------------------------------------------------------------------

SMTP30, LINE = "smtp30.bulk.example", "203-0-113-7.dyn.isp.example"
PTR = "PTR 7.113.0.203.in-addr.arpa"


@pytest.mark.parametrize(
    ("known", "reverse", "names", "found", "asked"),
    [
        (SMTP30, (), {SMTP30: ("203.0.113.7",)}, SMTP30, [f"A {SMTP30}"]),
        ("SMTP30.Bulk.Example.", (), {SMTP30: ("192.0.2.9", "203.0.113.7")}, SMTP30, [f"A {SMTP30}"]),
        (SMTP30, (), {SMTP30: ("192.0.2.9",)}, "", [f"A {SMTP30}", PTR]),
        ("unknown", (f"{SMTP30}.",), {SMTP30: ("203.0.113.7",)}, SMTP30, [PTR, f"A {SMTP30}"]),
        ("unknown", (SMTP30,), {}, "", [PTR, f"A {SMTP30}"]),
        ("[203.0.113.7]", (), {}, "", [PTR]),
        (
            "",
            (LINE, "z.bulk.example"),
            dict.fromkeys([LINE, "z.bulk.example"], ("203.0.113.7",)),
            "z.bulk.example",
            None,
        ),
        ("", ("b.example.com", "a.example.com"), {"b.example.com": ("203.0.113.7",)}, "b.example.com", None),
        ("", ("<b>.example",), {"<b>.example": ("203.0.113.7",)}, "", None),
    ],
)
def test_the_name_of_the_client_is_told_if_the_dns_confirms_it(
    known: str, reverse: tuple[str, ...], names: dict[str, tuple[str, ...]], found: str, asked: list[str] | None
) -> None:
    records = Records(names=names, reverse=reverse)
    assert clues(records, verdict(Result.FAIL), name=known).client_name == found
    assert asked is None or records.named == asked


def test_it_is_told_for_helo_as_well_without_any_record() -> None:
    records = Records(GOOGLE, names={"mail.google.com": ("203.0.113.7",)})
    assert clues(records, verdict(Result.FAIL, Identity.HELO), name="mail.google.com") == Clues(
        client_name="mail.google.com"
    )
    assert not records.asked


def test_a_name_that_is_looked_up_hints_at_the_service() -> None:
    """The page has no other name for the links of an older version."""
    records = Records(GOOGLE, names={"mail-1.google.com": ("203.0.113.7",)}, reverse=("mail-1.google.com",))
    assert suggested(records, verdict(Result.FAIL)) == GOOGLE


# -- the administrator's services, and those that the record lists -----------------------------------------------------

BULK = Service(name="Bulk Mail", include="spf.bulk.example", hosts=("bulk.example",), provider="Bulk Mail")


@pytest.mark.parametrize(("passing", "service"), [((BULK.include,), BULK), ((), None)])
def test_a_service_of_the_administrators_is_held_against_its_record_too(
    passing: tuple[str, ...], service: Service | None
) -> None:
    records = Records(*passing)
    assert clues(records, verdict(Result.FAIL), (BULK,), name=SMTP30).service == service
    assert records.asked == [f"expect {BULK.include}", BULK.include]


@pytest.mark.parametrize(
    ("record", "names"),
    [
        ("v=spf1 include:_spf.google.com include:spf.bulk.example -all", ["Google Workspace", "Bulk Mail"]),
        ("v=spf1 +include:SPF.protection.outlook.com. ip4:192.0.2.1 -all", ["Microsoft 365"]),
        ("v=spf1 ?include:_spf.google.com -include:spf.bulk.example -all", []),
        ("v=spf1 -all include:_spf.google.com", []),
        ("v=spf1 include:%{d}.google.com include:customer.example a:mail.zendesk.com -all", []),
        ("v=spf1 redirect=_spf.yandex.net", ["Yandex 360"]),
    ],
)
def test_the_services_that_the_record_itself_lists_are_told(record: str, names: list[str]) -> None:
    world = World({
        "example.com": [{"TXT": "another text"}, {"TXT": record}],
        "customer.example": [{"TXT": "v=spf1 include:_spf.google.com ~all"}],
        "_spf.yandex.net": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}],
        **{n: [{"TXT": "v=spf1 ~all"}] for n in (GOOGLE, MICROSOFT, BULK.include, "example.com.google.com")},
    })  # fmt: skip
    found = ours(world, check(domain="Example.com"))
    assert found.result is Result.FAIL
    assert [service.name for service in clues(Records(), found, (BULK,)).listed] == names


def test_none_is_told_where_the_lookups_are_too_many_to_be_kept() -> None:
    assert clues(Records(), replace(verdict(Result.FAIL), asked=None)).listed == ()
