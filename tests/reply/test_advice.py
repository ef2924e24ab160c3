"""What can be done about each verdict: the value that the notice and the help page put into words."""

from dataclasses import replace
from typing import Any

import pytest

from spfmilter.model import CONDITIONS, Check, Condition, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.reply import Audience, Remedy, Situation, advice, audience_of
from spfmilter.reply.advice import is_all
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.spf.services import SERVICES
from tests.values import check, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
OWN = {MAILFROM: "example.com", HELO: "mail.example.com"}
ELSEWHERE = "_spf.provider.example"
WITHOUT_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="...")
SILENT = Problem(kind=ProblemKind.DNS_FAILURE, text="...", domain="example.com")
OURS = Problem(kind=ProblemKind.OWN_RESOLVER, text="...", domain="example.com")
BROKEN = Problem(kind=ProblemKind.SYNTAX, text="...", domain=ELSEWHERE, term="x")

# term, whose record it stands in, problem -> situation, what a MAIL FROM can do, what a HELO can do
TABLE: dict[Result, list[tuple[Any, ...]]] = {
    Result.FAIL: [
        ("-all", "own", None, "unlisted", "submit, add, forwarded, from-own-domain", "own-name, add"),
        ("-all", ELSEWHERE, None, "redirected", "submit, add, forwarded, from-own-domain", "own-name, add"),
        (
            "-ip4:203.0.113.0/24",
            "own",
            None,
            "denied",
            "submit, add-before, forwarded, from-own-domain",
            "own-name, add-before",
        ),
        (
            "-ip4:203.0.113.0/24",
            ELSEWHERE,
            None,
            "redirected",
            "submit, add, forwarded, from-own-domain",
            "own-name, add",
        ),
    ],
    Result.SOFTFAIL: [
        ("~all", "own", None, "unlisted", "submit, add, forwarded, from-own-domain", "own-name, add"),
        ("~all", ELSEWHERE, None, "redirected", "submit, add, forwarded, from-own-domain", "own-name, add"),
        ("~mx", "own", None, "denied", "submit, add-before, forwarded, from-own-domain", "own-name, add-before"),
    ],
    Result.NEUTRAL: [
        (None, None, None, "unlisted", "submit, add, forwarded, from-own-domain", "own-name, add"),
        ("?all", "own", None, "unlisted", "submit, add, forwarded, from-own-domain", "own-name, add"),
        ("?mx", "own", None, "denied", "submit, add-before, forwarded, from-own-domain", "own-name, add-before"),
    ],
    Result.NONE: [
        (None, None, None, "no-record", "publish", "publish"),
        (None, None, WITHOUT_DOMAIN, "no-domain", "other-sender", "own-name"),
    ],
    Result.PASS: [("+all", "own", None, "allowed", "", ""), ("mx", ELSEWHERE, None, "allowed", "", "")],
    Result.PERMERROR: [(None, None, BROKEN, "broken", "fix", "fix")],
    Result.TEMPERROR: [
        (None, None, SILENT, "silent", "later", "later"),
        (None, None, OURS, "our-fault", "later", "later"),
    ],
}
# Remedies for which a verdict alone is not enough.
BY_MORE = {
    Remedy.ASK, Remedy.NARROW, Remedy.LOG_IN, Remedy.ADD_INCLUDE, Remedy.LIST_SERVERS, Remedy.MEND_FLAW,
    Remedy.USE_PROVIDER, Remedy.TELL_PROVIDER,
}  # fmt: skip
ROWS = [(result, row) for result, rows in TABLE.items() for row in rows]


def found(result: Result, identity: Identity, term: str | None, where: str | None, problem: Problem | None) -> Verdict:
    """The verdict of a row."""
    return verdict(result, identity, term=term, term_domain=OWN[identity] if where == "own" else where, problem=problem)


@pytest.mark.parametrize("identity", list(Identity))
@pytest.mark.parametrize(("result", "row"), ROWS)
def test_each_situation_has_its_remedies(result, row, identity) -> None:
    term, where, problem, situation, *remedies = row
    advised = advice(found(result, identity, term, where, problem))
    assert advised.situation == situation
    assert ", ".join(advised.remedies) == remedies[identity is HELO]
    assert (advised.result, advised.identity, advised.term) == (result, identity, term)


def test_every_result_situation_and_remedy_is_in_the_table() -> None:
    assert set(TABLE) == set(Result)
    below = {Situation.PINNED, Situation.NO_MAIL, Situation.WIDE_OPEN, Situation.UNREACHABLE}
    assert {row[3] for _, row in ROWS} | below == set(Situation)
    tabled = {remedy for _, row in ROWS for cell in row[4:] for remedy in cell.split(", ") if remedy}
    assert tabled | BY_MORE == set(Remedy)


