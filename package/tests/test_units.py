"""What the shipped units promise, seen in a Debian that has booted. A test that changes a unit does so by a drop-in."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from package.roots import BOOTABLE, Root
from package.tests import sandbox, source
from package.tests.host import ACCEPTED, ADDRESS, BAD, INI, MONITOR, PLAIN, REFUSED, Host, booted_host

UNITS = ("spfmilter-requests.timer", "spfmilter.socket", "spfmilter-web", "spfmilter")
PROBE = "/usr/local/lib/spfmilter-sandbox.py"


@pytest.fixture(scope="module")
def running(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    root = Root.make(suite, tmp_path_factory.mktemp("units") / suite, [*BOOTABLE, *source.NEEDS])
    source.install(root)
    root.put(Path(sandbox.__file__), PROBE)
    root.enter("systemctl", "enable", "spfmilter")
    with booted_host(root) as found:
        yield found
    root.remove()


@pytest.fixture
def host(running: Host) -> Host:
    """The host as it is after an installation: nothing runs, nothing has failed, and no file of a test is left."""
    running.systemctl("stop", *UNITS)
    running.shell("rm -rf /etc/systemd/system/spfmilter*.d /usr/sbin/sendmail")
    running.systemctl("daemon-reload")
    running.systemctl("reset-failed")
    return running


# -- start, reload, stop -----------------------------------------------------------------------------------------------


def test_an_enabled_daemon_runs_after_the_boot(running: Host) -> None:
    assert running.at_boot == "active"


def test_a_start_waits_until_the_daemon_serves(host: Host) -> None:
    """And so does systemd before it starts Postfix."""
    host.start()
    assert host.ask(REFUSED) == "550"  # at once, and not after a while
    assert host.ask(ACCEPTED) == "continue"
    assert host.show("StatusText") == f"serving on {ADDRESS}, mode enforce, 2 workers"
    assert "postfix@-.service" in host.show("Before")


def test_a_reload_needs_no_kill_program(host: Host) -> None:
    assert (
        host.shell("command -v kill; ls /bin/kill /usr/bin/kill 2>/dev/null", check=False) == "kill"
    )  # the shell's own
    host.start()
    before = host.show("MainPID"), host.show("InvocationID")
    with host.session() as old:
        host.write(INI, MONITOR)
        host.systemctl("reload", "spfmilter")
        host.until_status("mode monitor, 2 workers")
        assert host.ask(REFUSED) == "continue"
        assert old.send(REFUSED) == "550", "a session keeps the settings with which it began"
    assert (host.show("MainPID"), host.show("InvocationID")) == before
    assert host.show("ActiveState") == "active"
    assert host.show("NRestarts") == "0"


def test_a_reload_of_a_bad_file_changes_nothing(host: Host) -> None:
    host.start()
    host.write(INI, BAD)
    host.systemctl("reload", "spfmilter")
    host.until_status("reload refused")
    assert host.ask(REFUSED) == "550"
    host.write(INI, PLAIN)
    host.systemctl("reload", "spfmilter")
    host.booted.until(lambda: host.show("StatusText").endswith("2 workers"), 30, "a status without the refusal")


def test_a_stop_lets_open_sessions_finish(host: Host) -> None:
    host.start()
    with host.session() as session:
        host.systemctl("stop", "--no-block", "spfmilter")
        host.until_status("draining")
        assert session.send(REFUSED) == "550"
        assert session.send(ACCEPTED) == "continue"
        assert host.show("ActiveState") == "deactivating"
    host.until("ActiveState", "inactive")
    assert host.show("Result") == "success"
    assert host.shell("ls -d /run/spfmilter", check=False) == ""


# -- failures ----------------------------------------------------------------------------------------------------------


def test_a_bad_file_is_not_tried_again(host: Host) -> None:
    host.write(INI, BAD)
    host.systemctl("start", "spfmilter", check=False)
    assert host.show("ExecMainStatus") == "78"
    assert host.show("ActiveState") == "failed"
    assert host.show("NRestarts") == "0"
    assert "workers" in host.show("StatusText"), "what is wrong stands in systemctl status"


@contextmanager
def held(host: Host) -> Iterator[None]:
    """Let another program have the daemon's socket."""
    program = "import socket, time\nheld = socket.create_server(('127.0.0.1', 8890))\ntime.sleep(900)\n"
    host.booted.run("systemd-run", "--quiet", "--unit=hold", "python3", "-c", program)
    try:
        host.booted.until(lambda: ":22BA" in host.shell("cat /proc/net/tcp"), 20, "the other program's socket")
        yield
    finally:
        host.systemctl("stop", "hold")


