"""Which flaws of a record explain the verdict that was made from it. The DNS is one in memory."""

from dataclasses import replace

import pytest

from spfmilter.evaluation.recordflaws import mended_record, record_flaws
from spfmilter.spf.services import SERVICES
from tests.evaluation.world import check, ours

GOOGLE = next(service for service in SERVICES if service.include == "_spf.google.com")
OTHERS = {
    "a.example": [{"TXT": "v=spf1 ip4:198.51.100.7 -all"}, {"A": "198.51.100.7"}],
    "bad.example": [{"TXT": "v=spf1 ip4: 198.51.100.7 -all"}],
    "behind.example": [{"TXT": "v=spf1 -all ip4:198.51.100.7"}],
    "_spf.google.com": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}],
    **{f"{letter}.many.example": [{"TXT": "v=spf1 ?all"}] for letter in "bcdefghijk"},
}
MANY = " ".join(f"include:{letter}.many.example" for letter in "bcdefghijk")


@pytest.mark.parametrize(
    ("text", "result", "kinds"),
    [
        ("v=spf1 -all ip4:192.0.2.1", "fail", "behind-all"),
        ("v=spf1 ip4=192.0.2.1 ~all", "softfail", "unknown-modifier"),
        ("v=spf1 ?ip4:192.0.2.0/24 -all", "neutral", "qualifier"),
        ("v=spf1 -ip4:192.0.2.0/30 ip4:192.0.2.1 -all", "fail", "qualifier"),
        ("v=spf1 ?include:_spf.google.com -all", "neutral", ""),
        ("v=spf1 redirect=a.example ?all", "neutral", "redirect-beside-all"),
        ("v=spf1 include:a.example -all", "fail", ""),
        ("v=spf1 ip4:192.0.2.1 -all a", "pass", ""),
        # none: it nearly is a record
        ('"v=spf1 ip4:192.0.2.1 -all"', "none", "version near-miss"),
        ("v=spf1;ip4:192.0.2.1 -all", "none", "version"),
        ("spf1 mx -all", "none", "version"),
        ("unrelated", "none", ""),
        # permerror: only what the error is about
        ("v=spf1 a:a.example; -all", "permerror", "near-miss"),
        ("v=spf1 ip4: 192.0.2.1 -all a", "permerror", "near-miss"),
        ("v=spf1 nonsense -all a", "permerror", ""),
        ("v=spf1 mx “-all”", "permerror", "characters"),
        ("v=spf1 include:a.exampleinclude:a.example -all", "permerror", "joined"),
        ("v=spf1 include:e.example -all", "permerror", "itself"),
        ("v=spf1 include:behind.example include:missing.example -all", "permerror", ""),
        (f"v=spf1 include:a.example {MANY} ip4:192.0.2.1 -all", "permerror", "present"),
        ("v=spf1 a:x.example a:a.example mx:y.example a:z.example -all", "permerror", "void"),
        ("v=spf1 a:x.example a:%{d}.y.example mx:z.example exists:%{i}.a.example -all", "permerror", "void macro-void"),
    ],
)  # fmt: skip
def test_the_flaws_are_those_that_explain_the_result(text: str, result: str, kinds: str) -> None:
    verdict = ours({"e.example": [{"TXT": text}], **OTHERS}, check())
    assert verdict.result == result
    assert " ".join(flaw.kind for flaw in record_flaws(verdict)) == kinds


def test_a_flaw_of_an_included_record_is_that_records() -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 include:bad.example -all"}], **OTHERS}, check())
    (flaw,) = record_flaws(verdict)
    assert (flaw.domain, flaw.term, flaw.instead) == ("bad.example", "ip4: 198.51.100.7", "ip4:198.51.100.7")
    assert not mended_record(verdict, record_flaws(verdict))


def test_a_service_that_the_record_has_without_effect_is_present() -> None:
    zone = {"e.example": [{"TXT": "v=spf1 mx:a.example -all include:_spf.google.com"}], **OTHERS}
    verdict = ours(zone, check())
    assert [flaw.present for flaw in record_flaws(verdict)] == [False]
    assert [flaw.present for flaw in record_flaws(verdict, GOOGLE)] == [True]
    assert mended_record(verdict, record_flaws(verdict)) == "v=spf1 mx:a.example include:_spf.google.com -all"


def test_the_strings_of_one_record_are_joined_without_a_blank() -> None:
    zone = {"e.example": [{"TXT": "v=spf1 ip4:192.0.2.1" + "include:a.example -all"}], **OTHERS}
    (flaw,) = record_flaws(ours(zone, check()))
    assert (flaw.kind, flaw.instead, flaw.present) == ("joined", "ip4:192.0.2.1 include:a.example", True)


def test_a_record_of_the_administrator_has_no_flaws_for_senders() -> None:
    pinned = replace(check(), record="v=spf1 -all ip4:192.0.2.1")
    assert not record_flaws(ours(OTHERS, pinned))
