"""The page: one file that needs nothing else, sound in both schemes and at every width, and proof against its rows."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from spfmilter.journal.rows import Decision
from spfmilter.report.findings import pointers
from spfmilter.report.page import page as render
from tests.report import traffic
from tests.report.traffic import NOW, forwarded, partner, refused, row
from tests.report.values import DAYS, filled, report
from tests.values import settings
from tests.web.browser import CHROMIUM, chromium

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[31m[bold]"
LONG = "x" * 240 + ".example"
INI = "[exempt]\nforwarders = .alumni.example, mx.old.example\nnetworks = 10.0.0.0/8\n"


def hostile() -> Iterator[Decision]:
    """Rows of which each text is markup, or very long, and which become findings all the same."""
    for text in (HOSTILE, LONG, "\u202eright to left \u05d0\u05d1", "{{ 7 * 7 }}{% raw %}"):
        yield refused(NOW - 60_000, host=text, sender_domain=text, helo=text, client_name=text, override_by=text)
        yield refused(NOW - 60_000, sender_domain=text, mailfrom_result="temperror", override=text[:30])
        yield row(
            NOW - 60_000,
            mailfrom_result=text[:16],
            helo_result=text[:16],
            action=text[:16],
            decided_by=text[:16],
            skip=text[:30],
        )
    yield from forwarded(40, helo=HOSTILE)
    yield from partner(12, sender_domain=LONG)


JOURNALS = {
    "week": (lambda: traffic.week(4000), INI, 7),
    "monitor": (lambda: traffic.week(4000, monitor=True), "[policy]\nmode = monitor\n", 7),
    "month": (lambda: traffic.endless(4000), INI, 31),
    "hours": (lambda: traffic.week(4000), "", 2),
    "one": (lambda: [row()], "", 7),
    "hostile": (hostile, INI, 7),
    "empty": (list[Decision], "", 7),
}


def made(folder: Path, name: str) -> str:
    rows, ini, days = JOURNALS[name]
    written: Iterable[Decision] = rows()
    found = report(filled(folder, written), ini, since=NOW - days * DAYS)
    return render(found, pointers(found, settings(ini)))


def test_nothing_of_a_row_is_markup(tmp_path) -> None:
    text = made(tmp_path, "hostile")
    assert "&lt;script&gt;" in text
    for forbidden in ("<script", "<img", 'onerror="', "49", "\x1b", "\u202e", "javascript:"):
        if forbidden == "49":
            assert "{{ 7 * 7 }}" in text, "a row is no template"
        else:
            assert forbidden not in text


@pytest.mark.parametrize("name", JOURNALS)
def test_the_page_needs_nothing_else(tmp_path, name) -> None:
    """No script, no request, no handler; and the browser is told so."""
    text = made(tmp_path, name)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(r"<script|<link (?!rel=\"icon\" href=\"data:,\")|<\w[^>]*\ssrc=|<style[^<]*(url\(|@import)", text)
    assert set(re.findall(r'href="([^"]*)"', text)) <= {"#main", "#findings", "data:,"}


# -- in a browser ------------------------------------------------------------------------------------------------------

in_a_browser = [
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
    asked: list[str] = []
    complaints: list[str] = []
    tab = context.new_page()
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    yield tab
    tab.close()
    assert [url for url in asked if not url.startswith(("file:", "data:,"))] == []
    assert complaints == []


def mark(function):
    for one in in_a_browser:
        function = one(function)
    return function


@mark
@pytest.mark.parametrize("name", JOURNALS)
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(files, tab, name) -> None:
    """The rules of WCAG 2.2 A and AA and of good practice, in both schemes, on a phone and on a desktop."""
    from axe_playwright_python.base import AXE_FILE_PATH

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


@mark
def test_a_hostile_row_does_nothing(files, tab) -> None:
    tab.goto(files["hostile"].as_uri())
    expect(tab.get_by_role("main")).to_contain_text("<script>")
    assert "owned" not in tab.title().partition("·")[0]
    assert tab.evaluate("document.scripts.length + document.images.length") == 0


@mark
def test_both_schemes_are_ours_and_paper_is_white(files, tab) -> None:
    tab.goto(files["week"].as_uri())
    paper = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme, media="screen")
        paper.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    tab.emulate_media(color_scheme="dark", media="print")
    paper.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert paper == ["rgb(251, 250, 246)", "rgb(21, 23, 27)", "rgb(255, 255, 255)"]


@mark
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


@mark
def test_one_click_marks_a_whole_command(files, tab) -> None:
    tab.goto(files["week"].as_uri())
    tab.locator("pre").first.click(position={"x": 20, "y": 12})
    assert (
        tab.evaluate("getSelection().toString()")
        .strip()
        .startswith("spfmilter exempt add --forwarder .forward.example --for 30d")
    )
