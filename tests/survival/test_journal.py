"""The daemon as a systemd service, with a real journal: what docs/log.md and docs/operation.md say of journalctl."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from lab import journald
from lab.daemon import COMMAND, SpfmilterDaemon
from lab.journald import Journald
from tests.survival.site import FAIL, NameServer, ask, inet_socket, ini

pytestmark = pytest.mark.skipif(journald.missing() != "", reason=journald.missing() or "it can run")


@pytest.fixture(scope="module")
def journal() -> Iterator[Journald]:
    with Journald() as running:
        yield running


def test_the_documented_searches_work_as_shipped(journal: Journald, dns: NameServer) -> None:
    """Each key is a field, and an error has its priority. Nothing of [log] is in the INI file."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address), command=journal.service(*COMMAND)) as daemon:
        assert ask(address, FAIL) == "550"
        refused = journal.wait_for_entry("SPFMILTER_ACTION=reject", "SPFMILTER_DOMAIN=fail.example")
        assert refused["MESSAGE"].startswith("message client=192.0.2.1 "), "without a time: the journal has its own"
        assert (refused["PRIORITY"], refused["_TRANSPORT"]) == ("6", "journal")
        assert refused == journal.wait_for_entry(f"SPFMILTER_FROM={FAIL}", "--since", "7 days ago")
        assert refused == journal.wait_for_entry(f"SPFMILTER_CASE={refused['SPFMILTER_CASE']}")
        assert journal.entries("-p", "err") == []
        daemon.rewrite("[milter]\nsocket = nonsense\n")
        daemon.signal(signal.SIGHUP)
        error = journal.wait_for_entry("-p", "err")
        assert (error["PRIORITY"], error["SYSLOG_IDENTIFIER"]) == ("3", "spfmilter")
        assert daemon.stop() == 0
        assert daemon.log() == ""


def test_lines_on_the_stream_have_their_priorities(journal: Journald, dns: NameServer) -> None:
    address = inet_socket()
    text = ini(address, dns.address, log="to = stderr")
    with SpfmilterDaemon(text, command=journal.service(*COMMAND)) as daemon:
        assert ask(address, FAIL) == "550"
        line = journal.wait_for_entry("_TRANSPORT=stdout", "-g", "^message client=192.0.2.1 ")
        assert line["PRIORITY"] == "6"
        daemon.rewrite("[milter]\nsocket = other nonsense\n")
        daemon.signal(signal.SIGHUP)
        error = journal.wait_for_entry("_TRANSPORT=stdout", "-p", "err")
        assert error["MESSAGE"].startswith("error: configuration problem ")


def test_a_file_with_problems_is_an_error_in_the_journal(journal: Journald) -> None:
    """The daemon has no log yet, and exits with 78."""
    command = journal.service(*COMMAND[:-1], "/nonexistent/spfmilter.ini")
    assert subprocess.run(command, check=False).returncode == 78  # noqa: S603 - our own
    assert journal.wait_for_entry("-p", "err", "-g", "/nonexistent/spfmilter.ini")["PRIORITY"] == "3"
