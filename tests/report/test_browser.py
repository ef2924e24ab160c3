"""The page in a real browser: sound in both schemes, at the width of a phone and of a desktop, and on paper."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import BrowserContext, Page, expect

from tests.report.pages import JOURNALS, made
from tests.web.browser import CHROMIUM, chromium, watched_tab

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: tools/setup.sh web"),
]


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name in JOURNALS:
        folder = tmp_path_factory.mktemp(name)
        found[name] = folder / "report.html"
        found[name].write_text(made(folder, name), encoding="utf-8")
    return found


@pytest.fixture
def tab(context: BrowserContext) -> Iterator[Page]:
    """A tab that has asked for nothing but the file when it is closed, and has not complained about the page."""
    with watched_tab(context) as watched:
        yield watched.page
    assert [url for url in watched.asked if not url.startswith(("file:", "data:,"))] == []
    assert watched.complaints == []


@pytest.mark.parametrize("name", JOURNALS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(files, tab, name) -> None:
    """The rules of WCAG 2.2 A and AA and of good practice, in both schemes, on a phone and on a desktop."""
    tab.goto(files[name].as_uri())
    tab.evaluate(Path(AXE_FILE_PATH).read_text())
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    all_schemes = name in {"monitor", "hostile"}  # these have each kind of thing; the rules take their time
    for width, schemes in ((320, ("dark", "light")), (1280, ("light", "dark"))):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        for scheme in schemes if all_schemes else schemes[:1]:
            tab.emulate_media(color_scheme=scheme)
            found = tab.evaluate("axe.run(document, {preload: false})")
            assert "color-contrast" in {rule["id"] for rule in found["passes"]}
            assert found["violations"] == [], json.dumps(found["violations"], indent=1)


def test_a_hostile_row_does_nothing(files, tab) -> None:
    tab.goto(files["hostile"].as_uri())
    expect(tab.get_by_role("main")).to_contain_text("<script>")
    assert "owned" not in tab.title().partition("·")[0]
    assert tab.evaluate("document.scripts.length + document.images.length") == 0


def test_both_schemes_are_ours_and_paper_is_white(files, tab) -> None:
    tab.goto(files["week"].as_uri())
    paper = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme, media="screen")
        paper.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    tab.emulate_media(color_scheme="dark", media="print")
    paper.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert paper == ["rgb(251, 250, 246)", "rgb(21, 23, 27)", "rgb(255, 255, 255)"]


def test_the_chart_is_read_out_and_its_figures_are_a_table(files, tab) -> None:
    tab.goto(files["week"].as_uri())
    chart = tab.get_by_role(
        "img", name=re.compile(r"Messages, one bar for a day: [\d,]+ refused, [\d,]+ quarantined or tagged")
    )
    expect(chart).to_be_visible()
    tab.get_by_text("The figures of the trend").click()
    table = tab.get_by_role("table", name="Messages by time and action")
    expect(table.get_by_role("row")).to_have_count(9)
    expect(tab.get_by_role("table", name="By action").get_by_role("img")).to_have_count(5)


def test_one_click_marks_a_whole_command(files, tab) -> None:
    tab.goto(files["week"].as_uri())
    tab.locator("pre").first.click(position={"x": 20, "y": 12})
    assert (
        tab.evaluate("getSelection().toString()")
        .strip()
        .startswith("spfmilter exempt add --forwarder .forward.example --for 30d")
    )
