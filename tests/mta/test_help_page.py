"""All steps: refused by a real Postfix, the bounce, its link in a browser, the record corrected, delivered.

The record is valid for an hour: the daemon forgets it because the page has seen the correction.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lab.daemon import SpfmilterDaemon
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import free_port, until
from lab.smtp import SmtpDialogue
from tests.mta.site import MESSAGE, Site
from tests.web.browser import CHROMIUM, chromium
from tests.web.site import WEB

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: tools/setup.sh web")
DOMAIN = "mail163.example"
RECORD = '@ 3600 TXT "{}"\n'
BOUND = 5.0  # seconds from the page to an accepted message, on an idle machine


@pytest.fixture
def names(name_server: Nsd) -> Iterator[Nsd]:  # noqa: ARG001 - skips where there is no NSD or Postfix
    """A name server whose zone may be changed."""
    with Nsd({DOMAIN: RECORD.format("v=spf1 ip4:192.0.2.0/24 -all")}) as server:
        yield server


def send(own: Postfix) -> None:
    """A message from the sender's own server, which no record lists yet."""
    with SmtpDialogue("127.0.0.1", own.port) as smtp:
        smtp.ehlo("desk.mail163.example")
        smtp.mail(f"alice@{DOMAIN}")
        smtp.rcpt("bob@example.net")
        assert smtp.data(MESSAGE).code == 250


def arrives(own: Postfix, receiver: Postfix) -> bool:
    """Whether one more message is delivered, and not returned."""
    returned = len(list(own.inbox.glob("*")))
    send(own)
    until(lambda: any(receiver.inbox.glob("*")) or len(list(own.inbox.glob("*"))) > returned, 20, "its end")
    return any(receiver.inbox.glob("*"))


def bounce(own: Postfix) -> str:
    """What the sender's own server writes to its user, with single blanks."""
    [message] = own.delivered()
    body = message.message.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


@dataclass(frozen=True)
class Refused:
    """A sender whose message a real Postfix has refused, and what they have: the bounce, its link, and a browser."""

    receiver: Site
    own: Postfix
    told: str
    link: str
    page: Page


@contextmanager
def refused(names: Nsd, folder: Path, more_web: str = "") -> Iterator[Refused]:
    """A sender who has just found the bounce. ``more_web``: further keys of [web]."""
    port = free_port()
    ini = (
        "[exempt]\nnetworks =\nprivate_clients = no\n[headers]\nauthserv_id = mx.example.net\n"
        f"[reply]\nhelp_url = http://127.0.0.1:{port}/spf/{{token}}\n"
        f"[web]\nlisten = 127.0.0.1:{port}\nsecret_file = {folder}/secret\n{more_web}[state]\nfolder = {folder}\n"
    )
    with (
        Site(names, ini) as receiver,
        SpfmilterDaemon(f"[dns]\nnameservers = {names.address}\n{ini}", command=WEB),
        Postfix(
            hostname="out.mail163.example", domains=[DOMAIN], relayhost=f"[127.0.0.1]:{receiver.postfix.port}"
        ) as own,
        chromium() as browser,
    ):
        send(own)
        told = bounce(own)
        found = re.search(rf"http://127\.0\.0\.1:{port}/spf/[\w.-]+", told)
        assert found is not None
        yield Refused(receiver, own, told, found[0], browser.new_page())


def test_a_refused_sender_reads_the_page_fixes_the_record_and_is_delivered(names: Nsd, tmp_path: Path) -> None:
    with refused(names, tmp_path) as sender:
        page, receiver, own = sender.page, sender.receiver, sender.own
        for lang, title in (
            ("zh-Hans", "您的邮件被拒收"),
            ("zh-Hant", "您的郵件被拒收"),
            ("en", "Your message was refused"),
        ):
            page.goto(f"{sender.link}?lang={lang}")
            expect(page.get_by_role("heading", level=1)).to_have_text(title)
        page.locator("details.card.domain > summary").click()
        offered = page.get_by_role("group", name="The record to publish").inner_text()
        assert offered == "v=spf1 ip4:192.0.2.0/24 ip4:127.0.0.1 -all"
        names.replace(DOMAIN, RECORD.format(offered))
        page.reload()
        expect(page.get_by_role("heading", level=1)).to_have_text("It passes now. Please send your message again.")
        until(lambda: arrives(own, receiver.postfix), BOUND, "delivered")
        [delivered] = receiver.postfix.delivered()
        assert delivered.sender == f"alice@{DOMAIN}"
