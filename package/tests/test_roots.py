"""Bare roots themselves: a root sees its own files, processes and network, and a booted one has a systemd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from package.command import CommandError
from package.roots import BOOTABLE, Root, snapshot


@pytest.fixture(scope="module")
def root(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Root]:
    made = Root.make(suite, tmp_path_factory.mktemp("root") / suite, BOOTABLE)
    yield made
    made.remove()


def test_it_is_the_debian_that_was_asked_for(root: Root, suite: str) -> None:
    assert f"VERSION_CODENAME={suite}" in root.enter("cat", "/etc/os-release").stdout


def test_it_sees_its_own_processes_and_may_make_namespaces(root: Root) -> None:
    inside = root.enter("sh", "-c", "echo $$; unshare --mount true && echo may; ls /home", check=False)
    assert inside.stdout.split() == ["1", "may"]


def test_it_has_no_kill(root: Root) -> None:
    """What the tests of ExecReload= stand on: procps is not part of a minimal Debian."""
    assert root.enter("sh", "-c", "test -e /bin/kill", check=False).returncode == 1


def test_without_a_network_it_reaches_itself_alone(root: Root) -> None:
    table = root.enter("cat", "/proc/net/route", network=False).stdout.splitlines()
    assert len(table) <= 1, "a table without routes has its head only"


def test_it_reads_standard_input_and_says_what_failed(root: Root) -> None:
    assert root.enter("cat", input="a text").stdout == "a text"
    with pytest.raises(CommandError, match=r"(?s)sh -c .*ended with 3\nbefore\nthe reason"):
        root.enter("sh", "-c", "echo before; echo the reason >&2; exit 3")
    assert root.enter("false", check=False).returncode == 1


def test_files_are_put_into_it_and_not_beside_it(root: Root, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("content")
    root.put(tmp_path / "folder", "/opt/given")
    root.put(tmp_path / "folder" / "file", "/opt/given/more/")
    assert root.enter("cat", "/opt/given/file", "/opt/given/more/file").stdout == "content" * 2
    (root.path / "opt" / "out").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads out of it"):
        root.put(tmp_path / "folder" / "file", "/opt/out/file")


def test_a_snapshot_shows_each_change(root: Root) -> None:
    before = snapshot(root.path)
    root.enter(
        "sh", "-c", "set -e; echo > /etc/new; chmod 600 /etc/hosts; chown 1 /etc/hostname /etc/issue; rm /etc/issue.net"
    )
    after = snapshot(root.path)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed - {"/etc/resolv.conf"} == {
        "/etc/new", "/etc/hosts", "/etc/hostname", "/etc/issue", "/etc/issue.net",
    }  # fmt: skip


def test_it_boots_twice_and_ends_each_time(root: Root) -> None:
    for _ in range(2):
        with root.boot() as booted:
            assert booted.run("systemctl", "is-system-running", check=False).stdout.strip() == "running"
            assert booted.run("cat", "/proc/1/comm").stdout == "systemd\n"
            assert booted.beside("cat", "/proc/net/dev").stdout.count(":") == 1
            init = booted.init
        assert not Path(f"/proc/{init}").exists()


def test_two_that_run_at_once_share_no_control_group(root: Root, tmp_path: Path) -> None:
    """Otherwise the systemd of one would count, and kill, the processes of the other. A process of another is a 0."""
    other = root.copy(tmp_path / "other")
    with root.boot() as first, other.boot() as second:
        for booted in (first, second):
            group = booted.run("systemctl", "show", "--value", "-p", "ControlGroup", "dbus").stdout.strip()
            pids = booted.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs").stdout.split()
            assert "0" not in pids
            assert len(pids) == 1
    other.remove()
