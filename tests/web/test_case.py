import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Identity, ProblemKind, Result
from spfmilter.reply.advice import Audience, Remedy, Situation, audience_of
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.spf.providers import provider_of
from spfmilter.spf.services import SERVICES
from spfmilter.web import wording
from spfmilter.web.app import Contact
from spfmilter.web.case import Card, CaseView, OriginalResult, build_view
from spfmilter.web.flaws import flaw_views
from spfmilter.web.form import EMPTY
from spfmilter.web.languages import LANGUAGES, PageLanguage
from spfmilter.web.render import render
from spfmilter.web.tree import RecordView, Step
from tests.evaluation.world import check, ours
from tests.web.pages import Page

THEN = OriginalResult(result=Result.FAIL, time=1_800_000_000)
AROUND = {
    "hostname": "mx.example.net",
    "site_name": "Example University",
    "own_link": "https://mx.example.net/spf/token",
    "form_link": "./?ip=192.0.2.1&mail_from=e.example",
    "contact": Contact.of("postmaster@mx.example.net"),
    "limit": 10,
    "versions": dict.fromkeys(("style.css", "icon.svg"), "1"),
    "wanted": "",
    "switch": lambda _: "",
    "root": "./",
    "asked": None,
}
MAILFROM = wording.REFUSALS[Identity.MAILFROM]


def case(text: str, then: OriginalResult | None = THEN, **other: Any) -> CaseView:
    return build_view(ours({"e.example": [{"TXT": text}], **other}, trace=True), then=then)


def steps(record: RecordView | None) -> list[tuple[str, str, bool]]:
    """Each term with its step and whether it decided, those of records inside as well."""
    found = []
    for term in record.terms if record else ():
        found += [(term.text, term.step.value, term.decided), *steps(term.record)]
    return found


@pytest.mark.parametrize(
    ("text", "then", "lead"),
    [
        ("v=spf1 a -all", Result.FAIL, MAILFROM[Result.FAIL]),
        ("v=spf1 -all", Result.FAIL, wording.NO_MAIL),
        ("v=spf1 ~all", Result.FAIL, MAILFROM[Result.SOFTFAIL]),
        ("v=spf1 ?all", Result.FAIL, MAILFROM[Result.NEUTRAL]),
        ("v=spf1 -ip4:192.0.2.1 +all", Result.FAIL, wording.DENIED),
        ("v=spf1 nonsense", Result.FAIL, MAILFROM[Result.PERMERROR]),
        ("v=spf1 include:temp.example -all", Result.FAIL, MAILFROM[Result.FAIL]),
        ("v=spf1 include:temp.example -all", Result.PERMERROR, MAILFROM[Result.PERMERROR]),
        ("v=spf1 +all", Result.FAIL, wording.FIXED),
        ("v=spf1 +all", Result.TEMPERROR, wording.FIXED),
        ("v=spf1 +all", Result.PASS, MAILFROM[Result.PASS]),
    ],
)
def test_the_story_is_that_of_now_or_where_now_is_unknown_that_of_then(text, then, lead) -> None:
    told = case(text, OriginalResult(result=then, time=0), **{"temp.example": [{"RCODE": "SERVFAIL"}]})
    assert told.lead == lead
    assert told.fixed is (lead == wording.FIXED)


def test_every_result_and_problem_has_its_words() -> None:
    for table in (*wording.TITLES.values(), *wording.STORIES.values(), *wording.REFUSALS.values(), wording.RESULTS):
        assert set(table) == set(Result)
    assert set(wording.PROBLEMS) == set(ProblemKind)
    assert set(wording.TITLES) == set(wording.STORIES) == set(wording.WHAT_SPF_IS) == set(Identity)
    assert set(wording.REFUSALS) == set(Identity)


def test_one_term_is_marked_as_the_one_that_decided() -> None:
    other: dict[str, Any] = {"b.example": [{"TXT": "v=spf1 ip4:203.0.113.1 ?all"}]}
    assert steps(case("v=spf1 include:b.example -all", **other).record) == [
        ("include:b.example", Step.PASSED_OVER, False),
        ("ip4:203.0.113.1", Step.PASSED_OVER, False),
        ("?all", Step.MATCHED, False),
        ("-all", Step.MATCHED, True),
    ]


