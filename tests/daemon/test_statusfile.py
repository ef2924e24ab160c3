"""The status file: where it is, how it is replaced, and whom a reader believes."""

import os
import signal
import stat
from pathlib import Path

import pytest

from spfmilter.daemon import life, statusfile
from spfmilter.daemon.life import Life
from spfmilter.daemon.snapshot import encode
from spfmilter.daemon.statusfile import StatusFile, find, name_for
from tests.health.snapshots import INI, snapshot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The daemon's runtime folder. There is no other place for the file."""
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(runtime))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr(statusfile, "RUNTIME", tmp_path / "none")
    return runtime


def test_the_name_depends_on_the_ini_file_alone(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert name_for(Path("a.ini")) == name_for(tmp_path / "a.ini") == name_for(Path("sub/../a.ini"))
    assert name_for(Path("a.ini")) != name_for(Path("b.ini"))
    assert name_for(Path("a.ini")).startswith("status-")


def test_what_is_written_is_found(folder: Path) -> None:
    file, first, second = StatusFile(INI), snapshot(), snapshot(age=1.0)
    for written in (first, second):
        assert file.write(encode(written)) == ""
        found = find(INI)
        assert (found.snapshot, found.path, found.trouble) == (written, folder / name_for(INI), "")
    assert [path.name for path in folder.iterdir()] == [name_for(INI)]
    file.remove()
    assert list(folder.iterdir()) == []
    assert find(INI).snapshot is None
    assert str(folder) in find(INI).trouble


def test_all_users_may_read_it_and_its_owner_alone_may_write(folder: Path) -> None:
    before = os.umask(0)
    try:
        StatusFile(INI).write(encode(snapshot()))
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / name_for(INI)).stat().st_mode) == 0o644


def test_a_file_of_a_killed_daemon_is_replaced(folder: Path) -> None:
    (folder / name_for(INI)).write_bytes(b"old")
    (folder / f".{name_for(INI)}.{os.getpid()}").write_bytes(b"half")
    StatusFile(INI).write(encode(snapshot()))
    assert find(INI).snapshot is not None
    assert len(list(folder.iterdir())) == 1


def test_without_a_runtime_folder_it_is_in_a_folder_of_the_user(folder: Path, tmp_path, monkeypatch) -> None:
    folder.rmdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    file = StatusFile(INI)
    file.write(encode(snapshot()))
    own = tmp_path / f"spfmilter-{os.geteuid()}"
    assert find(INI).path == own / name_for(INI)
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    file.remove()
    assert not own.exists()


@pytest.mark.parametrize("made", ["link", "file", "writable"])
def test_a_folder_that_another_user_has_made_in_its_place_is_not_used(folder, tmp_path, monkeypatch, made: str) -> None:
    folder.rmdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    own, other = tmp_path / f"spfmilter-{os.geteuid()}", tmp_path / "other"
    other.mkdir()
    if made == "link":
        own.symlink_to(other)
    elif made == "file":
        own.write_text("")
    else:
        own.mkdir()
        own.chmod(0o777)
    with pytest.raises(OSError):  # noqa: PT011 - which one depends
        StatusFile(INI).write(encode(snapshot()))
    assert list(other.iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_a_folder_that_takes_no_new_file_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file is overwritten in place, with its reason, and replaced as soon as that is possible again."""
    file = StatusFile(INI)
    file.write(encode(snapshot(age=123456789.0)))

    def refuse(_self: StatusFile, _folder: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(StatusFile, "_replace", refuse)
        shorter = snapshot(age=1.0)
        assert file.write(encode(shorter)) == "No space left on device"
        assert find(INI).snapshot == shorter
        with pytest.raises(OSError, match="No space"):
            file.write(encode(snapshot(file="/" + 400 * "x", socket=400 * "y", mode=1000_000 * "z")))
    assert file.write(encode(shorter)) == ""


def test_a_reader_waits_for_nothing(folder: Path) -> None:
    os.mkfifo(folder / name_for(INI))
    assert "not believed" in find(INI).trouble


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / name_for(INI)).symlink_to(tmp_path / "secret")
    found = find(INI)
    assert (found.snapshot, found.denied) == (None, False)
    assert "cannot be read" in found.trouble


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_not_believed(folder: Path, mode: int) -> None:
    StatusFile(INI).write(encode(snapshot()))
    (folder / name_for(INI)).chmod(mode)
    found = find(INI)
    assert found.snapshot is None
    assert "not believed" in found.trouble


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_believed(folder: Path) -> None:
    StatusFile(INI).write(encode(snapshot()))
    os.chown(folder / name_for(INI), 65534, 65534)
    assert "not believed" in find(INI).trouble
    os.chown(folder, 65534, 65534)
    assert find(INI).snapshot is not None, "the folder's owner is the daemon's user"


@pytest.mark.parametrize("text", [b"", b"{}", b"\0" * 100, b"x" * (2 << 20)])
def test_a_broken_file_is_an_answer(folder: Path, text: bytes) -> None:
    (folder / name_for(INI)).write_bytes(text)
    found = find(INI)
    assert found.snapshot is None
    assert "is not a status file of this version" in found.trouble


def test_of_two_files_the_latest_counts(folder: Path, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other"
    other.mkdir()
    StatusFile(INI).write(encode(snapshot(time=1000.0)))
    monkeypatch.setattr(statusfile, "RUNTIME", other)
    monkeypatch.setenv("RUNTIME_DIRECTORY", "")
    StatusFile(INI).write(encode(snapshot(time=2000.0)))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    assert find(INI).path == other / name_for(INI)


# -- processes ---------------------------------------------------------------------------------------------------------


def test_this_process_runs() -> None:
    pid, space = os.getpid(), life.namespace()
    assert life.life(pid, space) is Life.RUNS
    assert life.life(pid, space, life.start_of(pid)) is Life.RUNS
    assert life.life(pid, space, life.start_of(pid) + 1) is Life.GONE, "another process with that pid"
    assert life.life(pid, space + 1) is Life.UNKNOWN, "in another container"
    assert life.life(0, space) is Life.UNKNOWN
    assert life.life(1 << 40, space) in {Life.GONE, Life.UNKNOWN}
    assert life.life(1 << 61, space) in {Life.GONE, Life.UNKNOWN}


def test_a_child_that_is_stopped_and_one_that_has_ended() -> None:
    space, child = life.namespace(), os.fork()
    if child == 0:
        while True:
            signal.pause()
    try:
        os.kill(child, signal.SIGSTOP)
        os.waitpid(child, os.WUNTRACED)
        assert life.life(child, space) is Life.STOPPED
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert life.life(child, space) is Life.GONE, "a zombie"
        os.waitpid(child, 0)
    assert life.life(child, space) is Life.GONE
