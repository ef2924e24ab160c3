from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Result
from spfmilter.web.fixes import suggest_record
from tests.evaluation.world import check, ours

OURS = "ip4:192.0.2.1"  # what allows the client of tests.evaluation.world
INCLUDED = {"b.example": [{"TXT": "v=spf1 ip4:198.51.100.0/24 -all"}], "none.example": [{"A": "192.0.2.9"}]}


def fixed(text: str | None, added: str = OURS, **other: Any) -> str | None:
    """The record to publish for a client that the record `text` does not allow."""
    zone = {"e.example": [{"TXT": text}] if text is not None else [], **INCLUDED, **other}
    found = suggest_record(ours(zone, trace=True), added)
    return found.record if found is not None else None


@pytest.mark.parametrize(
    ("published", "better"),
    [
        ("v=spf1 -all", f"v=spf1 {OURS} -all"),
        ("v=spf1 ip4:203.0.113.1 ~all", f"v=spf1 ip4:203.0.113.1 {OURS} ~all"),
        ("v=spf1 include:b.example ?ALL", f"v=spf1 include:b.example {OURS} ?ALL"),
        ("v=spf1 -ip4:192.0.2.0/24 +all", f"v=spf1 {OURS} -ip4:192.0.2.0/24 +all"),
        ("v=spf1 exp=why.example -all", f"v=spf1 exp=why.example {OURS} -all"),
        ("v=spf1 x=-all -all", f"v=spf1 x=-all {OURS} -all"),
        ("v=spf1  a   -all ", f"v=spf1  a   {OURS} -all "),
        ("v=spf1 -all -all", f"v=spf1 {OURS} -all -all"),
        ("v=spf1", f"v=spf1 {OURS}"),
        ("v=spf1 ip4:203.0.113.1", f"v=spf1 ip4:203.0.113.1 {OURS}"),
        (None, f"v=spf1 {OURS} -all"),
    ],
)
def test_the_term_stands_before_the_one_that_decided(published, better) -> None:
    assert fixed(published) == better
    assert ours({"e.example": [{"TXT": better}], **INCLUDED}).result is Result.PASS


@pytest.mark.parametrize("there", ["v=spf1 redirect=b.example", "v=spf1 -ip4:192.0.2.0/24 +all", "v=spf1 -all"])
def test_the_record_to_fix_is_the_domains_own_and_not_the_target_of_its_redirect(there: str) -> None:
    """The other may be a provider's, and stand for many domains."""
    zone = {"e.example": [{"TXT": "v=spf1 a Redirect=r.example"}], "r.example": [{"TXT": there}]}
    found = suggest_record(ours({**zone, **INCLUDED}, trace=True), OURS)
    assert found is not None
    assert (found.domain, found.record) == ("e.example", f"v=spf1 a {OURS} Redirect=r.example")


def test_a_redirect_inside_an_include_is_not_followed() -> None:
    """It was the including record that went on."""
    zone: dict[str, Any] = {"r.example": [{"TXT": "v=spf1 redirect=b.example"}]}
    assert fixed("v=spf1 include:r.example -all", **zone) == f"v=spf1 include:r.example {OURS} -all"


@pytest.mark.parametrize(
    "published",
    [
        "v=spf1 +all",
        "v=spf1 nonsense:1 -all",
        "v=spf1 include:none.example -all",
        "v=spf1 " + "ip4:203.0.113.1 " * 300 + "-all",
        "v=spf1 x=b\u00fccher -all",
    ],
    ids=["passes", "in error", "include in error", "too long to copy", "not ASCII"],
)
def test_there_is_no_record_to_offer(published) -> None:
    assert fixed(published) is None


TERMS = st.sampled_from([
    "ip4:203.0.113.0/24", "ip6:2001:db8::/32", "a", "mx", "include:b.example", "-ip4:192.0.2.0/24", "?exists:b.example",
    "~include:b.example", "x=y", "-all", "~all", "?all", "",
])  # fmt: skip


@given(st.lists(TERMS, max_size=8), st.booleans())
def test_the_suggested_record_passes_for_any_present_record(terms, redirected) -> None:
    text = " ".join(["v=spf1", *terms])
    name = "r.example" if redirected else "e.example"
    zone = {name: [{"TXT": text}, {"A": "203.0.113.9"}], **INCLUDED}
    if redirected:
        zone["e.example"] = [{"TXT": "v=spf1 redirect=r.example"}]
    found = suggest_record(ours(zone, trace=True), OURS)
    if found is None:
        assert ours(zone).result in {Result.PASS, Result.PERMERROR}
        return
    assert found.domain == "e.example"
    assert ours({**zone, "e.example": [{"TXT": found.record}, {"A": "203.0.113.9"}]}).result is Result.PASS


def test_an_ipv6_client_gets_its_own_term() -> None:
    verdict = ours({"e.example": [{"TXT": "v=spf1 a/24 -all"}]}, check(client="2001:db8::1"), trace=True)
    found = suggest_record(verdict, "ip6:2001:db8::1")
    assert found is not None
    assert found.record == "v=spf1 a/24 ip6:2001:db8::1 -all"
