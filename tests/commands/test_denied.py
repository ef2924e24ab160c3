"""Commands of a user who may not enter the daemon's folder: a sentence that says what to do, and no traceback."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab import users
from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.store import FILE
from spfmilter.journal import place
from spfmilter.journal.database import JournalError, attempt, open_engine
from spfmilter.settings.journalurl import JournalUrl
from tests.commands.conftest import Run
from tests.commands.test_exempt import CASE, record
from tests.exemptions.samples import exempt

pytestmark = pytest.mark.outside

READING = (
    "user nobody may not read {folder}/state/journal.db ({folder}/state belongs to root:root, mode 0700): run this"
)
WRITING = "user nobody may not write {folder}/state/exemptions.db ({folder}/state belongs to root:root, mode 0700): run"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for all users, and in it the daemon's, which has a journal and an exemption."""
    if os.geteuid() != 0:
        pytest.skip("only root can be two users")
    with TemporaryDirectory() as name:
        outer, state = Path(name), Path(name, "state")
        outer.chmod(0o755)
        state.mkdir(mode=0o700)
        record(state, sender_domain="example.com")
        store = EmbeddedStore(state / FILE)
        store.add(exempt("192.0.2.1"))
        store.close()
        (outer / "spfmilter.ini").write_text(
            f"[milter]\nsocket = unix:{outer}/state/m.sock\n[journal]\nurl = sqlite:///{state}/journal.db\n"
            f"[state]\nfolder = {state}\n[dns]\nnameservers = 127.0.0.1:9\ntimeout = 1s\n"
            "[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n"
            f"[web]\nsecret_file = {state}/secret\nrequests = yes\n"
        )
        yield outer


@pytest.fixture
def as_nobody(run: Run, folder: Path) -> Run:
    """Run a command as a user who may not enter the daemon's folder."""

    def command(*words: object) -> subprocess.CompletedProcess[str]:
        run(*words, "-c", folder / "spfmilter.ini")  # loads all that another user may not be able to read
        os.seteuid(users.NOBODY)
        try:
            return run(*words, "-c", folder / "spfmilter.ini")
        finally:
            os.seteuid(0)

    return command


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("report --offline", 69, READING),
        ("report --offline --json", 69, READING),
        ("why " + CASE, 69, READING),
        ("why --ip 203.0.113.7 --json", 69, READING),
        ("config check --against journal --since 7d", 69, READING),
        (f"exempt add --case {CASE} --yes", 77, READING),
        ("exempt add --domain example.com --from 192.0.2.1 --because x", 77, WRITING),
        ("exempt list", 77, WRITING),
        ("exempt remove AAAAAA", 77, WRITING),
        ("requests list", 77, "/state/requests/requests.db ({folder}/state belongs to root:root, mode 0700): "),
        (
            "requests grant " + CASE,
            77,
            "/state/requests/requests.db ({folder}/state belongs to root:root, mode 0700): ",
        ),
    ],
)
def test_one_sentence_says_what_to_do(as_nobody: Run, folder: Path, line: str, status: int, said: str) -> None:
    done = as_nobody(*line.split())
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert said.format(folder=folder) in done.stderr
    assert "as root" in done.stderr
    assert done.stderr.count("\n") == 1, "one sentence"


def test_a_trial_names_each_step_that_the_folder_hinders(as_nobody: Run, folder: Path) -> None:
    done = as_nobody("config", "check", "--try")
    assert done.returncode == 73, done.stderr
    whose = f"{folder}/state belongs to root:root, mode 0700"
    assert "who is not the daemon's. As root: runuser -u " in done.stderr
    [journal] = [line for line in done.stdout.splitlines() if line.startswith("warning: [journal] url")]
    assert f"user nobody may not look for {folder}/state/journal.db; {whose}: " in journal
    [secret] = [line for line in done.stdout.splitlines() if "[web] secret_file" in line]
    assert f"user nobody, who cannot enter {folder}/state (root:root, mode 0700)" in secret


@pytest.mark.parametrize("line", ["check --ip 192.0.2.1 --mail-from u@example.com", "config check", "config show"])
def test_what_needs_nothing_of_the_folder_runs(as_nobody: Run, line: str) -> None:
    assert as_nobody(*line.split()).returncode == 0


def test_who_is_not_the_daemons_user_is_told_to_become_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = JournalUrl(path=f"{folder}/state/journal.db")
    os.seteuid(users.NOBODY)
    try:
        monkeypatch.setattr("spfmilter.units.daemon_user", lambda _default="": "spfmilter")
        _, elsewhere = place.trouble(url) or ("", "")
        monkeypatch.setattr("spfmilter.units.daemon_user", lambda _default="": "nobody")
        _, daemon = place.trouble(url) or ("", "")
    finally:
        os.seteuid(0)
    whose = f"{folder}/state belongs to root:root, mode 0700"
    assert elsewhere == f"{whose}: run this as root, or as user spfmilter"
    assert daemon == f"{whose}: let that user enter it, or name another folder"


def test_a_journal_that_may_not_be_looked_for_is_not_a_missing_one(folder: Path) -> None:
    """Else ``config check --try`` would promise to make it."""
    url = JournalUrl(path=f"{folder}/state/none.db")
    os.seteuid(users.NOBODY)
    try:
        for tried in (attempt, lambda url: open_engine(url, read_only=True)):
            with pytest.raises(JournalError, match="may not read") as caught:
                tried(url)
            assert caught.value.denied
    finally:
        os.seteuid(0)
    assert attempt(url) == "will be made at the start"
