"""Requests in, pages out: what every page must have, and what none may, for any request."""

import re
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from spfmilter.helplink.token import Case, Signer
from spfmilter.model import Check, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.web.checker import BusyError, Checked
from spfmilter.web.security import HEADERS
from tests.evaluation.world import Zone
from tests.web.pages import InMemory, Page, client
from tests.web.site import CLIENT, ZONE, token

BY_HAND = {"ip": CLIENT, "mail_from": "alice@example.com", "helo": ""}
DAY = 86_400


def words(response) -> str:
    return Page(response.text).words


@pytest.fixture(scope="module")
def browser() -> Iterator[TestClient]:
    with client("rate = 90000/second") as found:
        yield found


# -- the case ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (
            "example.com",
            ["203.0.113.7 that sent it is not allowed to send mail for example.com", "this one decided: not allowed"],
        ),
        ("soft.example", ["is probably not allowed to send mail", "v=spf1 a mx ip4:203.0.113.7 ~all"]),
        ("neutral.example", ["does not say whether", "v=spf1 ip4:192.0.2.1 ip4:203.0.113.7"]),
        ("none.example", ["does not publish which servers send its mail", "v=spf1 ip4:203.0.113.7 -all"]),
        ("perm.example", ["has a mistake", "ipv4:203.0.113.7", "a word that SPF does not know"]),
        (
            "temp.example",
            ["is not allowed to send mail for temp.example", "could not be looked up: the DNS server failed"],
        ),
        ("pass.example", ["It passes now. Please send your message again.", "this one decided: allowed"]),
        ("named.example", ["must not send its mail", "v=spf1 ip4:203.0.113.7 -ip4:203.0.113.0/24 +all"]),
        ("moved.example", ["Change the SPF record of moved.example", "Decided by -all in the record of example.com"]),
        ("long.example", ["more are not shown", "Ask its DNS administrator to add this part"]),
        ("huge.example", ["The record is far too long."]),
        ("plain.example", ["plain.example says in its SPF record that it never sends mail"]),
        (
            "many.example",
            ["needs more than 10 DNS lookups", "include:one.many.example 7 include:two.many.example 3 or more"],
        ),
    ],
)
def test_each_result_has_its_page(browser, domain, said) -> None:
    response = browser.get(f"/spf/{token(domain)}")
    assert response.status_code == 200
    for text in said:
        assert text in words(response)


@pytest.mark.parametrize("refreshed", [True, False])
def test_a_corrected_record_counts_at_once_if_the_daemon_has_said_so(refreshed: bool) -> None:
    with client("rate = 9/second", checker=InMemory(ZONE, refreshed=refreshed)) as browser:
        text = words(browser.get(f"/spf/{token('pass.example')}"))
    assert "Send the message again in the same way" in text
    assert ("wait up to 60 minutes: the mail server may still remember" in text) is not refreshed


def test_only_signed_cases_that_were_not_passed_are_told_to_the_daemon() -> None:
    checker = InMemory(ZONE)
    with client("rate = 90/second", checker=checker) as browser:
        case = token("pass.example")
        browser.get(f"/spf/{case}")
        browser.get(f"/spf/{token('pass.example', result=Result.PASS)}")
        browser.get(f"/spf/{FOREIGN}")
        browser.get("/spf/", params=BY_HAND)
    assert checker.refused == [case, "", ""]


def test_the_page_tells_the_whole_case(browser) -> None:
    text = words(browser.get(f"/spf/{token(time=1_795_000_000)}?lang=en", headers={"Accept-Language": "zh"}))
    for part in (
        "Your message of 18 November 2026, 11:06 UTC",
        "Checked again just now: still not accepted SPF fail, matched -all",
        "v=spf1 ip4:192.0.2.0/24 mx include:_spf.provider.example ip4:203.0.113.7 -all exp=why.example.com",
        "Change it in the DNS settings of example.com.",
        "mx.example.net cannot change it.",
        "ip4:198.51.100.0/24 does not match",
        "example.com says: Mail of example.com comes from our own servers only.",
        "Case H1FC-402Z-GPWG",
        "2 (limit 10)",
        "Questions about mx.example.net: postmaster@mx.example.net. Quote case H1FC-402Z-GPWG.",
    ):
        assert part in text


