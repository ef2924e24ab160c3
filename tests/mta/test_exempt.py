"""A refused sender quotes the case id of the notice, and one command lets them in: with a real Postfix, in one test."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import HUNG, patience, until
from lab.smtp import SmtpDialogue
from tests.mta.site import MESSAGE, Sent, Site
from tests.mta.zones import UNLISTED

SENDER = "alice@mail163.example"


def spfmilter(site: Site, *arguments: str) -> str:
    """Run a command with the daemon's INI file, as its administrator would."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "spfmilter", *arguments, "-c", str(site.daemon.ini_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HUNG,
        env={**os.environ, "RUNTIME_DIRECTORY": str(site.daemon.folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def site(name_server: Nsd, tmp_path: Path):
    with Site(
        name_server, f"[state]\nfolder = {tmp_path}\n[journal]\nurl = sqlite:///{tmp_path}/journal.db\n"
    ) as running:
        yield running


def test_from_the_case_id_in_the_refusal_to_the_delivered_message(site: Site) -> None:
    refused = site.send(SENDER, UNLISTED)
    assert refused.answer.code == 550
    case = re.findall(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}", refused.answer.text)[0]
    site.logged(case=case)
    until(lambda: case in _known(site, case), 10, "the case in the journal")
    added = json.loads(spfmilter(site, "exempt", "add", "--case", case, "--yes", "--json"))
    assert (added["domain"], added["network"]) == ("mail163.example", UNLISTED)

    def taken() -> Sent | None:
        sent = site.send(SENDER, UNLISTED)
        return sent if sent.accepted else None

    sent = until(taken, 5, site.daemon.log)
    [result, *_] = site.field(sent, "Received-SPF")
    assert result.startswith("fail ("), "the result stays as it is"
    line = site.logged(queue_id=sent.queue_id)
    assert (line["override"], line["override_by"], line["action"]) == ("exemption", added["id"], "accept")
    assert site.send("other@mail163.example", "203.0.113.8").answer.code == 550, "no other client"
    spfmilter(site, "exempt", "remove", added["id"])
    until(lambda: site.send(SENDER, UNLISTED).answer.code == 550, 5, site.daemon.log)


def _known(site: Site, case: str) -> str:
    """What ``exempt add --dry-run`` says of a case; empty while the journal has no such row."""
    command = [
        sys.executable,
        "-m",
        "spfmilter",
        "exempt",
        "add",
        "--case",
        case,
        "-n",
        "-c",
        str(site.daemon.ini_path),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=HUNG).stdout  # noqa: S603 - as above


def test_from_the_bounce_by_why_to_exempt_to_the_delivered_message(name_server: Nsd, tmp_path: Path) -> None:
    """The sender's own Postfix writes the bounce; both messages come from it, over loopback."""
    settings = (
        "[exempt]\nnetworks =\nprivate_clients = no\n"
        f"[state]\nfolder = {tmp_path}\n[journal]\nurl = sqlite:///{tmp_path}/journal.db\n"
    )
    with (
        Site(name_server, settings) as site,
        Postfix(
            hostname="out.mail163.example", domains=["mail163.example"], relayhost=f"[127.0.0.1]:{site.postfix.port}"
        ) as own,
    ):

        def send() -> None:
            with SmtpDialogue("127.0.0.1", own.port) as smtp:
                smtp.ehlo("desk.mail163.example")
                smtp.mail(SENDER)
                smtp.rcpt("bob@example.net")
                assert smtp.data(MESSAGE).code == 250

        since: list[float] = []

        def in_all_workers() -> bool:
            """Each worker looks for exemptions once a second: a message may come to any of them."""
            if not accepted():
                since.clear()
                return False
            since.append(time.monotonic())
            return since[-1] - since[0] > 2 * patience()

        def accepted() -> bool:
            with SmtpDialogue("127.0.0.1", site.postfix.port) as smtp:
                smtp.ehlo("out.mail163.example")
                smtp.mail(SENDER)
                return smtp.rcpt("bob@example.net").code == 250

        send()
        [bounce] = own.delivered()
        body = bounce.message.get_body(("plain",))
        assert body is not None
        [case] = set(re.findall(r"Case: ([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})", body.get_content()))
        until(lambda: case in _known(site, case), 10, "the case in the journal")
        [why] = json.loads(spfmilter(site, "why", case.lower(), "--json"))["decisions"]
        assert why["case"] == case
        assert f"--case {case}" in why["ways_in"][0]["command"]
        added = json.loads(spfmilter(site, "exempt", "add", "--case", case, "--yes", "--json"))
        assert (added["domain"], added["network"]) == ("mail163.example", "127.0.0.1")
        until(in_all_workers, 15, site.daemon.log)
        send()
        [delivered] = site.postfix.delivered()
        assert delivered.sender == SENDER
        assert str(delivered.message["Received-SPF"]).startswith("fail (")
        report = json.loads(spfmilter(site, "report", "--json", "--offline"))
        assert f"exemption {added['id']}: " in json.dumps(report), "it ends within a week"