def test_behind_a_redirect_it_is_the_one_of_the_last_record() -> None:
    other: dict[str, Any] = {"b.example": [{"TXT": "v=spf1 -all"}]}
    assert steps(case("v=spf1 a redirect=b.example", **other).record) == [
        ("a", Step.PASSED_OVER, False),
        ("redirect=b.example", Step.LED_ON, False),
        ("-all", Step.MATCHED, True),
    ]


@pytest.mark.parametrize(
    ("published", "shown"),
    [
        ([{"TXT": "v=spf1 a -all"}, {"TXT": "v=spf1 mx ~all"}], wording.PROBLEMS[ProblemKind.SEVERAL_RECORDS]),
        ([{"TXT": "v=spf1 a:ü.example"}], wording.PROBLEMS[ProblemKind.NOT_ASCII]),
        ([{"RCODE": "SERVFAIL"}], "could not be looked up: the DNS server failed"),
        ([{"TXT": "hello"}], "publishes no SPF record"),
    ],
)
def test_a_record_that_could_not_be_read_is_not_shown_as_missing(published: Any, shown: str) -> None:
    view = build_view(ours({"e.example": published}, trace=True))
    page = render("case.html", LANGUAGES[0], **AROUND, form=EMPTY, view=view)
    assert shown in page
    assert ("publishes no SPF record" in page) is (shown == "publishes no SPF record")


def test_where_it_broke_off_no_term_decided() -> None:
    other: dict[str, Any] = {"b.example": [{"TXT": "v=spf1 include:nothing.example -all"}]}
    assert steps(case("v=spf1 include:b.example -all", **other).record) == [
        ("include:b.example", Step.BROKE_OFF, False),
        ("include:nothing.example", Step.BROKE_OFF, False),
    ]


@pytest.mark.parametrize(
    ("text", "other", "expected", "domain"),
    [
        ("v=spf1 include:e.example -all", {}, [("include:e.example", Step.BROKE_OFF, False)], "e.example"),
        ("v=spf1 redirect=e.example", {}, [("redirect=e.example", Step.BROKE_OFF, False)], "e.example"),
        (
            "v=spf1 include:b.example -all",
            {"b.example": [{"TXT": "v=spf1 a redirect=e.example"}]},
            [
                ("include:b.example", Step.BROKE_OFF, False),
                ("a", Step.PASSED_OVER, False),
                ("redirect=e.example", Step.BROKE_OFF, False),
            ],
            "e.example",
        ),
    ],
)
def test_a_record_that_leads_back_to_itself_is_shown_once(
    text: str, other: dict[str, Any], expected: list[tuple[str, str, bool]], domain: str
) -> None:
    """Its evaluation goes round until ten lookups are used up."""
    view = case(text, **other)
    assert view.now is Result.PERMERROR
    assert steps(view.record) == expected
    for language in LANGUAGES:
        page = render("case.html", language, **AROUND, form=EMPTY, view=view)
        (said,) = re.findall(rf'<p class="meaning">(?:(?!</p>).)*{domain}(?:(?!</p>).)*</p>\s*</li>', page, re.DOTALL)
        assert "again and again" in said or "循" in said


def test_a_long_record_is_shown_in_part_with_the_term_that_decided() -> None:
    record = case("v=spf1 " + "ip4:203.0.113.1 " * 100 + "-all").record
    assert record is not None
    assert (len(record.terms), record.hidden) == (20, 81)
    assert record.terms[-1].decided


@pytest.mark.parametrize(
    ("term", "meaning", "value"),
    [
        ("mx", "mx", "e.example"),
        ("a/24", "a", "e.example/24"),
        ("-a:b.example", "a", "b.example"),
        ("exists:%{i}.b.example", "exists", "192.0.2.1.b.example"),
        ("~ALL", "all", "e.example"),
        ("IP4:192.0.2.9", "ip4", "192.0.2.9"),
    ],
)
def test_a_term_says_what_it_means(term, meaning, value) -> None:
    record = case(f"v=spf1 {term} -all").record
    assert record is not None
    assert (record.terms[0].meaning, record.terms[0].value) == (wording.TERMS[meaning], value)


def test_a_service_is_offered_in_place_of_the_address() -> None:
    google = SERVICES[0]
    told = build_view(ours({"e.example": [{"TXT": "v=spf1 a -all"}]}, trace=True), Clues(service=google))
    assert told.suggested is not None
    assert (told.suggested.record, told.service) == (f"v=spf1 a {google.term} -all", google.name)


