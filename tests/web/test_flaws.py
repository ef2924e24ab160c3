from dataclasses import replace

import pytest

from spfmilter.model import Result
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.web.case import OriginalResult, build_view
from spfmilter.web.flaws import flaw_views
from spfmilter.web.languages import LANGUAGES
from spfmilter.web.render import render
from tests.evaluation.world import ours
from tests.web.pages import Page
from tests.web.test_case import AROUND

FLAW = Flaw(kind=FlawKind.NEAR_MISS, term="ip4: 192.0.2.1", domain="e.example", instead="ip4:192.0.2.1")


@pytest.mark.parametrize("kind", FlawKind)
def test_every_flaw_has_its_words(kind: FlawKind) -> None:
    [view] = flaw_views([replace(FLAW, kind=kind)])
    assert "%(term)s" in view.text


def test_untrusted_texts_pass_the_sanitizer_and_are_bounded() -> None:
    views = flaw_views([replace(FLAW, term="a\u202eb\r\n" + "x" * 1000, instead="\x1b")] * 9)
    assert len(views) == 5
    assert all(view.term.isprintable() and len(view.term) <= 200 and view.instead == "?" for view in views)


def test_the_administrator_of_the_domain_reads_what_to_write() -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 a -all"}]}, trace=True)
    view = build_view(verdict, Clues(flaws=(FLAW,)), then=OriginalResult(result=Result.FAIL, time=0))
    page = Page(render("case.html", LANGUAGES[0], **AROUND, view=view)).words
    assert "ip4: 192.0.2.1 is not written as SPF needs it. Write ip4:192.0.2.1." in page
