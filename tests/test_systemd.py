"""The unit file: systemd accepts it, it locks the daemon in, and it agrees with the settings and the command line.

systemd-analyze(1) and systemd-sysusers(8) read the files themselves; no service manager runs here, and none is needed.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.processes import HUNG
from spfmilter.cli import cli
from spfmilter.commands.console import EX_CONFIG, EX_UNAVAILABLE
from spfmilter.daemon.fleet import MAX_SILENCE, STOP_GRACE
from spfmilter.daemon.slots import MAX_BEAT_AGE
from spfmilter.settings import DEFAULT_PATH, Settings

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "systemd" / "spfmilter.service"
WEB = ROOT / "systemd" / "spfmilter-web.service"
DIGEST = ROOT / "systemd" / "spfmilter-requests.service"
TIMER = ROOT / "systemd" / "spfmilter-requests.timer"
TMPFILES = ROOT / "systemd" / "tmpfiles.d" / "spfmilter.conf"
SYSUSERS = ROOT / "systemd" / "sysusers.d" / "spfmilter.conf"
MAX_EXPOSURE = 2.0  # of 10, as systemd-analyze reckons

# What stays exposed, each with its reason; a line that gets lost from the unit file shows here by its name.
EXPOSED = {
    "RestrictAddressFamilies_AF_INET_INET6": "milter connections and DNS",
    "PrivateNetwork": "the same",
    "IPAddressDeny": "DNS servers may be anywhere",
    "RestrictAddressFamilies_AF_UNIX": "the milter socket, sd_notify, the journal, syslog",
    "SystemCallFilter_privileged": "chown, for [milter] socket_group; no capability goes with it",
    "SystemCallFilter_resources": "sched_setaffinity for pin_workers, and sched_setscheduler, to give way",
    "DeviceAllow": "systemd itself adds char-rtc to ProtectClock=",
    "RootDirectoryOrRootImage": "the daemon is an installed program, not an image",
}


def needs(command: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(command) is None, reason=f"{command} is missing: tools/setup.sh systemd")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own


def values(unit: Path = UNIT) -> dict[str, list[str]]:
    """What a unit file says for each key, in its order; a key may be given several times."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and line[0] not in "#[":
            found.setdefault(key, []).append(value)
    return found


def one(key: str, unit: Path = UNIT) -> str:
    (value,) = values(unit)[key]
    return value


@pytest.mark.outside
@needs("systemd-analyze")
@pytest.mark.parametrize("unit", [UNIT, WEB, DIGEST], ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(tmp_path: Path, unit: Path) -> None:
    """As a copy whose ExecStart= names a program that is there: verify wants to find it, and it is not installed yet.

    The manual pages are not installed either; that they exist is checked below.
    """
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text()))
    done = run("systemd-analyze", "verify", "--man=no", copy)
    assert done.stderr == ""  # a key that systemd does not know is only a warning
    assert done.returncode == 0