@pytest.mark.parametrize(
    ("condition", "result", "situation", "remedies"),
    [
        (Condition.NO_MAIL, Result.FAIL, Situation.NO_MAIL, (Remedy.OTHER_SENDER, Remedy.LIST_SERVERS)),
        (Condition.WIDE_OPEN, Result.PASS, Situation.WIDE_OPEN, (Remedy.NARROW,)),
        (Condition.UNREACHABLE, Result.NONE, Situation.UNREACHABLE, (Remedy.PUBLISH,)),
    ],
)
def test_a_condition_has_its_remedies_where_it_has_decided(condition, result, situation, remedies) -> None:
    advised = advice(verdict(result), condition=condition)
    assert (advised.situation, advised.remedies) == (situation, remedies)
    assert advice(verdict(result)).situation is not situation
    others = [advice(verdict(other), condition=condition).situation for other in Result if other is not result]
    assert situation not in others, "it is one of this result alone"


def test_each_condition_has_a_situation_of_its_own() -> None:
    found = [advice(verdict(result), condition=condition).situation for result, condition in CONDITIONS.items()]
    assert len(set(found)) == len(Condition)


def test_a_host_name_that_sends_no_mail_may_be_the_wrong_name() -> None:
    advised = advice(verdict(Result.FAIL, Identity.HELO), condition=Condition.NO_MAIL)
    assert advised.remedies == (Remedy.OWN_NAME, Remedy.LIST_SERVERS)


@pytest.mark.parametrize("identity", list(Identity))
def test_a_record_that_allows_no_server_is_no_record_to_add_one_to_whether_or_not_the_policy_names_it(identity) -> None:
    advised = advice(verdict(Result.FAIL, identity, condition=Condition.NO_MAIL))
    assert advised.situation is Situation.NO_MAIL
    assert not {Remedy.ADD, Remedy.ADD_BEFORE, Remedy.ADD_INCLUDE, Remedy.PUBLISH} & set(advised.remedies)


def test_a_slip_that_leaves_minus_all_alone_does_not_say_that_the_domain_sends_no_mail() -> None:
    slip = Flaw(kind=FlawKind.UNKNOWN_MODIFIER, term="ip4=203.0.113.9", instead="ip4:203.0.113.9", domain="example.com")
    dmarc = Flaw(kind=FlawKind.DMARC, term="p=none", domain="example.com")
    alone = verdict(Result.FAIL, condition=Condition.NO_MAIL)
    advised = advice(alone, Clues(flaws=(slip,)), Condition.NO_MAIL)
    assert (advised.situation, advised.remedies[0]) == (Situation.UNLISTED, Remedy.MEND_FLAW)
    assert advice(alone, Clues(flaws=(dmarc,))).situation is Situation.NO_MAIL


@pytest.mark.parametrize("result", [Result.NONE, Result.PERMERROR])
def test_who_greets_with_a_freemail_domain_is_not_told_to_change_its_record(result: Result) -> None:
    about = replace(check(Identity.HELO), domain="gmail.com", as_sent="gmail.com")
    broken = Problem(kind=ProblemKind.SYNTAX, text="x", term="x", domain="gmail.com")
    advised = advice(verdict(result, check=about, problem=broken if result is Result.PERMERROR else None))
    assert advised.remedies == (Remedy.OWN_NAME,)


LOG_IN = {"unlisted", "redirected", "denied", "no-record"}


@pytest.mark.parametrize(("result", "row"), ROWS)
def test_a_user_of_our_own_is_told_to_log_in_and_not_to_change_the_record(result, row) -> None:
    """Only for MAIL FROM: a wrong HELO is a server's."""
    term, where, problem, situation, mailfrom, helo = row
    advised = advice(found(result, MAILFROM, term, where, problem), own=True)
    assert (advised.situation, ", ".join(advised.remedies)) == (
        situation,
        "log-in" if situation in LOG_IN else mailfrom,
    )
    assert ", ".join(advice(found(result, HELO, term, where, problem), own=True).remedies) == helo


