"""The page in a real browser: from the link to "passes now", and what every page must do."""

import json
import re
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import BrowserContext, Locator, Page, expect

from spfmilter.model import Identity, Result
from spfmilter.web import app as application
from spfmilter.web.languages import LANGUAGES, PageLanguage
from tests.web.browser import CHROMIUM, DESKTOP, PHONE, chromium, watched_tab
from tests.web.site import CLIENT, ZONE, Site, serving

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: tools/setup.sh web"),
]
DAY = 86_400
STYLE = Path(application.__file__).parent / "static" / "style.css"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A tab that has contacted only the site when it is closed, and has not complained about the page."""
    with watched_tab(context) as tab:
        yield tab.page
    assert {urlsplit(url).netloc for url in tab.asked} == {urlsplit(site.url).netloc}
    usual = "Failed to load resource: the server responded"  # Chromium says so of every status that is not 200
    assert [text for text in tab.complaints if not text.startswith(usual)] == []


def to_publish(page: Page) -> Locator:
    """The record to publish, in the card of the domain's administrator, opened."""
    card = page.locator("details.card.domain")
    if card.get_attribute("open") is None:
        card.locator("summary").first.click()
    return card.get_by_role("group", name="The record to publish")


# -- the story ---------------------------------------------------------------------------------------------------------