@pytest.mark.parametrize(("text", "partial"), [("v=spf1 exists:%{l}.x.example -all", True), ("v=spf1 a -all", False)])
def test_a_link_cannot_tell_of_records_that_look_at_more_than_it_holds(text, partial) -> None:
    assert case(text).partial is partial
    assert not case(text, then=None).partial
    greeted = replace(check(), identity=Identity.HELO, local="postmaster")
    told = build_view(ours({"e.example": [{"TXT": text}]}, greeted, trace=True), then=THEN)
    assert not told.partial, "the name in HELO is in the link, and the local part is always postmaster"


@pytest.mark.parametrize(
    ("helo", "letter", "partial"),
    [("mail.example", "h", False), ("", "h", True), ("mail.example", "l", True), ("mail.example", "s", True)],
)
def test_a_record_that_uses_the_helo_name_is_exact_if_the_link_holds_it(helo: str, letter: str, partial: bool) -> None:
    then = replace(THEN, helo=helo)
    assert case(f"v=spf1 exists:%{{{letter}}}.x.example -all", then).partial is partial


def test_minutes_are_those_of_the_record_and_never_more_than_are_remembered_here() -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 -all"}, {"TTL": 1000}]}, trace=True)
    assert build_view(verdict).wait == 17
    assert build_view(verdict, longest_ttl=300).wait == 5
    assert build_view(ours({"e.example": [{"TXT": "v=spf1 -all"}, {"TTL": 0}]}, trace=True)).wait == 1


def test_untrusted_texts_pass_the_sanitizer() -> None:
    zone = {
        "e.example": [{"TXT": "v=spf1 include:\u202eb.example -all"}],
        "why.example": [{"TXT": "a\r\nb"}],
    }
    told = build_view(ours(zone, check(), trace=True))
    shown = repr((told.record, told.problem_term, told.explanation))
    assert "\u202e" not in shown
    assert "\\u202e" not in shown


# Remedies that no verdict has yet.
LATER = {
    Remedy.ADD_INCLUDE, Remedy.LIST_SERVERS, Remedy.MEND_FLAW, Remedy.USE_PROVIDER, Remedy.TELL_PROVIDER,
    Remedy.FORWARDED, Remedy.FROM_OWN_DOMAIN,
}  # fmt: skip

# -- what to do --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("remedy", Remedy)
def test_every_remedy_has_its_step_in_every_language(remedy: Remedy) -> None:
    """The page shows what ``Advice.remedies`` says, so none of them may be without words."""
    view = replace(
        case("v=spf1 ip4:198.51.100.1 -all"),
        cards=(Card(audience=audience_of(remedy), remedies=(remedy,)),),
        provider=provider_of("gmail.com"),
        flaws=flaw_views(
            [Flaw(kind=FlawKind.NEAR_MISS, term="ip4: 1.2.3.4", domain="e.example", instead="ip4:1.2.3.4")]
        ),
    )
    pages = {language.tag: render("case.html", language, **AROUND, view=view) for language in LANGUAGES}
    for page in pages.values():
        (step,) = re.findall(rf'<div class="remedy {remedy}">(.*?)</div>', page, re.DOTALL)
        assert "<p>" in step or "<li>" in step or "<p class" in step
    assert len(set(pages.values())) == len(LANGUAGES)


def test_a_user_of_the_receivers_own_is_told_to_log_in_and_sees_no_record_to_publish() -> None:
    view = build_view(ours({"e.example": [{"TXT": "v=spf1 -all"}]}, trace=True), own=True, then=THEN)
    assert [card.remedies for card in view.cards] == [(Remedy.LOG_IN,)]
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert "Log in to your own mail server" in page
    assert "Change the SPF record" not in page