def test_a_taken_socket_is_tried_again(host: Host) -> None:
    """Until it is free: the exit status 73 is no reason to give up."""
    host.drop_in("spfmilter.service", "[Service]\nRestartSec=200ms\n")
    host.write(INI, PLAIN)
    with held(host):
        host.systemctl("start", "--no-block", "spfmilter")
        host.booted.until(lambda: int(host.show("NRestarts")) >= 2, 60, "two attempts")
    assert any("status=73" in entry["MESSAGE"] for entry in host.journal("-u", "spfmilter", "_PID=1"))
    host.until("ActiveState", "active")
    assert host.ask(REFUSED) == "550"


def test_a_killed_supervisor_is_started_again(host: Host) -> None:
    host.start()
    before = host.processes()
    host.systemctl("kill", "--signal=KILL", "--kill-whom=main", "spfmilter")
    host.until("NRestarts", "1")
    host.until("ActiveState", "active")
    assert host.ask(REFUSED) == "550"
    assert set(before) & set(host.processes()) == set(), "no worker of the old one is left"


def test_a_killed_worker_is_replaced_at_once(host: Host) -> None:
    host.start()
    main, before = host.show("MainPID"), host.processes()
    since = host.shell("date +%s")
    assert host.ask(REFUSED) == "550"
    search = ("-u", "spfmilter", f"--since=@{since}", "SPFMILTER_ACTION=reject")
    host.booted.until(lambda: bool(host.journal(*search)), 20, "the line of the message")
    worker = host.journal(*search)[-1]["_PID"]
    host.shell(f"kill -9 {worker}")

    def replaced() -> bool:
        now = host.processes()
        return len(now) == len(before) and worker not in now

    host.booted.until(replaced, 20, "another worker in its place")
    assert host.show("MainPID") == main
    assert host.show("NRestarts") == "0"
    assert host.ask(REFUSED) == "550"
    events = ("-u", "spfmilter", f"--since=@{since}", "-p", "warning")
    host.booted.until(
        lambda: any("worker exited unexpectedly" in entry["MESSAGE"] for entry in host.journal(*events)),
        10, "the event in the journal",
    )  # fmt: skip


def test_a_hanging_supervisor_is_killed_and_started_again(host: Host) -> None:
    host.start()
    main = host.show("MainPID")
    host.shell(f"kill -STOP {main}")
    host.until("NRestarts", "1", timeout=180)
    host.until("ActiveState", "active")
    assert host.show("MainPID") != main
    assert host.ask(REFUSED) == "550"
    assert any("atchdog timeout" in entry["MESSAGE"] for entry in host.journal("-u", "spfmilter", "_PID=1"))


# -- socket activation -------------------------------------------------------------------------------------------------


def test_the_socket_starts_the_daemon_and_survives_its_restarts(host: Host) -> None:
    host.write(INI, PLAIN.replace("[milter]", "[milter]\nsocket = systemd"))
    host.systemctl("start", "spfmilter.socket")
    assert host.show("ActiveState") == "inactive"
    assert host.ask(REFUSED) == "550"
    assert host.show("ActiveState") == "active"
    for _ in range(2):
        host.systemctl("restart", "--no-block", "spfmilter")
        assert host.ask(REFUSED) == "550", "a connection during a restart waits, and is not refused"
    host.until("ActiveState", "active")
    assert host.show("Result", "spfmilter.socket") == "success"