@pytest.mark.outside
@needs("systemd-analyze")
def test_systemd_finds_fault_with_a_wrong_unit(tmp_path: Path) -> None:
    """The test above can fail."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in run("systemd-analyze", "verify", "--man=no", copy).stderr


@pytest.mark.outside
@needs("systemd-analyze")
@pytest.mark.parametrize("unit", [UNIT, WEB], ids=lambda unit: unit.stem)
def test_exposure_is_low(unit: Path) -> None:
    """The exit status says whether the overall figure is within the threshold, which is in tenths."""
    security = ("systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE * 10:.0f}")
    done = run(*security, unit)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


@pytest.mark.outside
@needs("systemd-analyze")
@pytest.mark.parametrize("unit", [UNIT, WEB], ids=lambda unit: unit.stem)
def test_what_stays_exposed_has_a_reason(unit: Path) -> None:
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", "--json=short", unit)
    assert {finding["json_field"] for finding in json.loads(done.stdout) if finding["exposure"]} <= set(EXPOSED)


@pytest.mark.outside
@needs("systemd-sysusers")
def test_sysusers_makes_the_users_that_the_units_name(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", SYSUSERS)
    assert done.returncode == 0, done.stderr
    names = {line.split(":")[0] for line in (tmp_path / "etc" / "passwd").read_text().splitlines()}
    groups = {line.split(":")[0] for line in (tmp_path / "etc" / "group").read_text().splitlines()}
    for unit in (UNIT, WEB):
        assert one("User", unit) in names
        assert one("Group", unit) in groups
    members = [
        line for line in (tmp_path / "etc" / "group").read_text().splitlines() if line.startswith("spfmilter-web:")
    ]
    assert members[0].endswith(":spfmilter"), "who answers in the file of the help page"


@pytest.mark.outside
@needs("systemd-tmpfiles")
def test_tmpfiles_makes_the_folders_also_that_for_a_chrooted_postfix(tmp_path: Path) -> None:
    """The line for the chroot is a comment; without its mark it makes the folder that docs/postfix.md describes."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nspfmilter:x:990:990::/:/bin/false\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\nspfmilter:x:990:\npostfix:x:991:\nspfmilter-web:x:992:\n")
    secret = tmp_path / "var" / "lib" / "spfmilter" / "secret"
    secret.parent.mkdir(parents=True, mode=0o750)
    secret.touch(mode=0o600)  # of an earlier version, whose page had the daemon's user
    if os.geteuid() == 0:
        os.chown(secret, 990, 990)
    asked = tmp_path / "asked.conf"
    asked.write_text(re.sub(r"(?m)^#(?=d )", "", TMPFILES.read_text()))
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", asked)
    assert done.returncode == 0, done.stderr
    settings = tmp_path / "etc" / "spfmilter"
    assert settings.is_dir()
    assert settings.stat().st_mode & 0o7777 == 0o755
    inside = tmp_path / "var" / "spool" / "postfix" / "spfmilter"
    assert inside.stat().st_mode & 0o7777 == 0o2750
    assert secret.parent.stat().st_mode & 0o7777 == 0o2710
    requests = secret.parent / "requests"
    assert requests.stat().st_mode & 0o7777 == 0o2770
    assert secret.stat().st_mode & 0o7777 == 0o640
    if os.geteuid() == 0:
        assert (secret.stat().st_uid, secret.stat().st_gid) == (990, 992)
        assert (secret.parent.stat().st_uid, secret.parent.stat().st_gid) == (990, 992)
        assert (requests.stat().st_uid, requests.stat().st_gid) == (990, 992)
        assert (inside.stat().st_uid, inside.stat().st_gid) == (990, 991)


def test_the_unit_runs_a_command_that_exists() -> None:
    program, command, *options = shlex.split(one("ExecStart"))
    assert Path(program).name == "spfmilter"
    assert command in cli.commands
    assert options == ["-c", str(DEFAULT_PATH)]


def test_the_timer_runs_the_digest_with_the_rights_that_sendmail_needs() -> None:
    program, *command = shlex.split(one("ExecStart", DIGEST))
    assert Path(program).name == "spfmilter"
    assert command == ["requests", "digest", "-c", str(DEFAULT_PATH)]
    assert TIMER.stem == DIGEST.stem
    allowed = {"ProtectSystem", "ProtectHome", "PrivateTmp"}  # all others imply NoNewPrivileges=
    assert {
        key for key in values(DIGEST) if key.startswith(("Protect", "Private", "Restrict", "System", "No"))
    } == allowed


def test_a_bad_file_is_not_tried_again() -> None:
    assert one("RestartPreventExitStatus") == str(EX_CONFIG)


def test_systemd_waits_longer_than_the_daemon_drains() -> None:
    drain = Settings().milter.drain_timeout
    assert int(one("TimeoutStopSec").removesuffix("s")) > drain.seconds + STOP_GRACE
    assert f"drain_timeout ({drain}) and the {STOP_GRACE:g}s" in UNIT.read_text()