def test_each_reader_has_a_card_and_the_first_is_open() -> None:
    """In the order of the advice; who forwards and who runs a form share one."""
    verdict = ours({"e.example": [{"TXT": "v=spf1 a -all"}]}, trace=True)
    view = build_view(verdict, Clues(client_name="smtp30.bulk.example"), then=THEN)
    assert [(card.audience, card.remedies) for card in view.cards] == [
        (Audience.USER, (Remedy.SUBMIT,)),
        (Audience.DOMAIN, (Remedy.ADD_INCLUDE, Remedy.ADD)),
        (Audience.FORWARDER, (Remedy.FORWARDED, Remedy.FROM_OWN_DOMAIN)),
    ]
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert re.findall(r'<details class="card (\w+)"( open)?>', page) == [
        ("user", " open"), ("domain", ""), ("forwarder", "")
    ]  # fmt: skip
    assert page.index("If you send through") < page.index("If the server is your own")


@pytest.mark.parametrize(("name", "folded"), [("smtp30.bulk.example", True), ("", False)])
def test_the_record_for_a_server_of_another_organization_is_folded(name: str, *, folded: bool) -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 a -all"}]}, trace=True)
    page = render("case.html", LANGUAGES[0], **AROUND, view=build_view(verdict, Clues(client_name=name), then=THEN))
    inside = re.search(r'<details class="own-server">.*?</details>', page, re.DOTALL)
    assert (inside is not None and "<ins>" in inside[0]) is folded
    assert page.count("<ins>") == 1


@pytest.mark.parametrize(("text", "shown"), [("v=spf1 -all", False), ("v=spf1 a -all", True)])
def test_a_domain_without_mail_is_offered_no_record_with_a_strangers_address(text: str, *, shown: bool) -> None:
    view = case(text)
    assert (view.suggested is not None) is shown
    assert (view.situation is Situation.NO_MAIL) is not shown
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert ("ip4:192.0.2.1" in page) is shown
    assert ("it never sends mail" in page) is not shown


@pytest.mark.parametrize(
    ("name", "remedies"),
    [("smtp.hotel.example", [Remedy.USE_PROVIDER]), ("mail9.163.com", [Remedy.TELL_PROVIDER])],
)
def test_a_freemail_user_comes_first_and_is_offered_no_record(name: str, remedies: list[Remedy]) -> None:
    verdict = ours({"163.com": [{"TXT": "v=spf1 a -all"}]}, replace(check(), domain="163.com"), trace=True)
    view = build_view(verdict, Clues(client_name=name), then=THEN)
    assert (view.cards[0].audience, list(view.cards[0].remedies)) == (Audience.USER, remedies)
    assert Audience.DOMAIN not in [card.audience for card in view.cards]
    assert view.suggested is None
    for language in LANGUAGES:
        page = render("case.html", language, **AROUND, view=view)
        assert "ip4:192.0.2.1" not in page
        assert "<ins>" not in page
        assert ("smtp.163.com" in page) is (Remedy.USE_PROVIDER in remedies)


def test_the_server_has_its_confirmed_name_beside_its_address() -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 a -all"}]}, trace=True)
    for name, shown in (("smtp.hotel.example", "192.0.2.1 (smtp.hotel.example) that sent it"), ("", "192.0.2.1 that")):
        view = build_view(verdict, Clues(client_name=name), then=THEN)
        assert shown in Page(render("case.html", LANGUAGES[0], **AROUND, view=view)).words


def test_then_and_now_are_shown_where_they_differ() -> None:
    for text, differ in (("v=spf1 a -all", False), ("v=spf1 a ~all", True), ("v=spf1 +all", True)):
        page = render("case.html", LANGUAGES[0], **AROUND, view=case(text))
        assert ('class="then-now"' in page) is differ
        assert ("Checked again just now" in page) is not differ


def test_behind_a_redirect_the_record_that_decided_and_the_one_to_change_are_two() -> None:
    other: dict[str, Any] = {
        "r.example": [{"TXT": "v=spf1 -all exp=why.r.example"}], "why.r.example": [{"TXT": "Ask us."}]
    }  # fmt: skip
    view = case("v=spf1 redirect=r.example", **other)
    assert (view.term_domain, view.record_domain) == ("r.example", "e.example")
    page = Page(render("case.html", LANGUAGES[0], **AROUND, view=view)).words
    assert "Decided by -all in the record of r.example" in page
    assert "r.example says: Ask us." in page
    assert "Change the SPF record of e.example" in page


