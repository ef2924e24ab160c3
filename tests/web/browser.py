"""Headless Chromium, Debian's, with a new profile and nothing that it would do by itself; driven by playwright."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page, ViewportSize, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1440, "height": 900}


@contextmanager
def chromium() -> Iterator[BrowserContext]:
    """A browser; every request that its pages make can be watched with `context.on("request", ...)`."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, headless=True, locale="en-GB", java_script_enabled=True
        )
        context.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        try:
            yield context
        finally:
            context.close()


@dataclass
class Tab:
    """A tab, with the addresses that it has asked for and what it has complained about."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def watched_tab(context: BrowserContext) -> Iterator[Tab]:
    """A new tab. It is closed at the end of the block; look at what it has noted after that."""
    tab = Tab(context.new_page())
    tab.page.on("request", lambda request: tab.asked.append(request.url))
    tab.page.on("console", lambda message: tab.complaints.append(message.text))
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    yield tab
    tab.page.close()