def test_the_watchdog_waits_until_hanging_workers_are_replaced() -> None:
    """A sign of life is due at half of its time, and the supervisor has to have its chance between two of them."""
    limit = int(one("WatchdogSec").removesuffix("s"))
    assert limit > MAX_SILENCE + MAX_BEAT_AGE
    assert f"every {limit // 2}s" in UNIT.read_text()


def test_every_session_may_have_its_thread() -> None:
    """Those of a large server, which all wait for the DNS, in two generations; and a crash leaves no core file."""
    assert int(one("TasksMax")) >= 2 * 2 * 2000
    assert int(one("LimitNOFILE")) > int(one("TasksMax"))
    assert one("LimitCORE") == one("LimitCORE", WEB) == "0"


def test_only_the_supervisor_gets_systemds_signals() -> None:
    """The daemon's words come from it, reload is its SIGHUP, and stop is its to pass on."""
    assert one("Type") == "notify"  # and not what Debian 12 does not know
    assert one("NotifyAccess") == "main"
    assert one("ExecReload") == "/bin/sh -c 'kill -HUP $MAINPID'"  # /bin/kill is not on every host
    assert one("KillMode") == "mixed"


def test_the_folders_are_those_of_the_settings() -> None:
    """Made by systemd: the INI file's, and the one of the example of a unix socket."""
    assert Path("/etc") / one("ConfigurationDirectory") == DEFAULT_PATH.parent
    assert one("RuntimeDirectory") == "spfmilter"


def test_the_manual_pages_exist() -> None:
    pages = re.findall(r"man:([\w.]+)\((\d)\)", one("Documentation"))
    assert pages
    missing = [f"{name}.{section}" for name, section in pages if not (ROOT / "man" / f"{name}.{section}").is_file()]
    assert missing == []


# -- the help page -----------------------------------------------------------------------------------------------------

# What the daemon's unit has for work that the page does not do.
DAEMONS_OWN = {
    "ExecReload", "WatchdogSec", "KillMode", "RuntimeDirectory", "RuntimeDirectoryMode", "Before",
    "StartLimitIntervalSec",
}  # fmt: skip
DIFFERENT = {
    "Description", "User", "Group", "After", "ExecStart", "RestartPreventExitStatus", "TimeoutStopSec", "LimitNOFILE",
    "TasksMax",
    "SystemCallFilter", "ReadWritePaths",
}  # fmt: skip


def test_the_page_is_locked_in_as_the_daemon_is() -> None:
    daemon, page = values(UNIT), values(WEB)
    assert daemon.keys() - page.keys() == DAEMONS_OWN
    assert "InaccessiblePaths" in page
    assert {key for key in daemon.keys() & page.keys() if daemon[key] != page[key]} == DIFFERENT
    assert page["ReadWritePaths"] == ["-/var/lib/spfmilter/requests"]
    assert daemon["SystemCallFilter"][:2] == page["SystemCallFilter"]  # what follows lets the daemon do more


def test_the_page_runs_its_command_and_finds_the_secrets() -> None:
    program, command, *options = shlex.split(one("ExecStart", WEB))
    assert (Path(program).name, command, options) == ("spfmilter", "web", ["-c", str(DEFAULT_PATH)])
    folder = Path(Settings().web.secret_file).parent
    assert f"-{folder}" in values(UNIT)["ReadWritePaths"]  # the daemon makes the file
    assert f"\nd {folder} 2710 {one('User')} {one('Group', WEB)} -\n" in TMPFILES.read_text()
    assert one("UMask") == "0077"  # what else it makes there is its own
    assert {one("User", WEB), one("Group", WEB)} & {one("User"), one("Group")} == set()
    assert one("RestartPreventExitStatus", WEB).split() == [str(EX_UNAVAILABLE), str(EX_CONFIG)]