def test_a_helo_is_told_as_one(browser) -> None:
    text = words(browser.get(f"/spf/{token('mail.example.com', identity=Identity.HELO)}"))
    assert "203.0.113.7 that sent it calls itself mail.example.com" in text
    assert text.index("Set the server's own host name") < text.index("Change the SPF record of mail.example.com")
    assert "v=spf1 a ip4:203.0.113.7 -all" in text


@pytest.mark.parametrize(
    ("helo", "said", "exact"),
    [
        ("mail.example.com", "this one decided: allowed", True),
        ("other.example.com", "this one decided: not allowed", True),
        ("", "this one decided: not allowed", False),  # a link of an older version
    ],
)
def test_the_helo_name_of_the_link_is_what_a_record_is_evaluated_for(helo: str, said: str, exact: bool) -> None:
    zone: Zone = {
        "h.example": [{"TXT": "v=spf1 exists:%{h}.ok.example -all"}],
        "mail.example.com.ok.example": [{"A": "127.0.0.2"}],
    }
    checker = InMemory(zone)
    link = token("h.example", helo=helo, client_name="smtp30.bulk.example")
    text = words(client("", checker=checker).get(f"/spf/{link}"))
    assert said in text
    assert ("For an exact answer, check again" not in text) is exact
    assert checker.names == ["smtp30.bulk.example"]


def test_an_ipv6_client_is_told_of_its_own_term(browser) -> None:
    page = words(browser.get(f"/spf/{token('shop.example', address=ip_address('2001:db8::7'))}"))
    assert "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::7 -all" in page


@pytest.mark.parametrize(
    ("lang", "said"),
    [("zh-Hans", "您的邮件被拒收"), ("zh-Hant", "您的郵件被拒收"), ("en", "is not allowed to send mail")],
)
def test_the_switch_chooses_the_language(browser, lang, said) -> None:
    response = browser.get(f"/spf/{token()}?lang={lang}", headers={"Accept-Language": "de"})
    page = Page(response.text)
    assert said in page.words
    assert response.headers["Content-Language"] == lang
    assert page.named("html") == [{"lang": lang}]
    current = [link for link in page.named("a") if "aria-current" in link]
    assert [link["lang"] for link in current] == [lang]


def test_the_browsers_language_is_used_where_the_switch_is_not(browser) -> None:
    response = browser.get(f"/spf/{token()}", headers={"Accept-Language": "zh-TW,zh;q=0.9"})
    assert (response.headers["Content-Language"], response.headers["Vary"]) == (
        "zh-Hant",
        "Accept-Language, Accept-Encoding",
    )
    unknown = browser.get(f"/spf/{token()}?lang=tlh", headers={"Accept-Language": "zh-TW"})
    assert (unknown.status_code, unknown.headers["Content-Language"]) == (200, "zh-Hant")


def test_the_switch_keeps_what_was_asked(browser) -> None:
    page = Page(browser.get("/spf/", params={**BY_HAND, "lang": "en", "other": "x"}).text)
    (other,) = [link["href"] for link in page.named("a") if link.get("hreflang") == "zh-Hans"]
    assert other == "?ip=203.0.113.7&mail_from=alice%40example.com&helo=&lang=zh-Hans"
    assert {"type": "hidden", "name": "lang", "value": "en"} in page.named("input")


# -- by hand -----------------------------------------------------------------------------------------------------------


def test_the_form_is_there_and_nothing_is_looked_up_for_it() -> None:
    checker = InMemory(ZONE)
    with client(checker=checker) as browser:
        response = browser.get("/spf/")
    assert response.status_code == 200
    page = Page(response.text)
    fields = {field["id"] for field in page.named("input")}
    assert fields == {"ip", "mail_from", "helo"}
    assert {label["for"] for label in page.named("label")} == fields
    assert checker.checks == []


