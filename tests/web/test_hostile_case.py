"""Hostile records, names and links: every notice and page is bounded, and no advice on them is wrong.

A verdict is made of generated records, with whatever clues, as the daemon and the page would find them.
"""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spfmilter.evaluation.recordflaws import record_flaws
from spfmilter.model import Check, Disposition, Identity, Result, Verdict
from spfmilter.reply import Extras, notice
from spfmilter.reply.advice import Advice, Audience, Remedy, Situation, advice, audience_of
from spfmilter.reply.notice import MAX_LINE
from spfmilter.spf import record
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from spfmilter.web.case import CaseView, OriginalResult, build_view
from spfmilter.web.form import EMPTY
from spfmilter.web.languages import LANGUAGES
from spfmilter.web.render import render
from spfmilter.zones import Delegation
from tests.evaluation.world import check, ours
from tests.values import facts
from tests.values import settings as parsed
from tests.web.test_case import AROUND

LONG = ".".join(["-" * 63, "b" * 63, "c" * 63, "d" * 53, "example"])
CASE, LINK = "H1FC-402Z-GPWG", "https://mx.example.net/spf/" + "A" * 333
DOMAINS = st.sampled_from(["e.example", "163.com", "gmail.com", "xn--fiqs8s.example", "co.uk", LONG])
NAMES = st.sampled_from([
    "", "smtp.hotel.example", LONG, "mail.e.example", "mail9.163.com", "smtp.gmail.com", "192-0-2-1.dyn.isp.example",
    ".".join(["a"] * 126), "xn--" + "a" * 59 + ".example",
])  # fmt: skip
TERMS = st.sampled_from([
    "a", "mx", "ptr", "A/0", "ip4:192.0.2.1", "-ip4:192.0.2.1", "?ip4:192.0.2.0/24", "-ip4:0.0.0.0/0", "ip4:192.0.2.9",
    "ip4: 192.0.2.1", "ip4=192.0.2.1", "ip6:2001:db8::1", "-ip6:2001:db8::/32", "include=b.example",
    "include:b.example", "include:e.example", "include:n.example", f"include:{LONG}", "include:%{d}.spf.example",
    "redirect=b.example", "redirect=e.example", "redirect:b.example", f"redirect={LONG}", "exp=why.example",
    "exists:%{i}.x.example", "exists:%{l}.x.example", "-exists:%{d}", "a:%{h}", "-all", "~all", "?all", "+all", "-all;",
    "\u201cip4:192.0.2.1\u201d", "\u00a0ip4:192.0.2.1", "v=spf1", "v=DMARC1;", "p=none", "<b>\"&'", "\x1b[31m",
    "\u202eip4", "%{", "include:", "ip4:", "a:-.-.-.example", "x=" + "-" * 300, "x=" + "\u00e9" * 200,
    "ip4:" + "9" * 400, "a" * 300 + ":x", "z" * 64_000,
])  # fmt: skip
BEGINNINGS = st.sampled_from(
    ["v=spf1 "] * 12 + [" v=spf1 ", "v=spf1", '"v=spf1 ', "v=spf1\u00a0", "\ufeffv=spf1 ", "x "]
)
ENDS = st.sampled_from(["", " -all", " -all", " ~all", " ?all"])
RECORDS = st.builds(
    lambda begin, terms, end: (begin + " ".join(terms) + end).encode(), BEGINNINGS, st.lists(TERMS, max_size=8), ENDS
)
EXPLANATIONS = st.sampled_from(["why %{i}", '"\r\n\x1b' * 500, "\u202e%{l}", "x" * 5000])
NAMESERVERS = st.sampled_from(["kira.ns.cloudflare.com", "dns1.hichina.com", "<b>.example", LONG])


@st.composite
def zones(draw: Any) -> tuple[dict[str, list[Any]], Check]:
    """Records, and a check of one of them."""
    domain = draw(DOMAINS)
    zone = {
        name: [{"TXT": draw(RECORDS)}]
        for name in dict.fromkeys((domain, "b.example", "e.example", LONG))
        if name != domain or draw(st.integers(0, 9))
    }
    zone["why.example"] = [{"TXT": draw(EXPLANATIONS)}]
    of_host = draw(st.booleans()) and draw(st.booleans())
    return zone, replace(
        check(domain, client=draw(st.sampled_from(["192.0.2.1", "192.0.2.1", "2001:db8::1"])), helo=draw(NAMES)),
        identity=Identity.HELO if of_host else Identity.MAILFROM,
        local=draw(st.sampled_from(["user", "x" * 64, "\udce9", "<b>"])),
    )


