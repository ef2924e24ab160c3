"""Bad files, each with the errors that it must have: failed as expected, and not by chance."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from spfmilter import units
from spfmilter.settings import SettingsError, ini, load, parse
from spfmilter.settings.schema import LATER, SECTIONS, key_of

BAD = sorted((Path(__file__).parent / "bad").glob("*.ini"))


def expected(path: Path) -> list[str]:
    return path.with_suffix(".expected").read_text(encoding="utf-8").splitlines()


def problems(path: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_fails_as_expected_and_not_by_chance(path) -> None:
    assert problems(path) == expected(path)


def test_every_bad_file_has_its_errors_and_the_reverse() -> None:
    folder = Path(__file__).parent / "bad"
    assert len(BAD) >= 35
    assert {path.stem for path in BAD} == {path.stem for path in folder.glob("*.expected")}


def test_every_key_that_is_not_available_yet_is_refused_by_one_of_them() -> None:
    said = "\n".join(line for path in BAD for line in expected(path) if "not available yet" in line)
    for section, (_, model) in SECTIONS.items():
        for name, info in model.model_fields.items():
            if LATER in info.metadata:
                assert f"[{section}] {key_of(model, name)}: " in said


@pytest.mark.parametrize("name", ["several", "recipients-unknown", "latin-1"])
@pytest.mark.parametrize("command", [["run"], ["config", "check"]])
def test_the_commands_say_the_same_on_stderr_and_exit_with_78(name, command) -> None:
    path = Path(__file__).parent / "bad" / f"{name}.ini"
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "spfmilter", *command, "-c", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (os.EX_CONFIG, "")
    assert done.stderr.splitlines() == [f"{path}: {line}" for line in expected(path)]


@pytest.mark.parametrize(
    "text",
    [
        "[milter]\nsocket = inet:8891@127.0.0.1",  # of the help page's port by default: it need not run here
        "[milter]\nsocket = unix:/run/spfmilter/socket\n[metrics]\nlisten = 127.0.0.1:9890",
        "[metrics]\nlisten = 127.0.0.1:8890\n[milter]\nsocket = inet:8890@127.0.0.2",
        "[milter]\nsocket = systemd\n[metrics]\nlisten = [::1]:9890\n[web]\nlisten = 127.0.0.1:9890",
    ],
)
def test_listeners_that_are_not_in_each_others_way(text: str) -> None:
    parse(text)


def test_a_huge_file_is_refused_without_being_read_whole() -> None:
    assert problems(Path("/dev/zero")) == ["the file is larger than 1024 KB: this is not a settings file"]


def test_a_file_of_the_largest_size_is_read(tmp_path) -> None:
    path = tmp_path / "large.ini"
    path.write_bytes(b"#" * ini.SIZE_LIMIT)
    load(path)
    path.write_bytes(b"#" * (ini.SIZE_LIMIT + 1))
    assert len(problems(path)) == 1


def test_a_byte_order_mark_and_crlf_are_accepted(tmp_path) -> None:
    path = tmp_path / "windows.ini"
    path.write_bytes(
        b"\xef\xbb\xbf[policy]\r\nmode = monitor\r\n\r\n[exempt]\r\nnetworks =\r\n  ::1,\r\n  192.0.2.7\r\n"
    )
    settings = load(path)
    assert settings.policy.mode == "monitor"
    assert settings.lines["exempt", "networks"] == 5
    assert len(settings.exempt.networks) == 2


def test_a_missing_file_and_a_directory_are_reported(tmp_path) -> None:
    assert problems(tmp_path / "none.ini") == ["there is no such file: write it, or name another with -c FILE"]
    assert problems(tmp_path) == ["cannot be read: Is a directory: name the file itself with -c FILE"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_that_may_not_be_read_is_said_with_the_command_that_lets_its_reader(monkeypatch) -> None:
    """In the daemon's own log, "run this as root" helps nobody; the paths are whole, so that they can be pasted."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "spfmilter.ini"
        path.touch(mode=0o600)

        def said(*services: str) -> str:
            monkeypatch.setattr(units, "daemon_user", lambda: services[0])
            monkeypatch.setattr(units, "page_user", lambda: services[-1])
            os.setegid(1)
            os.seteuid(1)
            try:
                (problem,) = problems(path)
            finally:
                os.seteuid(0)
                os.setegid(0)
            return problem

        denied = "cannot be read: Permission denied: user daemon may not read it; "
        whose = f"{path} belongs to root:root, mode 0600"
        assert said("daemon", "x") == f"{denied}{whose}: chgrp daemon {path} && chmod 0640 {path}"
        assert said("x", "daemon").startswith(f"{denied}{whose}: if it holds no password, chmod 0644 {path}; else give")
        assert said("x") == f"{denied}{whose}: run this as root"
        folder.chmod(0o700)
        closed = f"{folder} belongs to root:root, mode 0700, and keeps them out: chmod o+x {folder}"
        assert said("daemon") == f"{denied}{closed}"