def test_a_check_by_hand_gives_the_same_page_with_the_form_below(browser) -> None:
    response = browser.get("/spf/", params=BY_HAND)
    assert response.status_code == 200
    assert "203.0.113.7 may not send mail for example.com" in words(response)
    assert "When sent" not in words(response)
    assert {field["value"] for field in Page(response.text).named("input")} == set(BY_HAND.values())


def test_an_error_in_the_form_is_shown_at_its_field() -> None:
    checker = InMemory(ZONE)
    with client(checker=checker) as browser:
        response = browser.get("/spf/", params={"ip": "nonsense", "mail_from": "alice@example.com"})
    assert response.status_code == 400
    (field,) = [field for field in Page(response.text).named("input") if "aria-invalid" in field]
    assert field["id"] == "ip"
    assert field["aria-describedby"] == "ip-hint ip-complaint"
    page = Page(response.text)
    assert "Error: Check a sending server" in page.words
    assert [link["href"] for link in page.named("a") if (link["href"] or "").startswith("#")] == ["#main", "#ip"]
    assert checker.checks == []


# -- pages without a case ----------------------------------------------------------------------------------------------


def test_the_form_reads_an_address_as_the_daemon_does() -> None:
    """By [policy] nat64_prefixes, which has a default."""
    checker = InMemory(ZONE)
    with client(checker=checker) as browser:
        page = words(browser.get("/spf/", params={**BY_HAND, "ip": f"64:ff9b::{CLIENT}"}))
    assert [str(check.address) for check in checker.checks] == [CLIENT]
    assert f"{CLIENT} may not send mail for example.com" in page


@pytest.mark.parametrize(("domain", "own"), [("example.net", True), ("example.org", False)])
def test_a_user_of_the_domain_of_this_mail_server_is_told_to_log_in(domain: str, *, own: bool) -> None:
    with client(zone={domain: [{"TXT": "v=spf1 a -all"}]}) as browser:
        page = words(browser.get(f"/spf/{token(domain)}"))
    assert ("Log in to your own mail server" in page) is own
    assert ("Change the SPF record" in page) is not own


FOREIGN = Signer([b"the secret of somebody else"]).sign(
    Case(
        address=ip_address(CLIENT),
        identity=Identity.MAILFROM,
        domain="example.com",
        result=Result.FAIL,
        time=int(time.time()),
    )
)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        (f"/spf/{token()[:-5]}", 404, "This link is not complete"),
        ("/spf/short", 404, "This link is not complete"),
        ("/spf/%3Cscript%3Ealert(1)%3C/script%3E", 404, "There is no such page"),
        ("/spf/<script>alert(1)", 404, "This link is not complete"),
        ("/spf/" + "A" * 5000, 404, "This link is not complete"),
        (f"/spf/{FOREIGN}", 404, "This link is not valid"),
        (f"/spf/{token(time=int(time.time()) - 31 * DAY)}", 410, "This link has expired"),
        ("/nowhere", 404, "There is no such page"),
        ("/spf/style.css/more", 404, "There is no such page"),
        ("/spf/../spf/..%2f..%2fetc/passwd", 404, "There is no such page"),
    ],
    ids=["cut", "short", "quoted", "markup", "long", "foreign", "expired", "nowhere", "below a file", "upwards"],
)
def test_an_error_page_has_its_status_and_text_and_makes_no_lookup(path, status, said) -> None:
    checker = InMemory(ZONE)
    with client(checker=checker) as browser:
        response = browser.get(path)
    assert response.status_code == status
    assert said in words(response)
    assert checker.checks == []


def test_nothing_can_be_sent_here(browser) -> None:
    for path in ("/spf/", f"/spf/{token()}"):
        response = browser.post(path, data={"ip": CLIENT})
        assert response.status_code == 405
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}
        assert "This page does not accept data" in words(response)


def test_how_long_links_are_good_is_the_administrators_choice() -> None:
    two_days = token(time=int(time.time()) - 2 * DAY)
    for lifetime, status in (("36h", 410), ("60h", 200)):
        with client(f"token_lifetime = {lifetime}") as browser:
            assert browser.get(f"/spf/{two_days}").status_code == status


@pytest.mark.parametrize("path", ["/spf", "/"])
def test_a_shortened_address_leads_to_the_form(browser, path) -> None:
    response = browser.get(path)
    assert (response.status_code, response.headers["Location"]) == (307, "spf/")


