"""``spfmilter why`` on the decisions of the real daemon: what it refused, from the answers that it had then."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import until
from spfmilter import caseid
from tests.wire.running import ZONE, Running, running

pytestmark = pytest.mark.outside

MORE = {
    **ZONE,
    "local.example": [{"TXT": "v=spf1 exists:%{l}.users.local.example -all"}],
    "late.example": [{"TXT": "v=spf1 include:lost.example -all"}],
    "lost.example": ["TIMEOUT"],
}


@contextmanager
def recording(folder: Path, text: str = "", keys: str = "") -> Iterator[tuple[Running, ScriptedDNS]]:
    """A daemon with a journal, and its own DNS."""
    journal = f"[journal]\nurl = sqlite:///{folder}/journal.db\n{keys}"
    page = f"[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n[web]\nsecret_file = {folder}/secret\n"
    text = f"workers = 1\n[policy]\ncheck = mailfrom\n{text}{journal}{page}"
    with ScriptedDNS(MORE) as dns, running(dns, text, lookups="timeout = 2s") as serving:
        yield serving, dns


def refused(serving: Running, sender: str) -> str:
    """The reply to a refused message."""
    with serving.client() as mta:
        mta.negotiate()
        mta.connect("client.example", "inet", "198.51.100.77", 4000)
        mta.helo("client.example")
        reply = mta.mail(f"<{sender}>")
    return str(reply.text)


def why(serving: Running, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "spfmilter", "why", "-c", str(serving.daemon.ini_path), *arguments]
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(serving.daemon.folder), "PYTHONUTF8": "1"}
    done = subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    return done.returncode, done.stdout


def told(serving: Running, *arguments: str) -> dict[str, Any]:
    """The decision, as soon as it has been written."""

    def found() -> dict[str, Any] | None:
        status, text = why(serving, *arguments, "--json")
        return dict(json.loads(text)["decisions"][0]) if status == 0 else None

    return until(found, 30, lambda: f"the journal: {why(serving, *arguments)}\n{serving.daemon.log()[-2000:]}")


def case_of(reply: str) -> str:
    found = re.search(rf"Case: ({caseid.FORM})", reply)
    assert found is not None, reply
    return found[1]


def test_a_refusal_is_explained_after_its_record_was_mended(tmp_path: Path) -> None:
    with recording(tmp_path) as (serving, dns):
        reply = refused(serving, "a@fail.example")
        case = case_of(reply)
        before = told(serving, case)
        assert (before["case"], before["action"], before["now"]["same_answers"]) == (case, "reject", True)
        dns.load({**MORE, "fail.example": [{"TXT": "v=spf1 ip4:198.51.100.77 -all"}]})
        link = re.search(r"https://\S+", reply)
        assert link is not None
        after = told(serving, link[0])
        (then,), (now,) = after["then"]["verdicts"], after["now"]["verdicts"]
        assert (then["result"], then["tree"]["text"]) == ("fail", "v=spf1 ip4:203.0.113.99 -all")
        assert then["tree"]["lookups"][0]["nameservers"] == [{"address": dns.address, "said": "answered"}]
        assert (now["result"], after["now"]["action"]) == ("pass", "accept")
        text = why(serving, case)[1]
        assert "≠ then: v=spf1 ip4:203.0.113.99 -all" in text
        assert "the same message would be accepted now" in text


def test_a_cached_verdict_keeps_its_answers(tmp_path: Path) -> None:
    with recording(tmp_path) as (serving, _):
        cases = [case_of(refused(serving, f"{name}@fail.example")) for name in "ab"]
        assert len(set(cases)) == 2
        trees = [told(serving, case, "--offline")["then"]["verdicts"][0]["tree"] for case in cases]
        assert trees[0] == trees[1], "the second one was not evaluated again"


def test_a_temperror_is_told_by_the_nameserver_that_was_silent(tmp_path: Path) -> None:
    with recording(tmp_path, "[policy.mailfrom]\ntemperror = defer\n") as (serving, dns):
        case = case_of(refused(serving, "a@late.example"))
        dns.load({**MORE, "lost.example": [{"TXT": "v=spf1 +all"}]})  # it works again: nobody can reproduce it
        found = told(serving, case)
        (then,) = found["then"]["verdicts"]
        (lost,) = then["tree"]["terms"][0]["lookups"]
        assert (then["result"], lost["name"], lost["outcome"]) == ("temperror", "lost.example", "timeout")
        assert lost["nameservers"] == [{"address": dns.address, "said": None}]
        assert lost["ms"] > 1000
        assert found["now"]["verdicts"][0]["result"] == "pass"
        assert f"{dns.address} did not answer" in why(serving, case)[1]


@pytest.mark.parametrize("kept", [False, True])
def test_a_local_part_is_kept_only_if_it_may_be(tmp_path: Path, *, kept: bool) -> None:
    with recording(tmp_path, keys=f"local_parts = {'yes' if kept else 'no'}\n") as (serving, _):
        found = told(serving, case_of(refused(serving, "anna.secret@local.example")), "--offline")
    if kept:
        (then,) = found["then"]["verdicts"]
        assert then["tree"]["terms"][0]["lookups"][0]["name"] == "anna.secret.users.local.example"
        assert (then["result"], found["sender_local"]) == ("fail", "anna.secret")
    else:
        assert "local part" in found["then"]["missing"]
        assert "secret" not in json.dumps(found)