def test_nor_where_the_receiver_keeps_a_record_of_the_domain_or_it_sends_no_mail() -> None:
    pinned = verdict(Result.FAIL, check=check(record="v=spf1 -all"))
    assert advice(pinned, own=True).remedies == (Remedy.LOG_IN,)
    assert advice(verdict(Result.FAIL), condition=Condition.NO_MAIL, own=True).remedies == (Remedy.LOG_IN,)


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.PERMERROR])
@pytest.mark.parametrize("identity", list(Identity))
def test_a_record_of_the_receivers_own_is_the_receivers_to_change(result: Result, identity: Identity) -> None:
    """Nothing that the sender could change in the DNS would help."""
    advised = advice(verdict(result, check=check(identity, record="v=spf1 -all")))
    assert (advised.situation, advised.remedies) == (Situation.PINNED, (Remedy.ASK, Remedy.SUBMIT))


@pytest.mark.parametrize(
    ("result", "term", "where", "problem", "record"),
    [
        (Result.FAIL, "-all", "own", None, "example.com"),
        (Result.FAIL, "-all", ELSEWHERE, None, ELSEWHERE),
        (Result.NEUTRAL, None, None, None, "example.com"),
        (Result.PERMERROR, None, None, BROKEN, ELSEWHERE),
        (Result.PERMERROR, None, None, None, "example.com"),
        (Result.TEMPERROR, None, None, SILENT, "example.com"),
    ],
)
def test_what_is_changed_is_changed_in_the_record_that_decided_or_is_in_error(
    result, term, where, problem, record
) -> None:
    assert advice(found(result, MAILFROM, term, where, problem)).record_domain == record


def test_the_term_to_add_is_the_address_or_the_services_include() -> None:
    assert advice(verdict(Result.FAIL)).add == "ip4:203.0.113.7"
    assert advice(verdict(Result.FAIL, check=check(address="2001:db8::7"))).add == "ip6:2001:db8::7"
    google = advice(verdict(Result.FAIL), Clues(service=SERVICES[0]))
    assert (google.add, google.service) == ("include:_spf.google.com", SERVICES[0])


@pytest.mark.parametrize(
    ("name", "address", "other"),
    [
        ("smtp30.bulk.example", "203.0.113.7", "bulk.example"),
        ("mail.example.com", "203.0.113.7", ""),
        ("203-0-113-7.dyn.isp.example", "203.0.113.7", ""),
        ("7.113.0.203.isp.example", "203.0.113.7", ""),
        ("2001-0db8-0000-0000.isp.example", "2001:db8::7", ""),
        ("", "203.0.113.7", ""),
    ],
)
def test_a_subscribers_line_is_no_server_of_another_organization(name: str, address: str, other: str) -> None:
    found = advice(verdict(Result.FAIL, check=check(address=address)), Clues(client_name=name))
    assert found.other_organization == other


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("all", True),
        ("-ALL", True),
        ("~all", True),
        ("+all", True),
        ("-a", False),
        ("-include:all", False),
        ("", False),
    ],
)
def test_all_is_all_with_any_qualifier_and_case(term: str, *, expected: bool) -> None:
    assert is_all(term) is expected


# -- what was looked up about the client -------------------------------------------------------------------------------

GOOGLE, MICROSOFT = SERVICES[0], next(service for service in SERVICES if service.name == "Microsoft 365")
BEHIND = Flaw(kind=FlawKind.BEHIND_ALL, term="ip4:198.51.100.1", domain="example.com")
PRESENT = Flaw(kind=FlawKind.PRESENT, term="ip4:203.0.113.7", domain="example.com", present=True)
HARMLESS = Flaw(kind=FlawKind.SECOND_ALL, term="~all", domain="example.com", cause="-all")
SLIP = Flaw(
    kind=FlawKind.UNKNOWN_MODIFIER,
    term="ip4=203.0.113.7",
    domain="example.com",
    instead="ip4:203.0.113.7",
    present=True,
)


@pytest.mark.parametrize(
    ("clues", "remedies"),
    [
        (Clues(), "submit, add, forwarded, from-own-domain"),
        (Clues(service=GOOGLE), "add, submit, forwarded, from-own-domain"),
        (Clues(service=GOOGLE, listed=(MICROSOFT,)), "submit, add, forwarded, from-own-domain"),
        (Clues(service=GOOGLE, client_name="mail-x.google.com"), "add, submit, forwarded, from-own-domain"),
        (Clues(client_name="smtp.bulk.example"), "submit, add-include, add, forwarded, from-own-domain"),
        (Clues(client_name="mail.example.com"), "add, submit"),
        (Clues(client_name="example.com"), "add, submit"),
        (Clues(client_name="notexample.com"), "submit, add-include, add, forwarded, from-own-domain"),
        (Clues(flaws=(BEHIND,)), "mend-flaw, submit, add, forwarded, from-own-domain"),
        (Clues(flaws=(HARMLESS,)), "submit, add, forwarded, from-own-domain"),
        (Clues(flaws=(PRESENT,)), "mend-flaw, submit, forwarded, from-own-domain"),
        (Clues(flaws=(BEHIND, SLIP)), "mend-flaw, submit, forwarded, from-own-domain"),
    ],
)
def test_the_likeliest_cause_comes_first(clues: Clues, remedies: str) -> None:
    advised = advice(verdict(Result.FAIL), clues)
    assert ", ".join(advised.remedies) == remedies
    assert (advised.listed, advised.client_name, advised.flaws) == (
        clues.listed,
        clues.client_name,
        tuple(one for one in clues.flaws if one is not HARMLESS),
    )