def test_health_answers_without_a_lookup(browser) -> None:
    response = browser.get("/healthz")
    assert (response.status_code, response.text) == (200, "ok\n")


@pytest.mark.parametrize(
    ("identity", "domain", "query"),
    [
        (Identity.MAILFROM, "example.com", "?ip=203.0.113.7&mail_from=example.com"),
        (Identity.HELO, "mail.example.com", "?ip=203.0.113.7&helo=mail.example.com"),
    ],
)
def test_an_expired_link_leads_to_the_same_check_by_hand(browser, identity: Identity, domain: str, query: str) -> None:
    old = token(domain, identity=identity, time=int(time.time()) - 31 * DAY)
    page = Page(browser.get(f"/spf/{old}?lang=zh-Hans").text)
    assert f"./{query}&lang=zh-Hans" in [link["href"] for link in page.named("a")]
    answer = Page(browser.get(f"/spf/{query}").text)
    assert {"203.0.113.7", domain} <= {field.get("value") for field in answer.named("input")}


def test_the_organization_is_named_at_the_top_and_the_host_in_the_text() -> None:
    with client("name = Example <University>") as browser:
        text = words(browser.get(f"/spf/{token()}"))
    assert text.startswith("Your message was refused · Example <University>")
    assert "@Example <University>" in text
    assert "mx.example.net did not accept it" in text


def test_pages_are_compressed_for_those_who_can_read_that(browser) -> None:
    for path in (f"/spf/{token()}", "/spf/", "/spf/style.css"):
        packed = browser.get(path, headers={"Accept-Encoding": "gzip"})
        plain = browser.get(path, headers={"Accept-Encoding": "identity"})
        assert (packed.headers["Content-Encoding"], plain.headers.get("Content-Encoding")) == ("gzip", None)
        assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 2
        assert packed.text == plain.text
        for response in (packed, plain):
            assert "Accept-Encoding" in response.headers["Vary"].split(", ")


# -- floods ------------------------------------------------------------------------------------------------------------


def test_beyond_the_rate_nothing_is_looked_up() -> None:
    checker = InMemory(ZONE)
    with client("rate = 3/hour", checker=checker) as browser:
        answers = [browser.get("/spf/", params=BY_HAND) for _ in range(2)]
        answers += [browser.get(f"/spf/{token()}") for _ in range(3)]
        form = browser.get("/spf/")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert len(checker.checks) == 3
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3601
    assert form.status_code == 200


def test_a_forged_link_costs_no_lookup_and_counts_for_nothing() -> None:
    with client("rate = 1/hour") as browser:
        for _ in range(5):
            assert browser.get(f"/spf/{FOREIGN}").status_code == 404
        assert browser.get(f"/spf/{token()}").status_code == 200


class Broken:
    """A Checker that has no place, or a bug."""

    def __init__(self, *, busy: bool) -> None:
        self.busy = busy

    async def evaluate(
        self,
        check: Check,
        network: str = "",  # noqa: ARG002
        *,
        name: str = "",  # noqa: ARG002
        refused: str = "",  # noqa: ARG002
    ) -> Checked:
        """One of both."""
        if self.busy:
            raise BusyError
        problem = Problem(kind=ProblemKind.INTERNAL, text="internal error")
        fault = "Traceback: /secret/path"
        return Checked(verdict=Verdict(check=check, result=Result.TEMPERROR, problem=problem, fault=fault))


def test_a_busy_server_says_so() -> None:
    with client(checker=Broken(busy=True)) as browser:
        response = browser.get(f"/spf/{token()}")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "in 5 seconds" in words(response)


def test_an_error_of_ours_is_a_page_without_its_traceback() -> None:
    with client(checker=Broken(busy=False)) as browser:
        response = browser.get(f"/spf/{token()}")
    assert response.status_code == 500
    assert "Something went wrong here" in words(response)
    assert "secret" not in response.text
    assert dict(response.headers).items() >= {name.lower(): value for name, value in HEADERS.items()}.items()