@pytest.mark.parametrize(("domain", "host"), [("e.example", "@ or e.example"), ("mail.e.example", "mail.e.example")])
def test_the_record_is_described_as_a_panel_of_the_dns_asks_for_it(domain: str, host: str) -> None:
    verdict = ours({domain: [{"TXT": "v=spf1 a -all"}]}, replace(check(), domain=domain), trace=True)
    html = render("case.html", LANGUAGES[0], **AROUND, view=build_view(verdict, then=THEN))
    assert "v=spf1 a <ins>ip4:192.0.2.1</ins> -all" in html.replace("<span>", "").replace("</span>", "")
    page = Page(html).words
    assert f"Type TXT (change the one that begins with v=spf1) Host {host}" in page
    assert "Value v=spf1 a ip4:192.0.2.1 -all" in page


def test_of_a_long_record_the_new_part_comes_first() -> None:
    view = case("v=spf1 " + "ip4:203.0.113.1 " * 20 + "-all")
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert page.index("<ins>ip4:192.0.2.1</ins>") < page.index("The whole record") < page.index("v=spf1 ip4:203")
    assert "longer than 255 characters" in page


def test_a_text_to_send_on_names_the_case_and_links_to_it() -> None:
    view = replace(case("v=spf1 a -all"), then=replace(THEN, case="H1FC-402Z-GPWG"))
    page = Page(render("case.html", LANGUAGES[0], **AROUND, view=view))
    assert (
        "mx.example.net refused mail of e.example on 15 January 2027, 08:00 UTC. "
        "Reason: SPF fail for the server 192.0.2.1. "
        "Details and current result: https://mx.example.net/spf/token Case: H1FC-402Z-GPWG"
    ) in page.words
    (link,) = [link["href"] or "" for link in page.named("a") if "subject=" in (link["href"] or "")]
    text = unquote(link)
    assert text.startswith(
        "mailto:?subject=Mail of e.example was refused&body=mx.example.net refused mail of e.example"
    )
    assert text.endswith("spf/token\r\nCase: H1FC-402Z-GPWG\r\n")


def test_counts_of_one_have_their_own_form() -> None:
    record = case("v=spf1 " + "ip4:203.0.113.1 " * 20 + "-all").record
    assert record is not None
    assert record.hidden == 1
    assert "1 more is not shown" in render(
        "case.html", LANGUAGES[0], **AROUND, view=replace(case("v=spf1 a"), record=record)
    )


def test_a_record_that_looks_at_more_leads_to_the_form() -> None:
    page = Page(render("case.html", LANGUAGES[0], **AROUND, view=case("v=spf1 exists:%{l}.x.example -all")))
    assert AROUND["form_link"] + "#again" in [link["href"] for link in page.named("a")]  # type: ignore[operator]


def test_a_tree_of_many_records_is_cut_and_keeps_the_terms_that_decided() -> None:
    inside = " ".join(f"ip6:2001:db8:1234:5678:9abc:def0:{n}::/112" for n in range(19))
    zone: dict[str, Any] = {f"i{n}.example": [{"TXT": f"v=spf1 {inside} ?all"}] for n in range(9)}
    view = case("v=spf1 " + " ".join(f"include:{name}" for name in zone) + " -all", **zone)
    assert view.record is not None
    assert view.record.terms[-1].decided
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert "more are not shown" in page
    assert len(page.encode()) < 30_000


HEAVY = st.sampled_from([
    "ip4:192.0.2.9", "a:-.-.-.example", '"', "<b>", "&", "-a", "x=" + "é" * 80, "include:b.example",
    "x=" + "-" * 200, "a",
])  # fmt: skip


@given(st.lists(HEAVY, max_size=60), st.sampled_from(LANGUAGES))
def test_no_record_makes_a_page_of_30_kb(terms: list[str], language: PageLanguage) -> None:
    domain = ".".join(["-" * 63, "b" * 63, "c" * 63, "d" * 53, "example"])
    text = " ".join(["v=spf1", *terms, "-all"])
    zone = {domain: [{"TXT": text}], "b.example": [{"TXT": text.replace("b.example", domain) + " ~all"}]}
    verdict = ours(zone, replace(check(), domain=domain), trace=True)
    verdict = replace(verdict, explanation='"' * 1000)
    view = build_view(verdict, Clues(client_name=domain), then=replace(THEN, case="H1FC-402Z-GPWG"))
    around = AROUND | {"own_link": "https://mx.example.net/spf/" + "A" * 395}
    assert len(render("case.html", language, **around, view=view).encode()) < 30_000