@st.composite
def clues(draw: Any, verdict: Verdict) -> Clues:
    """What may be known about a client."""
    fixable = verdict.result in {Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE}
    # Such a service's record passes the client, so no record that includes it can be the one that refused.
    published = repr(verdict.asked)
    services = [one for one in SERVICES if one.include not in published]
    service = draw(st.none() | st.sampled_from(services)) if fixable else None
    listed = tuple(draw(st.lists(st.sampled_from(SERVICES), max_size=12, unique=True))) if fixable else ()
    return Clues(service=service, listed=listed, client_name=draw(NAMES), flaws=record_flaws(verdict, service))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_record_and_no_name_breaks_the_notice_or_the_page_or_brings_wrong_advice(data: st.DataObject) -> None:
    zone, checked = data.draw(zones())
    verdict = ours(zone, checked, trace=True)
    found = data.draw(clues(verdict))
    advised = advice(verdict, found, verdict.condition)
    lines = the_notice(data, verdict, found)
    then = data.draw(st.none() | st.builds(OriginalResult, result=st.sampled_from(Result), time=st.just(1_800_000_000)))
    zone_of = Delegation(zone=checked.domain, nameservers=tuple(data.draw(st.lists(NAMESERVERS, max_size=3))))
    view = build_view(verdict, found, then=then, delegation=data.draw(st.sampled_from([None, zone_of])))
    around = AROUND | {"own_link": "https://mx.example.net/spf/" + "A" * 395}
    page = render("case.html", data.draw(st.sampled_from(LANGUAGES)), **around, view=view, form=EMPTY)
    assert len(page.encode()) < 30_000
    assert not {"\u202e", "\x1b"} & set(page)
    assert "<b>" not in page
    is_wise(advised, verdict, lines, page)
    passes_as_suggested(view, zone, checked, advised)


def the_notice(data: st.DataObject, verdict: Verdict, found: Clues) -> tuple[str, ...]:
    """Return a notice whose lines an SMTP reply can hold."""
    tag = data.draw(st.sampled_from(["en", "zh-Hans", "zh-Hant", "auto"]))
    about = replace(facts(helo=data.draw(NAMES) or "\udcff<" * 99), smtputf8=data.draw(st.booleans()))
    lines = notice(
        verdict,
        about,
        parsed(f"[reply]\nlanguages = {tag}\n"),
        Extras(clues=found, link=LINK, case=CASE, languages=("zh-Hans",) if tag == "auto" else ()),
        disposition=data.draw(st.sampled_from(Disposition)),
        condition=verdict.condition,
    )
    for line in lines:
        assert line.strip()
        assert len(line.encode()) <= MAX_LINE
        assert line.isprintable()
        assert line.isascii() or about.smtputf8
    assert sum(CASE in line for line in lines) == 1
    return lines


def is_wise(advised: Advice, verdict: Verdict, lines: tuple[str, ...], page: str) -> None:
    """Assert that no reader is told to change what is not theirs, or is right."""
    changes = {Remedy.ADD, Remedy.ADD_BEFORE, Remedy.PUBLISH} & set(advised.remedies)
    if advised.provider is not None:
        assert "<ins>" not in page
        assert advised.names_host or Audience.DOMAIN not in map(audience_of, advised.remedies)
    if advised.situation is Situation.NO_MAIL:
        assert not changes
        assert not any(advised.add in line for line in lines)
        assert "<ins>" not in page
    if changes and verdict.trace is not None and record.is_valid(verdict.trace.text or ""):
        address = ip_address(verdict.check.address)
        for one in record.parse(verdict.trace.text or "").directives:
            there = (
                one.lists(int(address), address.max_prefixlen) if advised.service is None else one.text == advised.add
            )
            assert not (there and one.result is Result.PASS), "it is there already"


def passes_as_suggested(view: CaseView, zone: dict[str, list[Any]], checked: Check, advised: Advice) -> None:
    """Assert that the client passes with the record that the page suggests."""
    if view.suggested is not None and view.changes_record and advised.service is None:
        changed = zone | {view.suggested.domain: [{"TXT": view.suggested.record}]}
        assert ours(changed, checked).result is Result.PASS
