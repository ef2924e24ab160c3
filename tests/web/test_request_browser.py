"""A request in a real browser: from the form to the answer, without a script, and what axe says of each state."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import BrowserContext, Page, expect

from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.request import State, request_of
from spfmilter.requests.store import FILE
from tests.requests.samples import case_id
from tests.web.browser import CHROMIUM, DESKTOP, PHONE, chromium, watched_tab
from tests.web.site import Site, serving

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: tools/setup.sh web"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    store = EmbeddedRequests(made / FILE)
    store.prepare()
    store.close()
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    with serving(folder, f"rate = 1000/minute\nrequests = yes\n[state]\nfolder = {folder}") as found:
        yield found


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as found:
        yield found


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A tab that has contacted only the site when it is closed, and has run no script of the page."""
    with watched_tab(context) as tab:
        yield tab.page
    assert {urlsplit(url).netloc for url in tab.asked} == {urlsplit(site.url).netloc}


def answer(folder: Path, case: str, **values: object) -> None:
    """Answer the request of a case, as the command does it."""
    store = EmbeddedRequests(folder / FILE)
    row = store.find(case)
    assert row is not None
    one = replace(request_of(row), answered=int(time.time()), answered_by="alice", **values)  # type: ignore[arg-type]
    assert store.answer(one)
    store.close()


def check(page: Page, lang: str) -> None:
    """Hold the page against axe's rules in both schemes, and look for a sideways scroll at 320 px."""
    page.evaluate(Path(AXE_FILE_PATH).read_text())
    for scheme, size in (("light", DESKTOP), ("dark", PHONE)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size(size)
        found = page.evaluate("axe.run(document, {preload: false})")
        assert found["violations"] == [], f"{lang}: {json.dumps(found['violations'], indent=1)}"
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.set_viewport_size(DESKTOP)


SAID = {  # the button, and what the page says then
    "en": ("Send the request", "You asked the administrator", "The administrator has let your server in"),
    "zh-Hans": ("提交申请", "您已于", "管理员已放行您的服务器"),
    "zh-Hant": ("送出申請", "您已於", "管理員已放行您的伺服器"),
}


@pytest.mark.parametrize("lang", SAID)
def test_from_the_form_to_the_answer(site: Site, folder: Path, page: Page, lang: str) -> None:
    case, (send, asked, granted) = case_id(list(SAID).index(lang) + 1), SAID[lang]
    url = f"{site.link(id=case)}?lang={lang}"
    page.goto(url)
    check(page, lang)
    page.locator("#sentence").fill("I am your dentist.")
    page.locator("#answer_to").fill("dentist")
    page.get_by_role("button", name=send).click()
    expect(page.locator("#answer_to")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#sentence")).to_have_value("I am your dentist.")
    check(page, lang)
    page.locator("#answer_to").fill("dentist@example.com")
    page.get_by_role("button", name=send).click()
    expect(page.locator("#request")).to_contain_text(asked)
    assert page.url == f"{url}#request"
    check(page, lang)
    page.reload()
    expect(page.locator("#request textarea")).to_have_count(0)
    answer(folder, case, state=State.GRANTED, until=int(time.time()) + 86_400, exemption="ABC123", answer="Welcome.")
    page.reload()
    expect(page.get_by_role("heading", name=granted)).to_be_visible()
    check(page, lang)
    page.screenshot(path=folder / f"granted-{lang}.png", full_page=True)
