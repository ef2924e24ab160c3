"""A refused sender quotes the case id of the notice, and one command lets them in: with a real Postfix, in one test."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.nsd import Nsd
from lab.processes import until
from tests.mta.site import Sent, Site
from tests.mta.zones import UNLISTED

SENDER = "alice@mail163.example"


def spfmilter(site: Site, *arguments: str) -> str:
    """Run a command with the daemon's INI file, as its administrator would."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "spfmilter", *arguments, "-c", str(site.daemon.ini_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
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
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout  # noqa: S603 - as above
