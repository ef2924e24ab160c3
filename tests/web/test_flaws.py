"""What the page says of a record's flaws, and the corrected record that it shows."""

import pytest

from spfmilter.evaluation.recordflaws import record_flaws
from spfmilter.language import SOURCE, language
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.web.case import CaseView, build_view
from spfmilter.web.flaws import flaw_views
from spfmilter.web.form import EMPTY
from spfmilter.web.languages import LANGUAGES
from spfmilter.web.render import render
from tests.evaluation.world import check, ours
from tests.web.pages import Page
from tests.web.test_case import AROUND, THEN


def case(text: str) -> CaseView:
    verdict = ours({"e.example": [{"TXT": text}]}, check(), trace=True)
    return build_view(verdict, Clues(flaws=record_flaws(verdict)), then=THEN)


def page(view: CaseView) -> str:
    return render("case.html", LANGUAGES[0], **AROUND, form=EMPTY, view=view)


@pytest.mark.parametrize(
    ("text", "sentence", "record"),
    [
        ("v=spf1 mx -all ip4:192.0.2.1", "has no effect, because it is after", "v=spf1 mx ip4:192.0.2.1 -all"),
        ("v=spf1 ip4=192.0.2.1 -all", "with a colon", "v=spf1 ip4:192.0.2.1 -all"),
        ('"v=spf1 ip4:192.0.2.1 -all"', "it is not recognized as an SPF record", "v=spf1 ip4:192.0.2.1 -all"),
        ("v=spf1 ip4: 192.0.2.1 -all", "is a mistake", "v=spf1 ip4:192.0.2.1 -all"),
    ],
)
def test_the_page_says_what_is_wrong_and_shows_the_record_without_it(text, sentence, record) -> None:
    view = case(text)
    assert view.mended == record
    shown = Page(page(view)).words
    assert sentence in shown
    assert f"Check that each part is yours: {record} " in shown


def test_a_record_without_flaws_has_no_such_block() -> None:
    assert "flaws" not in page(case("v=spf1 -all"))


def test_no_record_is_shown_as_correct_that_keeps_the_mistake() -> None:
    """Only its owner can decide about a qualifier. A DMARC part would be removed all the same."""
    view = case("v=spf1 ?ip4:192.0.2.1 p=none -all")
    assert [flaw.term for flaw in view.flaws] == ["?ip4:192.0.2.1", "p=none"]
    assert view.mended == ""
    assert "Check that each part is yours" not in Page(page(view)).words


@pytest.mark.parametrize("tag", [one.tag for one in LANGUAGES])
@pytest.mark.parametrize("kind", list(FlawKind))
def test_each_flaw_has_a_text_in_each_language(tag, kind) -> None:
    (view,) = flaw_views([Flaw(kind=kind, term="<b>", instead="i", cause="c", domain="e.example")])
    text = language(tag, "web").catalogue.gettext(view.text)
    assert (text == view.text) is (tag == SOURCE)
    text % {"term": "", "instead": "", "cause": "", "domain": "", "dmarc": ""}


def test_a_hostile_record_cannot_write_into_the_page() -> None:
    html = page(case("v=spf1 <script>; ip4=192.0.2.1<b> a -all <i>mx"))
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<i>" not in html


def test_a_record_of_nothing_but_flaws_does_not_fill_the_page() -> None:
    html = page(case("v=spf1 " + "ip4=192.0.2.1 " * 60 + "-all"))
    assert html.count("<li>") < 30
