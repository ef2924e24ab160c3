import re
from dataclasses import replace
from typing import Any

import pytest

from spfmilter.model import Identity, ProblemKind, Result
from spfmilter.reply.advice import Remedy
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from spfmilter.web import wording
from spfmilter.web.app import Contact
from spfmilter.web.case import CaseView, OriginalResult, RecordView, Step, build_view
from spfmilter.web.form import EMPTY
from spfmilter.web.languages import LANGUAGES
from spfmilter.web.render import render
from tests.evaluation.world import check, ours

THEN = OriginalResult(result=Result.FAIL, time=1_800_000_000)
AROUND = {
    "hostname": "mx.example.net",
    "contact": Contact.of("postmaster@mx.example.net"),
    "limit": 10,
    "versions": dict.fromkeys(("style.css", "icon.svg"), "1"),
    "wanted": "",
    "switch": lambda _: "",
    "root": "./",
}
MAILFROM = wording.STORIES[Identity.MAILFROM]


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
        ("v=spf1 -all", Result.FAIL, MAILFROM[Result.FAIL]),
        ("v=spf1 ~all", Result.FAIL, MAILFROM[Result.SOFTFAIL]),
        ("v=spf1 ?all", Result.FAIL, MAILFROM[Result.NEUTRAL]),
        ("v=spf1 -ip4:192.0.2.1 +all", Result.FAIL, wording.RULED_OUT),
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
    for table in (*wording.TITLES.values(), *wording.STORIES.values(), wording.RESULTS):
        assert set(table) == set(Result)
    assert set(wording.PROBLEMS) == set(ProblemKind)
    assert set(wording.TITLES) == set(wording.STORIES) == set(wording.WHAT_SPF_IS) == set(Identity)


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
        ([{"RCODE": "SERVFAIL"}], "could not be looked up: SERVFAIL"),
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
    told = build_view(ours({"e.example": [{"TXT": "v=spf1 -all"}]}, trace=True), Clues(service=google))
    assert told.suggested is not None
    assert (told.suggested.record, told.service) == (f"v=spf1 {google.term} -all", google.name)


@pytest.mark.parametrize(("text", "partial"), [("v=spf1 exists:%{l}.x.example -all", True), ("v=spf1 a -all", False)])
def test_a_link_cannot_tell_of_records_that_look_at_more_than_it_holds(text, partial) -> None:
    assert case(text).partial is partial
    assert not case(text, then=None).partial
    greeted = replace(check(), identity=Identity.HELO, local="postmaster")
    told = build_view(ours({"e.example": [{"TXT": text}]}, greeted, trace=True), then=THEN)
    assert not told.partial, "the name in HELO is in the link, and the local part is always postmaster"


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


@pytest.mark.parametrize("remedy", [remedy for remedy in Remedy if remedy not in LATER])
def test_every_remedy_has_its_step_in_every_language(remedy: Remedy) -> None:
    """The page shows what ``Advice.remedies`` says, so none of them may be without words."""
    view = replace(case("v=spf1 ip4:198.51.100.1 -all"), remedies=(remedy,))
    pages = {language.tag: render("case.html", language, **AROUND, view=view) for language in LANGUAGES}
    for page in pages.values():
        (step,) = re.findall(rf'<li class="remedy {remedy}">(.*?)</li>', page, re.DOTALL)
        assert "<p>" in step
    assert len(set(pages.values())) == len(LANGUAGES)


def test_a_user_of_the_receivers_own_is_told_to_log_in_and_sees_no_record_to_publish() -> None:
    view = build_view(ours({"e.example": [{"TXT": "v=spf1 -all"}]}, trace=True), own=True, then=THEN)
    assert view.remedies == (Remedy.LOG_IN,)
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert "Log in to your own mail server" in page
    assert "Change the record" not in page


def test_the_steps_are_the_remedies_in_their_order() -> None:
    view = case("v=spf1 ip4:198.51.100.1 -all")
    assert view.remedies == (Remedy.SUBMIT, Remedy.ADD, Remedy.FORWARDED, Remedy.FROM_OWN_DOMAIN)
    page = render("case.html", LANGUAGES[0], **AROUND, view=view)
    assert re.findall(r'<li class="remedy ([a-z-]+)">', page) == ["submit", "add"]
