"""Page and daemon as two users share the file of the requests, and nothing else: no page can add an exemption."""

import json
import os
import subprocess
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

from lab.daemon import COMMAND
from lab.processes import HUNG, until
from tests.web.site import WEB
from tests.web.test_server import get
from tests.web.test_two_users import DAEMON, PAGE, PATH, PYTHON, Place, link, succeeds
from tests.web.test_two_users import place as place  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.outside

FORM = urlencode({"sentence": "I am your dentist.", "answer_to": "dentist@example.com"})


def command(place: Place, ini: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the daemon's user, whom sysusers.d makes a member of the page's group."""
    user = ("setpriv", f"--reuid={DAEMON}", f"--regid={DAEMON}", f"--groups={PAGE}")
    program = ("env", f"PYTHONPATH={PATH}", PYTHON, "-m", "spfmilter", *words, "-c", ini)
    line = (*user, "sh", "-c", 'umask 077; exec "$@"', "sh", *program)
    return subprocess.run(line, cwd=place.folder.parent, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own


def post(url: str) -> int:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=HUNG)
    connection.request("POST", parts.path, FORM, {"Content-Type": "application/x-www-form-urlencoded"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_page_writes_requests_and_the_daemons_user_answers(place: Place) -> None:
    folder = place.folder / "requests"
    folder.mkdir()
    os.chown(folder, DAEMON, PAGE)
    folder.chmod(0o2770)  # as tmpfiles.d makes it
    place = replace(place, ini=f"{place.ini}requests = yes\n[state]\nfolder = {place.folder}\n")
    with place.process(DAEMON, COMMAND) as daemon, place.process(PAGE, WEB):
        url, ini = link(place), str(daemon.ini_path)
        daemon.ini_path.chmod(0o644)
        until(lambda: "Ask the administrator" in get(url)[1], 20.0, "the page takes requests")
        assert post(url) == 303
        listed = command(place, ini, "requests", "list", "--json")
        assert listed.returncode == 0, listed.stderr
        [one] = json.loads(listed.stdout)["requests"]
        granted = command(place, ini, "requests", "grant", one["case_id"])
        assert granted.returncode == 0, granted.stderr
        until(lambda: "The administrator has let your server in" in get(url)[1], 20.0, "granted")
        file, exemptions = folder / "requests.db", place.folder / "exemptions.db"
        assert (file.stat().st_gid, file.stat().st_mode & 0o7777) == (PAGE, 0o660)
        assert exemptions.stat().st_mode & 0o7777 == 0o600
        for test in (("cat", str(exemptions)), ("sh", "-c", f"echo x >> {exemptions}"), ("rm", "-f", str(exemptions))):
            assert not succeeds(PAGE, *test), test
        assert succeeds(PAGE, "touch", str(folder / "new")), "the test can fail"


def test_a_page_without_its_folder_says_what_makes_it_and_has_no_form(place: Place) -> None:
    place = replace(place, ini=f"{place.ini}requests = yes\n[state]\nfolder = {place.folder}\n")
    with place.process(DAEMON, COMMAND), place.process(PAGE, WEB) as page:
        page.wait_for_log("requests cannot be kept.*user 64002 may not write.*systemd-tmpfiles --create spfmilter.conf")
        status, text = get(link(place))
        assert (status, "Ask the administrator" in text) == (200, False)
