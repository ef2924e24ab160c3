"""Daemon and page as two users: the page reads the secrets that the daemon has made, and nothing else of its own."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.processes import HUNG, free_port
from tests.web.site import WEB, ZONE
from tests.web.test_server import get

pytestmark = pytest.mark.outside

DAEMON, PAGE = 64001, 64002  # users, and their groups


def as_user(user: int, *command: str) -> tuple[str, ...]:
    """As the unit files do it: a user, their group, no other, and no right for other users by default."""
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs")
    return (*drop, "sh", "-c", 'umask 077; exec "$@"', "sh", *command)


def succeeds(user: int, *command: str) -> bool:
    return subprocess.run(as_user(user, *command), capture_output=True, timeout=HUNG, check=False).returncode == 0  # noqa: S603 - our own


if os.geteuid() != 0 or shutil.which("setpriv") is None:
    pytest.skip("only root can be two users", allow_module_level=True)
# Root's own Python may be where no other user gets at it; the system's, of the same version, then takes its packages.
PATH = f"{Path(__file__).parents[2]}:{sysconfig.get_path('platlib')}"
PYTHONS = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
PYTHON = next(
    (
        python
        for python in PYTHONS
        if succeeds(DAEMON, "env", f"PYTHONPATH={PATH}", python, "-c", "import spfmilter.cli, milter, starlette")
    ),
    "",
)
if not PYTHON:
    pytest.skip("other users cannot run this Python", allow_module_level=True)


@dataclass(frozen=True)
class Place:
    """Where both run."""

    folder: Path  # /var/lib/spfmilter, as tmpfiles.d makes it
    ini: str
    milter: str
    dns: ScriptedDNS

    @property
    def secret(self) -> Path:
        """The file that both need."""
        return self.folder / "secret"

    def process(self, user: int, command: Sequence[str]) -> SpfmilterDaemon:
        """A process of that user, not started yet."""
        words = (PYTHON if word == sys.executable else word for word in command)
        made = SpfmilterDaemon(self.ini, command=as_user(user, *words), environment={"PYTHONPATH": PATH})
        made.folder.chmod(0o755)
        return made


@pytest.fixture
def place() -> Iterator[Place]:
    outer = Path(tempfile.mkdtemp(prefix="two-users-"))
    outer.chmod(0o755)
    folder, milter, port = outer / "state", f"inet:{free_port()}@127.0.0.1", free_port()
    folder.mkdir()
    os.chown(folder, DAEMON, PAGE)
    folder.chmod(0o2710)
    with ScriptedDNS(ZONE) as dns:
        ini = (
            f"[policy]\nreject_at = mail\n[milter]\nsocket = {milter}\n[dns]\nnameservers = {dns.address}\n"
            f"[reply]\nhelp_url = http://127.0.0.1:{port}/spf/{{token}}\n"
            f"[web]\nlisten = 127.0.0.1:{port}\nsecret_file = {folder / 'secret'}\n"
        )
        yield Place(folder, ini, milter, dns)
    shutil.rmtree(outer)


def link(place: Place) -> str:
    """The link in the daemon's notice."""
    with MilterClient(place.milter, timeout=30) as mta:
        mta.greet("203.0.113.7")
        reply = mta.mail("<alice@example.com>")
    assert reply.code == "550"
    found = re.search(r"http://\S+", str(reply.lines))
    assert found is not None
    return found[0].rstrip("',\")]")


def test_a_link_of_the_daemon_leads_to_the_page_of_the_other_user(place: Place) -> None:
    with place.process(DAEMON, COMMAND), place.process(PAGE, WEB):
        status, text = get(link(place))
        assert status == 200
        assert "Your message was refused" in text
        found = place.secret.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (DAEMON, PAGE, 0o640)


def test_the_page_reads_nothing_else_and_writes_nothing(place: Place) -> None:
    journal = place.folder / "journal.db"
    with place.process(DAEMON, COMMAND):
        assert succeeds(DAEMON, "sh", "-c", f"echo rows > {journal}")
    assert succeeds(PAGE, "cat", str(place.secret)), "the test can fail"
    for command in (
        ("cat", str(journal)),
        ("ls", str(place.folder)),
        ("touch", str(place.folder / "new")),
        ("sh", "-c", f"echo mine >> {place.secret}"),
        ("rm", "-f", str(place.secret)),
        ("chmod", "0644", str(place.secret)),
    ):
        assert not succeeds(PAGE, *command), command


def test_the_page_makes_no_secret_and_says_who_does(place: Place) -> None:
    page = place.process(PAGE, WEB)
    with pytest.raises(RuntimeError, match="ended with 73"):
        page.start()
    assert re.search(r"cannot start.*is not there, and cannot be made.*Permission denied for user 64002", page.log())
    assert "the daemon makes the file when it starts with [reply] help_url" in page.log()
    assert not place.secret.exists()


@pytest.mark.parametrize("closed", ["file", "folder"])
def test_a_secret_that_the_page_may_not_read_is_reported_with_what_to_do(place: Place, closed: str) -> None:
    with place.process(DAEMON, COMMAND):
        pass
    (place.secret if closed == "file" else place.folder).chmod(0o600 if closed == "file" else 0o700)
    page = place.process(PAGE, WEB)
    with pytest.raises(RuntimeError, match="ended with 73"):
        page.start()
    assert re.search(r"cannot be read: Permission denied for user 64002.* \(64001:\w+, mode \d+\): ch", page.log())


def test_a_file_of_one_user_goes_on_to_work_for_one_user(place: Place) -> None:
    """As it was before: mode 0600, in a folder of the daemon's own."""
    place.folder.chmod(0o750)
    os.chown(place.folder, DAEMON, DAEMON)
    place.secret.touch(mode=0o600)
    os.chown(place.secret, DAEMON, DAEMON)
    place.secret.write_text("the-secret-of-an-earlier-version\n")
    with place.process(DAEMON, COMMAND), place.process(DAEMON, WEB):
        assert get(link(place))[0] == 200
    assert place.secret.stat().st_mode & 0o7777 == 0o600
