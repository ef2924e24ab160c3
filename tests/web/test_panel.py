"""Which cases show where the record is changed, and what they say: pure, and as a page."""

import re
from dataclasses import replace
from typing import Any

import pytest

from spfmilter.model import Result
from spfmilter.reply.advice import Remedy, advice
from spfmilter.spf.clues import Clues
from spfmilter.web.case import OriginalResult, build_view
from spfmilter.web.form import EMPTY
from spfmilter.web.languages import LANGUAGES
from spfmilter.web.panel import panel_for
from spfmilter.web.render import render
from spfmilter.zones import Delegation
from tests.evaluation.world import check, ours
from tests.web.pages import Page
from tests.web.test_case import AROUND

CLOUDFLARE = ("kira.ns.cloudflare.com", "lou.ns.cloudflare.com")
HUAWEI = ("ns1.huaweicloud-dns.com", "ns1.huaweicloud-dns.cn")
ROUTE_53 = ("ns-1.awsdns-00.com", "ns-600.awsdns-11.net")
THEN = OriginalResult(result=Result.FAIL, time=1_800_000_000)


def at(zone: str, *nameservers: str) -> Delegation:
    return Delegation(zone=zone, nameservers=nameservers or CLOUDFLARE)


def advised(text: str, domain: str = "e.example", **other: Any) -> Any:
    return advice(ours({domain: [{"TXT": text}], **other}, check(domain)))


def panel(text: str, delegation: Delegation | None, domain: str = "e.example", **other: Any) -> Any:
    return panel_for(advised(text, domain, **other), domain, delegation)


@pytest.mark.parametrize(
    ("domain", "delegation", "name"),
    [
        ("e.example", at("e.example"), "@"),
        ("mail.e.example", at("e.example"), "mail"),
        ("a.b.e.example", at("e.example"), "a.b"),
        ("e.example", at("e.example", *ROUTE_53), ""),
        ("mail.e.example", at("e.example", *ROUTE_53), "mail"),
        ("e.example", at("e.example", *HUAWEI), None),
    ],
)
def test_the_name_is_relative_to_the_zone_as_the_panel_wants_it(domain, delegation, name) -> None:
    assert panel("v=spf1 -all", delegation, domain).name == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("v=spf1 ip4:198.51.100.1 -all", True),
        ("v=spf1 ?all", True),
        ("v=spf1 -ip4:192.0.2.0/24 +all", True),
        ("v=spf1 ipv4:192.0.2.1 -all", True),
        ("hello", True),
        ("v=spf1 +all", False),
    ],
)
def test_it_is_shown_where_the_domain_has_something_to_change(text, shown) -> None:
    assert (panel(text, at("e.example")) is not None) is shown


def test_it_is_not_shown_for_the_record_of_another_domain() -> None:
    other: dict[str, Any] = {"b.example": [{"TXT": "v=spf1 ipv4:192.0.2.1"}]}
    found = advised("v=spf1 include:b.example -all", **other)
    assert found.record_domain == "b.example"
    assert panel_for(found, found.record_domain, at("e.example")) is None


def test_it_is_not_shown_to_people_who_cannot_change_the_record() -> None:
    found = replace(advised("v=spf1 -all", "gmail.com"), remedies=(Remedy.USE_PROVIDER, Remedy.SUBMIT))
    assert panel_for(found, "gmail.com", at("gmail.com")) is None


@pytest.mark.parametrize(
    "delegation",
    [None, at("e.example", "ns1.example.net"), at("e.example", "ns1.example.net", *CLOUDFLARE)],
)
def test_it_is_not_shown_if_the_host_is_unknown(delegation) -> None:
    assert panel("v=spf1 -all", delegation) is None


# -- the page ----------------------------------------------------------------------------------------------------------


def page(delegation: Delegation | None, *, language: int = 0, text: str = "v=spf1 ip4:198.51.100.1 -all") -> str:
    verdict = ours({"e.example": [{"TXT": text}]}, trace=True)
    view = build_view(verdict, Clues(), then=THEN, delegation=delegation)
    return render("case.html", LANGUAGES[language], **AROUND, form=EMPTY, view=view)


def block(html: str) -> Page:
    """The part of a page about the DNS host; without text if there is none."""
    found = re.search(r'<div class="dnshost">(.*)', html, re.DOTALL)
    return Page(found[1].partition("</section>")[0] if found else "")


@pytest.mark.parametrize(
    ("nameservers", "said"),
    [
        (
            CLOUDFLARE,
            (
                "The DNS of e.example is at Cloudflare. Sign in there, or ask the person who has the account. "
                "Open: DNS › Records › Add record Type TXT Name @ Content the text that begins with v=spf1 "
                "More at developers.cloudflare.com"
            ),
        ),
        (ROUTE_53, "Record name leave it empty Value"),
        (HUAWEI, "Type TXT 值 the text that begins with v=spf1, in double quotes"),
        (("docks10.rzone.de", "shades01.rzone.de"), "The DNS of e.example is at STRATO."),
    ],
)
def test_the_words_are_those_of_the_panel(nameservers, said) -> None:
    assert said in block(page(at("e.example", *nameservers))).words


@pytest.mark.parametrize(
    ("language", "said"),
    [(1, "e.example 的 DNS 由 Cloudflare 托管。"), (2, "e.example 的 DNS 由 Cloudflare 代管。")],
)
def test_it_is_said_in_the_languages_of_the_page(language, said) -> None:
    assert said in block(page(at("e.example"), language=language)).words


def test_a_host_without_documentation_has_no_link_and_one_without_a_menu_no_path() -> None:
    found = block(page(at("e.example", "docks10.rzone.de")))
    assert found.named("a") == []
    assert "Open:" not in found.words
    assert "Type" not in found.words


def test_the_link_tells_the_other_site_nothing() -> None:
    [link] = block(page(at("e.example"))).named("a")
    assert link["href"] == "https://developers.cloudflare.com/dns/manage-dns-records/how-to/create-dns-records/"
    assert link["rel"] == "noopener noreferrer"


@pytest.mark.parametrize(
    ("delegation", "text"),
    [(None, "v=spf1 -all"), (at("e.example", "<script>.example"), "v=spf1 -all"), (at("e.example"), "v=spf1 +all")],
)
def test_without_a_known_host_or_something_to_change_there_is_no_block(delegation, text) -> None:
    html = page(delegation, text=text)
    assert block(html).words == ""
    assert "<script>" not in html
