"""The INI file beside the settings in force, and the versions."""

from typing import Any

import pytest

from spfmilter.daemon.snapshot import ReloadState
from spfmilter.health.configuration import configuration, versions, versions_part
from spfmilter.health.known import IniFile
from spfmilter.health.parts import Level, Part
from tests.health.snapshots import VERSIONS, known, snapshot
from tests.values import settings

OK, WARNING, CRITICAL, UNKNOWN = Level
IN_FORCE = "[policy]\nmode = monitor\n"


def part_of(ini: str | IniFile, **changed: Any) -> Part:
    """The part, if the daemon has read IN_FORCE."""
    file = IniFile(settings=settings(ini)) if isinstance(ini, str) else ini
    (part,) = configuration(known(snapshot(IN_FORCE, **changed), ini=file))
    return part


def reload(*, done: bool) -> ReloadState:
    return ReloadState(done=done, reason="" if done else "2 problems in spfmilter.ini", age=59.0)


@pytest.mark.parametrize(
    ("ini", "changed", "level", "text", "fix"),
    [
        (IN_FORCE, {}, OK, "/etc/spfmilter/spfmilter.ini is valid", ""),
        (IN_FORCE, {"reload": reload(done=True)}, OK, "is valid; reloaded 1 min ago", ""),
        ("", {}, WARNING, "it has changed since the daemon read it 1 h ago", "systemctl reload"),
        ("", {"reloading": True}, OK, "a reload is under way", ""),
        ("", {"reload": reload(done=False)}, WARNING, "reload refused 1 min ago: 2 problems", "systemctl reload"),
        (IN_FORCE, {"reload": reload(done=False)}, OK, "reload refused 1 min ago: 2 problems", ""),
        (
            IN_FORCE + "[milter]\nsocket = inet:1@127.0.0.1\n",
            {},
            WARNING,
            "restart is needed for [milter] socket",
            "restart",
        ),
        (
            IN_FORCE + "[milter]\nsocket_mode = 0600\n[metrics]\nlisten = 127.0.0.1:9890\n",
            {},
            WARNING,
            "a restart is needed for [milter] socket_mode, [metrics] listen",
            "systemctl restart",
        ),
        (IniFile(problems=("line 3: no",)), {}, WARNING, "a restart would fail: line 3: no", "spfmilter config check"),
        (IniFile(problems=("a", "b", "c")), {}, WARNING, "would fail: a and 2 more", "spfmilter config check"),
        (IniFile(problems=("a",)), {"reload": reload(done=False)}, WARNING, "reload refused 1 min ago", "config check"),
        (IniFile(problems=("Permission denied",), readable=False), {}, UNKNOWN, "Permission denied", ""),
    ],
)
def test_the_configuration(ini, changed, level: Level, text: str, fix: str) -> None:
    part = part_of(ini, **changed)
    assert part.level is level
    assert text in part.text
    assert fix in part.fix
    assert bool(part.fix) == bool(fix)


def test_for_programs() -> None:
    data = part_of("[milter]\nsocket = inet:1@127.0.0.1\n", reload=reload(done=False)).data
    assert data == {
        "file": "/etc/spfmilter/spfmilter.ini",
        "valid": True,
        "problems": [],
        "further_files": [],
        "variables": [],
        "list_files": {},
        "reload_needed": True,
        "restart_needed": ["[milter] socket"],
        "reload": {"done": False, "seconds": 60.0, "reason": "2 problems in spfmilter.ini"},
    }


def test_without_a_daemon_the_file_alone_is_judged() -> None:
    (part,) = configuration(known(ini=IniFile(settings=settings("[milter]\nsocket = inet:1@127.0.0.1\n"))))
    assert (part.level, part.data["reload_needed"]) == (OK, None)


def test_the_versions() -> None:
    part = versions_part(VERSIONS, {**VERSIONS, "SQLite": "3.46.1"})
    assert (part.level, part.text) == (OK, "spfmilter 1.0, Python 3.13.5, pyspf 2.0.14, SQLite 3.46.1")


@pytest.mark.parametrize(
    ("installed", "text"),
    [
        ({**VERSIONS, "spfmilter": "1.1"}, "the daemon runs with spfmilter 1.0, Python 3.13.5"),
        ({**VERSIONS, "spfmilter": "1.1"}, "installed since: spfmilter 1.1"),
        ({"spfmilter": "1.0", "python": "3.13.5"}, "installed since: pyspf (removed)"),
    ],
)
def test_an_upgrade_without_a_restart(installed, text: str) -> None:
    part = versions_part(VERSIONS, installed)
    assert part.level is WARNING
    assert text in part.text
    assert part.fix == "systemctl restart spfmilter"


def test_without_a_daemon_the_installed_versions_are_shown() -> None:
    (part,) = versions(known())
    assert part.level is OK
    assert "pymilter" in part.text
    assert "SQLite" in part.text
