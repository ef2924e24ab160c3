"""The comparison in docs/migration.md: the logs of both filters become lists that diff can compare."""

import re
import subprocess
from pathlib import Path

import pytest

from spfmilter.model import Identity, Result
from spfmilter.observe import log
from tests.observe.test_log import logged, transaction
from tests.values import facts, verdict

pytestmark = pytest.mark.outside  # runs sed

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"
STAMP = re.compile(r"^\S+ ")  # the journal has the time in a field of its own
REJECTED = "<joe@example.net>: Recipient address rejected"
TO = "to=<joe@example.net> proto=ESMTP helo=<mail.example.com>"


def listed(log_name: str, lines: list[str]) -> list[str]:
    """What the command of the page makes of the lines of this log."""
    [command] = re.findall(rf"journalctl {re.escape(log_name)} .*\|\n +(sed -nE '.*') \| sort", PAGE.read_text())
    done = subprocess.run(["sh", "-c", command], input="\n".join(lines), capture_output=True, text=True, check=True)  # noqa: S603, S607 - the page's command
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("begin", "status", "text", "end", "wanted"),
    [
        (
            "milter-reject: MAIL from other.example[203.0.113.7]",
            "550 5.7.23",
            "Message rejected due to: domain owner discourages use of this host. Please see http://x.example/r=<UNKNOWN>",
            "from=<alice@soft.example> proto=ESMTP helo=<other.example>",
            ["203.0.113.7 <alice@soft.example>"],
        ),
        (
            "milter-reject: MAIL from other.example[203.0.113.7]",
            "450 4.7.24",
            "Message deferred due to: SPF Temporary Error: DNS Timeout. Please see http://x.example",
            "from=<a@temp.example> proto=ESMTP helo=<other.example>",
            ["203.0.113.7 <a@temp.example>"],
        ),
        (
            "reject: RCPT from unknown[2001:db8::7]",
            "550 5.7.24",
            f"{REJECTED}: Message rejected due to: SPF Permanent Error: include:none.example. Please see http://x.example",
            f"from=<> {TO}",
            ["2001:db8::7 <>"],
        ),
        (
            "reject: RCPT from a.example[203.0.113.7]",
            "550 5.1.1",
            f"{REJECTED}: User unknown in local recipient table",
            f"from=<a@b.example> {TO}",
            [],
        ),
        (
            "reject: RCPT from a.example[203.0.113.7]",
            "450 4.2.0",
            f"{REJECTED}: Greylisted",
            f"from=<a@b.example> {TO}",
            [],
        ),
    ],
)
def test_what_the_old_filter_has_refused(begin: str, status: str, text: str, end: str, wanted: list[str]) -> None:
    """Lines of Postfix 3.7 with pyspf-milter and policyd-spf 3.0.4."""
    assert listed("-t postfix/smtpd", [f"NOQUEUE: {begin}: {status} {text}; {end}"]) == wanted


@pytest.mark.parametrize("queue_id", ["", "4Xyz12"])
@pytest.mark.parametrize(
    ("result", "ini", "wanted"),
    [
        (Result.FAIL, "", ["203.0.113.7 <user@example.com>"]),
        (Result.TEMPERROR, "[policy.mailfrom]\ntemperror = defer\n", ["203.0.113.7 <user@example.com>"]),
        (Result.SOFTFAIL, "", []),  # tagged: the old filter has no such thing
        (Result.PASS, "", []),
    ],
)
def test_what_spfmilter_would_have_refused(result: Result, ini: str, wanted: list[str], queue_id: str) -> None:
    found = (verdict(Result.NONE, Identity.HELO), verdict(result))
    ended = transaction(*found, ini=f"[policy]\nmode = monitor\n{ini}", queue_id=queue_id, ended="abandoned")
    [line] = logged(lambda: log.transaction(ended))
    assert listed("-u spfmilter", [STAMP.sub("", line)]) == wanted


@pytest.mark.parametrize("helo", ["a from=<x@y.example> b would=reject c", "a client=192.0.2.1 b from=<x@y.example> c"])
@pytest.mark.parametrize("result", [Result.PASS, Result.FAIL])
def test_a_helo_that_looks_like_fields_names_no_other_client_or_sender(helo: str, result: Result) -> None:
    ended = transaction(verdict(result), about=facts(helo=helo), ini="[policy]\nmode = monitor\n")
    [line] = logged(lambda: log.transaction(ended))
    assert listed("-u spfmilter", [STAMP.sub("", line)]) == []