# -- what every answer has, and none ----------------------------------------------------------------------------------

EVERYTHING = [
    "/spf/", f"/spf/{token()}", "/spf/?ip=x", f"/spf/?ip={CLIENT}&mail_from=script.example", "/spf/forged", "/nowhere",
    "/healthz", "/spf", "/spf/style.css", "/spf/icon.svg", f"/spf/{token('script.example')}",
]  # fmt: skip
PAGES = [path for path in EVERYTHING if "." not in path.rpartition("/")[2][-4:]]
NUMBERS = [f"page {n}" for n in range(len(EVERYTHING))]  # a test's name holds no token: that of the next second differs


@pytest.mark.parametrize("path", EVERYTHING, ids=NUMBERS)
def test_headers_that_let_a_browser_do_nothing_but_show_it(browser, path) -> None:
    response = browser.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert set(re.findall(r"'(.*?)'", policy)) == {"none", "self"}
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    cached = "public, max-age=31536000, immutable" if path.endswith(("css", "svg")) else "private, no-cache"
    assert response.headers["Cache-Control"] == cached
    assert "Server" not in response.headers
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", PAGES, ids=NUMBERS[: len(PAGES)])
def test_no_script_and_no_address_elsewhere(browser, path) -> None:
    page = Page(browser.get(path).text)
    assert not {name for name, _ in page.elements} & {"script", "style", "iframe", "object", "img", "base"}
    for name, attributes in page.elements:
        for attribute in ("href", "src", "action"):
            target = attributes.get(attribute)
            assert target is None or target.startswith(("?", "#", "./", "spf/", "mailto:")), (name, target)
        assert not [key for key in attributes if key.startswith("on") or key == "style"], name


HOSTILE = st.text(st.sampled_from("<>&\"'`{}%$;/\\ab=:.- \u202e\u2066\x00\x1b\r\n@é"), max_size=80)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_input_of_the_form_makes_an_element(browser, ip, mail_from, helo) -> None:
    usual = {name for name, _ in Page(browser.get("/spf/?ip=").text).elements} | {"article"}
    response = browser.get("/spf/", params={"ip": ip, "mail_from": mail_from, "helo": helo, "lang": ip})
    assert response.status_code == 400
    assert {name for name, _ in Page(response.text).elements} <= usual
    assert not {"\u202e", "\u2066", "\x1b", "\x00"} & set(response.text)


@given(HOSTILE, HOSTILE)
def test_no_published_text_makes_an_element(term, why) -> None:
    zone = {
        "example.com": [{"TXT": f"v=spf1 {term} include:b.example exp=why.example.com -all"}],
        "b.example": [{"TXT": f"v=spf1 x={term} exists:{term}.%{{i}}.example ?all"}],
        "why.example.com": [{"TXT": why}],
    }
    with client(zone=zone) as browser:
        response = browser.get(f"/spf/{token()}")
    assert response.status_code == 200
    assert not {name for name, _ in Page(response.text).elements} & {"script", "img", "b", "style"}
    assert not {"\u202e", "\u2066", "\x1b", "\x00"} & set(response.text)


def test_a_script_in_a_record_is_shown_as_its_text(browser) -> None:
    response = browser.get(f"/spf/{token('script.example')}")
    assert "x=<script>document.title='owned'</script>" in words(response)
    assert "<script" not in response.text


def test_a_long_record_makes_no_long_page(browser) -> None:
    for domain in ("long.example", "huge.example"):
        assert len(browser.get(f"/spf/{token(domain)}").content) < 30_000


@pytest.mark.parametrize(
    ("contact", "href"),
    [
        ("postmaster@example.net", "mailto:postmaster@example.net"),
        ("+44 20 7946 0000", None),
        ('"><script>@x', None),
        ("a%0d@example.net", None),
    ],
)
def test_the_contact_is_a_link_where_it_is_an_address(contact, href) -> None:
    with client(f"contact = {contact}") as browser:
        page = Page(browser.get("/spf/").text)
    assert contact in page.words
    links = [link["href"] for link in page.named("a") if (link["href"] or "").startswith("mailto:")]
    assert links == ([href] if href else [])
