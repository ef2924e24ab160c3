"""All steps: refused by a real Postfix, the bounce, its link in a browser, a request, granted by command, delivered.

The record is never corrected: the administrator lets the server in.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lab.nsd import Nsd
from lab.processes import HUNG, until
from tests.mta.test_help_page import DOMAIN, arrives, refused
from tests.mta.test_help_page import names as names  # noqa: PLC0414 - a fixture
from tests.web.browser import CHROMIUM

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: tools/setup.sh web")


def requests(ini: Path, *words: str) -> str:
    """Run ``spfmilter requests`` as the administrator; return what it prints."""
    command = [sys.executable, "-m", "spfmilter", "requests", *words, "-c", str(ini)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_refused_sender_asks_on_the_page_is_let_in_and_is_delivered(names: Nsd, tmp_path: Path) -> None:
    with refused(names, tmp_path, "requests = yes\n") as sender:
        page, receiver, own = sender.page, sender.receiver, sender.own
        case = re.search(r"Case: ([0-9A-Z-]+)", sender.told)
        assert case is not None

        def takes_requests() -> bool:
            page.goto(sender.link)
            return page.locator("#sentence").is_visible()

        until(takes_requests, 20.0, "a page that takes requests")
        page.locator("#sentence").fill("I am your dentist.")
        page.locator("#answer_to").fill("dentist@example.com")
        page.get_by_role("button", name="Send the request").click()
        expect(page.locator("#request")).to_contain_text("You asked the administrator of mx.example.net")

        [asked] = json.loads(requests(receiver.daemon.ini_path, "list", "--json"))["requests"]
        assert (asked["case_id"], asked["domain"], asked["address"]) == (case[1], DOMAIN, "127.0.0.1")
        assert not arrives(own, receiver.postfix), "asking alone lets no message in"
        requests(receiver.daemon.ini_path, "grant", case[1], "--say", "Welcome.")
        until(lambda: page.reload() and page.locator(".answered").count(), 20.0, "the answer is shown")
        expect(page.get_by_role("heading", name="The administrator has let your server in")).to_be_visible()
        expect(page.locator(".answered blockquote")).to_have_text("Welcome.")
        until(lambda: arrives(own, receiver.postfix), 20.0, "delivered")
        [delivered] = receiver.postfix.delivered()
        assert delivered.sender == f"alice@{DOMAIN}"
