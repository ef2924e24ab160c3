"""`make screenshots`: the help page as the documentation shows it, on a phone and on a desktop, in both schemes."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from lab.dnszone import ZoneData
from spfmilter.model import Result
from tests.web.browser import chromium
from tests.web.site import ZONE, Site, serving

WHEN = int(datetime(2026, 11, 20, 9, 30, tzinfo=UTC).timestamp())  # so that two runs give the same pictures
MENDED: ZoneData = {**ZONE, "example.com": [{"TXT": "v=spf1 ip4:192.0.2.0/24 mx ip4:203.0.113.7 -all"}]}
SIZES = {"phone": {"width": 360, "height": 1280}, "desktop": {"width": 1440, "height": 1280}}


def take(site: Site, folder: Path) -> None:
    """All pictures, into a folder."""
    link = site.link(result=Result.FAIL, time=WHEN)
    with chromium() as browser:
        page = browser.new_page()
        for kind, address, zone, widths in (
            ("refused", link, ZONE, ("phone", "desktop")),
            ("refused-zh-hans", link + "?lang=zh-Hans", ZONE, ("phone",)),
            ("passes-now", link, MENDED, ("phone",)),
        ):
            site.dns.load(zone)
            for width in widths:
                for scheme in ("light", "dark"):
                    page.set_viewport_size(SIZES[width])  # type: ignore[arg-type]
                    page.emulate_media(color_scheme=scheme)
                    page.goto(address)
                    page.screenshot(path=folder / f"{kind}-{width}-{scheme}.png")


def main() -> None:
    """Write them into the folder that is named on the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as secrets, serving(Path(secrets), "token_lifetime = 365d") as site:
        take(site, folder)


if __name__ == "__main__":
    main()