# -- the journal -------------------------------------------------------------------------------------------------------


def test_the_journal_has_the_fields_of_a_message(host: Host) -> None:
    host.start()
    since = host.shell("date +%s")
    assert host.ask(REFUSED) == "550"
    search = ("-u", "spfmilter", f"--since=@{since}", "SPFMILTER_ACTION=reject")
    host.booted.until(lambda: bool(host.journal(*search)), 20, "the line of the message")
    (entry,) = host.journal(*search)
    assert entry["SPFMILTER_FROM"] == f"<{REFUSED}>"
    assert entry["SPFMILTER_CASE"]
    assert entry["_SYSTEMD_UNIT"] == "spfmilter.service"
    assert entry["MESSAGE"].count("action=reject") == 1


# -- the sandbox -------------------------------------------------------------------------------------------------------

NOTHING = "0" * 16
LOCKED: Mapping[str, object] = {
    "user": "spfmilter",
    "umask": "0077",
    "capabilities": [NOTHING] * 3,
    "no new privileges": "1",
    "seccomp": "2",
    "core": [0, 0],
    "write in /etc": "EROFS",
    "write in /etc/spfmilter": "denied",  # ConfigurationDirectory= takes it out of ProtectSystem=; it is root's
    "write in /usr": "EROFS",
    "write in /var/lib": "EROFS",
    "write in /run/spfmilter": "done",
    "write in /var/lib/spfmilter": "done",
    "write in /var/lib/spfmilter/requests": "done",
    "write in /tmp": "done",
    "see others' files in /tmp": "ENOENT",
    "list /home": "denied",
    "list /run/spfmilter": "done",
    "read /etc/spfmilter/spfmilter.ini": "done",
    "see other users' processes": "ENOENT",
    "read /proc/meminfo": "ENOENT",
    "make a file set-group-ID": "denied",
    "give a file to its own group": "done",
    "make a namespace": "denied",
    "change the personality": "denied",
    "memory to write and to execute": "denied",
    "set the host name": "denied",
    "become root": "denied",
    "real time": "denied",
    "batch": "done",
    "choose a processor": "done",
    "AF_INET": "done",
    "AF_INET6": "done",
    "AF_UNIX": "done",
    "AF_NETLINK": "EAFNOSUPPORT",
}
PAGE = {
    **LOCKED,
    "user": "spfmilter-web",
    "write in /run/spfmilter": "denied",
    "list /run/spfmilter": "denied",
    "write in /var/lib/spfmilter": "EROFS",
    "give a file to its own group": "denied",
    "batch": "denied",
    "choose a processor": "denied",
}
# Of the digest, whose unit has to leave set-group-ID programs their rights.
DIGEST = {
    "user": "spfmilter",
    "umask": "0077",
    "capabilities": [NOTHING, None, NOTHING],
    "no new privileges": "0",
    "core": [0, 0],
    "write in /etc": "EROFS",
    "write in /etc/spfmilter": "EROFS",
    "write in /usr": "EROFS",
    "write in /var/lib/spfmilter/requests": "done",
    "see others' files in /tmp": "ENOENT",
    "list /home": "denied",
}


def tried_by(host: Host, unit: str) -> dict[str, Any]:
    """What a service may do: a program that tries it runs before the service, with all limits of its unit."""
    host.shell("touch /tmp/others && mkdir -p /home/user")
    host.write(f"/etc/systemd/system/{unit}.d/probe.conf", f"[Service]\nExecStartPre=/usr/bin/python3 {PROBE}\n")
    host.systemctl("daemon-reload")
    host.write(INI, PLAIN)
    since = host.shell("date +%s")
    host.systemctl("start", unit)
    search = ("-u", unit, f"--since=@{since}", "-t", "python3")
    host.booted.until(lambda: bool(host.journal(*search)), 20, "what the program has said")
    return dict(json.loads(host.journal(*search)[-1]["MESSAGE"]))


def differences(found: Mapping[str, Any], expected: Mapping[str, object]) -> dict[str, Any]:
    return {name: found[name] for name, value in expected.items() if found[name] != value}


