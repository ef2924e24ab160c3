"""`make screenshots`: the report as the documentation shows it, on a phone and on a desktop."""

import sys
import tempfile
from pathlib import Path

from tests.report.pages import made
from tests.web.browser import chromium

SIZES = {"phone": {"width": 360, "height": 1280}, "desktop": {"width": 1280, "height": 1160}}


def main() -> None:
    """Write them into the folder that is named on the command line."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        file = Path(place) / "report.html"
        file.write_text(made(Path(place), "monitor"), encoding="utf-8")
        page = browser.new_page()
        page.goto(file.as_uri())
        for width, scheme in (("desktop", "light"), ("phone", "dark")):
            page.set_viewport_size(SIZES[width])  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=folder / f"report-{width}-{scheme}.png")


if __name__ == "__main__":
    main()