def test_from_the_link_to_passes_now(site: Site, page: Page) -> None:
    """A refused sender follows the link, reads the case in each language, has the record corrected, and is told so."""
    page.goto(site.link("shop.example"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Your message was refused")
    expect(page.locator(".lead")).to_contain_text(
        "203.0.113.7 that sent it is not allowed to send mail for shop.example"
    )
    page.get_by_role("link", name="简体中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("您的邮件被拒收")
    page.get_by_role("link", name="繁體中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("您的郵件被拒收")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hant")
    page.get_by_role("link", name="English").click()

    record = to_publish(page)
    offered = record.inner_text()
    assert offered == "v=spf1 ip4:192.0.2.0/24 ip4:203.0.113.7 -all"
    expect(record.locator("ins")).to_have_text("ip4:203.0.113.7")
    site.dns.load({**ZONE, "shop.example": [{"TXT": offered}]})
    try:
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("It passes now. Please send your message again.")
        expect(page.locator(".then-now")).to_contain_text("not allowed")
        expect(page.locator(".then-now dd").last).to_contain_text("pass")
    finally:
        site.dns.load(ZONE)


def test_a_check_by_hand(site: Site, page: Page) -> None:
    page.goto(site.link())
    page.get_by_role("link", name="Check another server or domain").click()
    page.get_by_label("Address of the sending server").fill("203.0.113.300")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_label("Address of the sending server")).to_have_accessible_description(
        "The IP address in the notice, such as 203.0.113.7 Enter an IP address, such as 203.0.113.7 or 2001:db8::7"
    )
    page.get_by_role("alert").get_by_role("link", name="Enter an IP address").click()
    expect(page.get_by_label("Address of the sending server")).to_be_focused()
    page.get_by_label("Address of the sending server").fill("192.0.2.25")
    page.get_by_label("Your email address, or its domain").fill("alice@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("192.0.2.25 may send mail for example.com")
    page.get_by_role("link", name="繁體中文").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("192.0.2.25 可以代 example.com 寄送郵件")


def test_one_click_marks_the_whole_record(site: Site, page: Page) -> None:
    """There is no script that could copy it."""
    page.goto(site.link())
    to_publish(page).locator("code").click(position={"x": 5, "y": 5})
    chosen = page.evaluate("getSelection().toString()")
    expected = "v=spf1 ip4:192.0.2.0/24 mx include:_spf.provider.example ip4:203.0.113.7 -all exp=why.example.com"
    assert chosen.strip() == expected


def test_the_keyboard_gets_past_the_masthead(site: Site, page: Page) -> None:
    page.goto(site.link())
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the text")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_a_script_in_the_dns_stays_text(site: Site, page: Page) -> None:
    page.goto(site.link("script.example"))
    expect(page.get_by_role("main")).to_contain_text("<script>document.title='owned'</script>")
    assert "owned" not in page.title()


# -- every page, for every visitor -------------------------------------------------------------------------------------


def pages(site: Site) -> dict[str, str]:
    """Each kind of page there is, by its name."""
    past = int(time.time()) - 31 * DAY
    by_hand = f"{site.url}?ip={CLIENT}&mail_from="
    return {
        **{name.partition(".")[0]: site.link(name) for name in ZONE if name.count(".") == 1},
        "helo": site.link("mail.example.com", identity=Identity.HELO),
        "ipv6": site.link("plain.example", address=ip_address("2001:db8:1234:5678:9abc:def0:1234:5678")),
        "longname": site.link(".".join(["a" * 63] * 3 + ["b" * 40, "example"])),
        "then temperror": site.link(result=Result.TEMPERROR),
        "form": site.url,
        "complaints": site.url + "?ip=x&helo=x",
        "by hand": by_hand + "alice%40example.com",
        "malformed": site.url + "x",
        "expired": site.link(time=past),
        "missing": site.url + "a/b",
    }


NAMES = list(pages(Site("", None, None)))  # type: ignore[arg-type]  # links need neither


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(site: Site, page: Page, name) -> None:
    """The rules of WCAG 2.2 A and AA and of good practice, contrast included; the script runs from outside the page."""
    page.goto(pages(site)[name])
    page.evaluate(Path(AXE_FILE_PATH).read_text())
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size(size)
        found = page.evaluate("axe.run(document, {preload: false})")
        assert "color-contrast" in {rule["id"] for rule in found["passes"]}
        assert found["violations"] == [], json.dumps(found["violations"], indent=1)


@pytest.mark.parametrize("language", LANGUAGES[1:], ids=lambda language: language.tag)
def test_axe_finds_nothing_in_other_languages_and_nothing_is_wider_than_a_phone(
    site: Site, page: Page, language: PageLanguage
) -> None:
    """In one scheme each: colours do not depend on the language."""
    page.set_viewport_size({"width": 320, "height": 800})
    for number, (name, url) in enumerate(pages(site).items()):
        page.emulate_media(color_scheme="dark" if number % 2 else "light")
        page.goto(f"{url}{'&' if '?' in url else '?'}lang={language.tag}")
        page.evaluate(Path(AXE_FILE_PATH).read_text())
        found = page.evaluate("axe.run(document, {preload: false})")
        assert found["violations"] == [], name + json.dumps(found["violations"], indent=1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, name


@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wider_than_the_window(site: Site, page: Page, name, lang) -> None:
    url = pages(site)[name]
    page.goto(f"{url}{'&' if '?' in url else '?'}lang={lang}")
    for width in (320, 360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        column = page.get_by_role("main").bounding_box()
        assert column is not None
        assert column["width"] <= 38 * 16 + 1


def test_the_style_sheet_is_applied_in_both_schemes(site: Site, page: Page) -> None:
    """The policy for styles lets our own in."""
    page.goto(site.url)
    paper = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        paper.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert paper == ["rgb(251, 250, 246)", "rgb(21, 23, 27)"]


def test_on_paper_there_is_the_whole_case_with_its_link(site: Site, page: Page) -> None:
    """And what is new in the record is marked without colour."""
    link = site.link()
    page.goto(link)
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.get_by_text(link)).to_be_visible()
    for card in page.locator("details.card").all():
        assert (card.bounding_box() or {"height": 0})["height"] > 100, "a folded card is printed as well"
    new = page.locator("details.card.domain ins")
    assert new.evaluate("e => getComputedStyle(e).textDecorationLine") == "underline"


@pytest.mark.parametrize("name", ["example", "long", "many", "longname", "complaints"])
def test_at_400_percent_everything_is_there_without_scrolling_sideways(site: Site, page: Page, name: str) -> None:
    """A window of 1280 pixels shows 320 (WCAG 2.2, 1.4.10), with all that is folded open."""
    page.set_viewport_size({"width": 320, "height": 256})
    page.goto(pages(site)[name])
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_page_of_a_language_written_from_right_to_left_is_its_mirror(site: Site, page: Page) -> None:
    """The style sheet names no left and no right."""
    page.goto(site.link())
    page.evaluate("document.documentElement.dir = 'rtl'")
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    site_name, nav = page.locator(".site").bounding_box(), page.locator(".masthead").bounding_box()
    assert site_name is not None
    assert nav is not None
    assert site_name["x"] + site_name["width"] >= nav["x"] + nav["width"] - 1
    assert not re.search(r"\b(left|right)\b", STYLE.read_text())


def test_the_dns_host_is_named_and_its_link_is_asked_for_by_no_page(site: Site, page: Page) -> None:
    """The fixture holds the page to requests of our own site."""
    page.goto(site.link())
    page.get_by_text("I manage the DNS of example.com").click()
    link = page.get_by_role("link", name="More at developers.cloudflare.com")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(page.get_by_text("The DNS of example.com is at Cloudflare.")).to_be_visible()