def test_without_the_unit_the_attempts_succeed(host: Host) -> None:
    """The tests below can fail: what they expect to be refused is not refused by the user's rights alone."""
    host.shell("touch /tmp/others && mkdir -p /home/user")
    said = host.booted.run(
        "systemd-run", "--quiet", "--pipe", "--wait", "--uid=spfmilter", "/usr/bin/python3", PROBE
    ).stdout
    allowed = {
        "see others' files in /tmp", "list /home", "see other users' processes", "read /proc/meminfo",
        "make a file set-group-ID", "change the personality", "memory to write and to execute", "AF_NETLINK",
    }  # fmt: skip
    found = json.loads(said)
    assert {name for name in allowed if found[name] != "done"} == set()
    assert (found["seccomp"], found["no new privileges"]) != ("2", "1")
    assert found["users"] > 1000


def test_the_daemon_is_locked_in(host: Host) -> None:
    found = tried_by(host, "spfmilter.service")
    assert differences(found, LOCKED) == {}
    assert found["users"] < 10, "it sees its own user and root"
    assert host.ask(REFUSED) == "550"


def test_the_page_is_locked_in_further(host: Host) -> None:
    host.start()  # makes the secret
    found = tried_by(host, "spfmilter-web.service")
    assert differences(found, PAGE) == {}


# -- the page and the digest -------------------------------------------------------------------------------------------


def fetched(host: Host, path: str) -> str:
    script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())"
    return host.booted.beside(sys.executable, "-c", script, f"http://127.0.0.1:8891{path}").stdout


def test_the_page_serves_and_starts_again(host: Host) -> None:
    host.start()
    host.systemctl("start", "spfmilter-web")
    assert fetched(host, "/healthz").strip() == "ok"
    assert "<form" in fetched(host, "/spf/")
    assert host.shell("stat -c '%U %G %a' /var/lib/spfmilter/secret") == "spfmilter spfmilter-web 640"
    host.drop_in("spfmilter-web.service", "[Service]\nRestartSec=200ms\n")
    host.systemctl("kill", "--signal=KILL", "--kill-whom=main", "spfmilter-web")
    host.until("NRestarts", "1", unit="spfmilter-web")
    host.until("ActiveState", "active", unit="spfmilter-web")
    assert fetched(host, "/healthz").strip() == "ok"
    host.systemctl("stop", "spfmilter-web")
    assert host.show("Result", "spfmilter-web") == "success"


def test_the_page_does_not_try_a_bad_file_again(host: Host) -> None:
    host.write(INI, BAD)
    host.systemctl("start", "spfmilter-web", check=False)
    assert host.show("ExecMainStatus", "spfmilter-web") == "78"
    assert (host.show("ActiveState", "spfmilter-web"), host.show("NRestarts", "spfmilter-web")) == ("failed", "0")


def test_the_timer_runs_the_digest_each_morning(host: Host) -> None:
    host.systemctl("start", "spfmilter-requests.timer")
    assert "07:30" in host.show("NextElapseUSecRealtime", "spfmilter-requests.timer")
    assert host.show("Unit", "spfmilter-requests.timer") == "spfmilter-requests.service"
    asked = PLAIN + "[web]\nrequests = yes\nrequests_mail = postmaster@example.net\n"
    host.start(asked)
    host.systemctl("start", "spfmilter-requests.service")
    assert host.show("Result", "spfmilter-requests.service") == "success"
    host.booted.until(
        lambda: any("no mail was sent" in entry["MESSAGE"] for entry in host.journal("-u", "spfmilter-requests")),
        10, "its word in the journal",
    )  # fmt: skip


def test_the_digest_leaves_sendmail_its_rights(host: Host) -> None:
    host.drop_in("spfmilter-requests.service", "[Service]\nExecStart=\nExecStart=/bin/true\n")
    found = tried_by(host, "spfmilter-requests.service")
    found["capabilities"][1] = None  # its bounding set is that of the system
    assert differences(found, DIGEST) == {}