@pytest.mark.parametrize(
    ("result", "flaws", "remedies"),
    [
        (Result.NONE, (BEHIND,), "mend-flaw"),
        (Result.PERMERROR, (BEHIND,), "mend-flaw, fix"),
        (Result.TEMPERROR, (BEHIND,), "later"),
    ],
)
def test_a_flaw_is_mended_in_place_of_a_new_record_and_before_all_else(result, flaws, remedies) -> None:
    assert ", ".join(advice(verdict(result, problem=None), Clues(flaws=flaws)).remedies) == remedies


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        ("smtp30.bulk.example", "example.com", "bulk.example"),
        ("mail.example.com", "news.example.com", ""),  # the same organization
        ("mail.example.com", "example.com", ""),
        ("out.bulk.co.uk", "example.co.uk", "bulk.co.uk"),
        ("", "example.com", ""),
        ("mail.example.com", "", ""),
        ("m1.163.com", "163.com", ""),
        ("m1.163.com", "126.com", ""),  # of the same provider
    ],
)
def test_the_organization_of_the_client_is_named_if_it_is_another_one(name: str, domain: str, expected: str) -> None:
    advised = advice(verdict(Result.FAIL, check=check(domain=domain)), Clues(client_name=name))
    assert advised.other_organization == expected


@pytest.mark.parametrize(
    ("result", "name", "remedies", "fault"),
    [
        (Result.FAIL, "", "use-provider, from-own-domain, forwarded", False),
        (Result.SOFTFAIL, "", "use-provider, from-own-domain, forwarded", False),
        (Result.NEUTRAL, "mail.hotel.example", "use-provider, from-own-domain, forwarded", False),
        (Result.FAIL, "m12-18.163.com", "tell-provider", True),
        (Result.FAIL, "mail.netease.com", "tell-provider", True),
        (Result.FAIL, "mail163.com", "use-provider, from-own-domain, forwarded", False),
        (Result.NONE, "", "tell-provider", False),
        (Result.PERMERROR, "", "tell-provider", False),
        (Result.TEMPERROR, "", "later", False),
    ],
)
def test_a_freemail_user_sees_no_record_to_change(result: Result, name: str, remedies: str, *, fault: bool) -> None:
    advised = advice(verdict(result, check=check(domain="163.com"), term_domain="163.com"), Clues(client_name=name))
    assert (", ".join(advised.remedies), advised.provider_fault) == (remedies, fault)
    assert advised.provider is not None
    assert Audience.DOMAIN not in {audience_of(remedy) for remedy in advised.remedies}


def test_a_subdomain_of_a_freemail_domain_is_not_freemail() -> None:
    advised = advice(verdict(Result.FAIL, check=check(domain="corp.163.com")))
    assert advised.provider is None
    assert Remedy.ADD in advised.remedies


@pytest.mark.parametrize("about", [check(HELO, domain="gmail.com"), check(domain="gmail.com", null_sender=True)])
def test_a_server_that_calls_itself_a_freemail_domain_has_a_wrong_name(about: Check) -> None:
    assert advice(verdict(Result.FAIL, about.identity, check=about)).remedies == (Remedy.OWN_NAME,)


def test_for_the_null_sender_a_server_is_configured_since_no_user_has_sent_it() -> None:
    bounce = check(domain="mail.example.com", null_sender=True)
    advised = advice(verdict(Result.FAIL, check=bounce), Clues(client_name="mail.bulk.example"), own=True)
    assert advised.remedies == (Remedy.OWN_NAME, Remedy.ADD)


def test_each_remedy_has_its_audience() -> None:
    audiences = {remedy: audience_of(remedy) for remedy in Remedy}
    assert set(audiences.values()) == set(Audience)
    users = {remedy.value for remedy, audience in audiences.items() if audience is Audience.USER}
    assert users == {"submit", "use-provider", "tell-provider", "other-sender", "later", "ask", "log-in"}
