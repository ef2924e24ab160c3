"""The refused sender's end: the bounce, its link, the page in her language, the fixed record, the message sent again.

It knows the order of these steps, and the expected result of each. It knows neither servers nor the layout.
"""

import json
import re
import subprocess

import page
from screen import Screen
from stage import Stage
from story import DOMAIN, RECIPIENT, REFUSED, SENDER, SHOP, SHOP_NAME

# The expected headings of the page, by the language of the browser.
TITLES = {
    "zh-Hans": ("简体中文", "您的邮件被拒收"),
    "zh-Hant": ("繁體中文", "您的郵件被拒收"),
}
TITLE = "Your message was refused"
PASSES = "It passes now. Please send your message again."
OFFERED = f"v=spf1 include:spf.{DOMAIN} ip4:{SHOP} -all"


class Sender:
    """Alice, whose message was refused. `link` and `case` are the link and the case id that she finds in the bounce."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage, self.screen = stage, screen
        self.link = self.case = ""

    def is_told(self, number: int) -> None:
        """Show the bounce that her own server made from the refusal."""
        screen = self.screen
        screen.open(
            f"{number}. What Alice finds in her mailbox",
            f"Alice sees no SMTP. Her server {SHOP_NAME}, also a real Postfix, tells her that her message was refused.",
        )
        bounce = self.stage.bounce()
        body = bounce.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        found = re.search(rf"http://127\.0\.0\.1:{self.stage.web_port}/spf/[\w.-]+", text)
        self.link = found[0] if found else ""
        named = re.search(r"Case: ([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})", text)
        self.case = named[1] if named else ""
        screen.letter(f"From: {bounce['From']}, Subject: {bounce['Subject']}", text.strip(), self.link)
        words = " ".join(text.split())
        screen.check(
            "the notice is in it: who was refused, by whose record, what to change",
            true=f"{SHOP} is not in the trusted sender list of {DOMAIN}" in words
            and f"Only if the server is yours alone, add ip4:{SHOP}." in words,
        )
        screen.check("and the link to her own case, and its id", true=bool(self.link and self.case))
        screen.close()

    def reads(self, number: int) -> None:
        """Show the page behind the link, and the notice for a server that says SMTPUTF8."""
        screen = self.screen
        screen.open(f"{number}. She opens the link", "The help page, as text; it speaks the language of the browser.")
        seen = page.read(self.link)
        screen.facts({"title": seen.title, "text": seen.lead, "now": seen.checked, "to publish": seen.record})
        titles = {language: page.read(self.link, language).title for language in TITLES}
        screen.facts({name: titles[language] for language, (name, _) in TITLES.items()})
        screen.note("the notice with languages = zh-Hans, en, if her server had said SMTPUTF8")
        reply = self._notice("zh-Hans")
        screen.commands(reply)
        screen.check("it failed then, and does so now", true="SPF fail" in seen.checked)
        screen.check("the page has the record to publish", true=seen.title == TITLE and seen.record == OFFERED)
        told = bool(reply) and f"{SHOP} 不在 {DOMAIN} 的信任发送列表中" in reply[0]
        there = all(titles[language] == title for language, (_, title) in TITLES.items())
        screen.check("in Chinese as well, the page and the notice", true=told and there)
        screen.close()

    def fixes_the_record(self, number: int) -> None:
        """Publish the record as the page says, open the page again, and send the message again."""
        screen = self.screen
        screen.open(
            f"{number}. The record is fixed, and she sends the message again",
            f"Her provider publishes what the page says, in the DNS of {DOMAIN}; at Bob's end nothing is changed.",
        )
        screen.commands([f'{DOMAIN}. TXT "{OFFERED}"'])
        self.stage.publish(OFFERED)
        seen = page.read(self.link)
        screen.note("the same link")
        screen.facts({"title": seen.title, "now": seen.checked})
        message = self.stage.sent_again()
        results = " ".join(str(message["Authentication-Results"]).split())
        screen.note("and in Bob's mailbox")
        screen.facts({name: str(message[name]) for name in ("From", "To", "Subject")})
        screen.check("the page says that it passes now", true=seen.title == PASSES and seen.checked.endswith("pass"))
        envelope = (message["Return-Path"], message["Delivered-To"]) == (f"<{SENDER}>", RECIPIENT)
        passed = f"designates {SHOP} as permitted sender) smtp.mailfrom={DOMAIN}" in results
        screen.check("the same message from the same server is delivered", true=envelope and passed)
        screen.close()

    def _notice(self, language: str) -> list[str]:
        """Return the notice for a client that can be sent this language."""
        command = self.stage.check(REFUSED, "--language", language, "--json")
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
        return list(json.loads(done.stdout)["reply"]) if done.returncode == 0 else []
