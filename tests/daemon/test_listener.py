"""The socket that cannot be opened: what the administrator is told, for each reason."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from spfmilter import ownership, units
from spfmilter.daemon import hints, sockethints
from spfmilter.daemon.listener import ListenError, _hint, open_listener
from spfmilter.settings import parse
from spfmilter.settings.sockets import SocketAddress

pytestmark = pytest.mark.outside
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@contextmanager
def as_nobody() -> Iterator[None]:
    """A process without rights and without groups; its user is named nobody."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    with TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


def refusal(address: object, more: str = "") -> str:
    with pytest.raises(ListenError) as caught:
        open_listener(parse(f"[milter]\nsocket = {address}\n{more}").milter)
    return str(caught.value)


@only_root
def test_who_is_no_member_of_the_group_is_told_so_and_leaves_no_file(folder) -> None:
    """The folder is not the matter: the user may write there."""
    folder.chmod(0o777)
    with as_nobody():
        said = refusal(f"unix:{folder}/socket", "socket_group = daemon\n")
    assert "user nobody is not a member of group daemon" in said
    assert "SupplementaryGroups=daemon and PrivateUsers=no" in said
    assert list(folder.iterdir()) == []


@only_root
def test_a_folder_that_may_not_be_written_to_is_named_with_its_owner(folder) -> None:
    with as_nobody():
        said = refusal(f"unix:{folder}/socket")
    assert (
        f"user nobody may not write in {folder} (root:root, mode 0755), so the socket needs a folder of its own" in said
    )
    assert f"-m 2750 {folder}/spfmilter, and set [milter] socket = unix:{folder}/spfmilter/socket" in said


@only_root
def test_a_folder_of_the_daemons_with_another_owner_is_given_to_it(folder) -> None:
    inside = folder / "spfmilter"
    inside.mkdir(mode=0o755)
    with as_nobody():
        said = refusal(f"unix:{inside}/socket")
    assert re.search(rf"\(root:root, mode 0755\): chown \w+:\w+ {inside} && chmod 2750 {inside}$", said)


@only_root
def test_a_folder_that_cannot_be_entered_is_named_and_no_socket_in_it(folder) -> None:
    """Whether there is a socket cannot be seen."""
    folder.chmod(0o700)
    with as_nobody():
        said = refusal(f"unix:{folder}/socket")
    assert "there is a socket" not in said
    assert f"user nobody may not write in {folder} (root:root, mode 0700)" in said
    (folder / "a").mkdir()
    with as_nobody():
        said = refusal(f"unix:{folder}/a/socket")
    assert f"must be able to enter {folder}/a and to write there; {folder} belongs to root:root, mode 0700" in said


@only_root
def test_a_socket_of_another_user_is_said(folder) -> None:
    folder.chmod(0o777)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{folder}/socket")
        (folder / "socket").chmod(0o600)
        with as_nobody():
            said = refusal(f"unix:{folder}/socket")
    assert "there is a socket that user nobody may not use" in said
    assert "root:root, mode 0600" in said
    assert "(ss -xlp | grep socket shows that)" in said


def test_a_missing_folder_and_a_file_in_its_place_are_said(folder) -> None:
    assert f"there is no folder {folder}/a/b: install -d -o" in refusal(f"unix:{folder}/a/b/socket")
    (folder / "file").touch()
    assert f"{folder}/file is not a folder: choose another path" in refusal(f"unix:{folder}/file/b/socket")
    assert "not a socket: move it away, or choose another path" in refusal(f"unix:{folder}/file")


READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_folder_that_the_units_sandbox_keeps_read_only_is_said(folder) -> None:
    """ProtectSystem=strict; the same folder can be written to outside of the service."""
    said = _hint(READ_ONLY, SocketAddress("unix", path=f"{folder}/socket"))
    assert f"add ReadWritePaths={folder} in a drop-in" in said


@only_root
def test_a_folder_that_is_read_only_and_not_the_daemons_is_no_place_for_the_socket(folder, monkeypatch) -> None:
    """ReadWritePaths= would not help: the folder is root's, as Postfix's queue directory is."""
    monkeypatch.setattr(ownership, "has_group", lambda name: name == "postfix")
    monkeypatch.setattr(units, "daemon_user", lambda user="spfmilter": user)
    with as_nobody():
        said = _hint(READ_ONLY, SocketAddress("unix", path=f"{folder}/x.sock"))
        inside = (
            f"install -d -o nobody -g postfix -m 2750 {folder}/spfmilter, with ReadWritePaths={folder}/spfmilter in a"
        )
        assert inside in said
        assert said.endswith(f", and set [milter] socket = unix:{folder}/spfmilter/x.sock")
        monkeypatch.setattr(units, "WRITABLE", (folder / "spfmilter",))
        said = _hint(READ_ONLY, SocketAddress("unix", path=f"{folder}/x.sock"))
        assert "ReadWritePaths" not in said
        said = _hint(READ_ONLY, SocketAddress("unix", path="/run/x.sock"))
        assert said.endswith("a folder of its own: set [milter] socket = unix:/run/spfmilter/x.sock")


def test_a_missing_folder_below_run_is_made_by_systemd_with_its_whole_path() -> None:
    gone = FileNotFoundError(errno.ENOENT, "")
    said = _hint(gone, SocketAddress("unix", path="/run/nowhere/inside/socket"))
    assert "RuntimeDirectory=nowhere/inside in a drop-in" in said


def test_what_the_hints_call_writable_is_what_the_unit_lets_the_daemon_write(monkeypatch) -> None:
    shipped = [Path(__file__).parents[2] / "systemd"]
    monkeypatch.setattr(units, "_ROOTS", shipped)
    for place in units.WRITABLE:
        assert sockethints.unit_denies(place / "socket") == ""
        assert sockethints.unit_denies(place / "a" / "socket") == ""
        said = sockethints.unit_denies(place.parent / "socket")
        assert said.startswith(f"the unit makes {place.parent} read-only for the daemon; ")


# -- the group of the socket -------------------------------------------------------------------------------------------


def test_a_group_that_privateusers_hides_is_said_with_what_works(folder, monkeypatch) -> None:
    """chown(2): a group without a number in the user namespace is an invalid argument."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "chown", refuse)
    said = refusal(f"unix:{folder}/socket", "socket_group = daemon\n")
    assert said.startswith("[milter] socket_group: PrivateUsers= of the unit hides group daemon from the service: ")
    assert f"leave it empty, and let the folder give its group: chgrp daemon {folder} && chmod 2750 {folder}" in said
    assert "then systemctl restart spfmilter" in said
    assert "Otherwise SupplementaryGroups=daemon and PrivateUsers=no in a drop-in" in said
    assert list(folder.iterdir()) == []


def test_other_errors_of_the_group_keep_their_reason(folder, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "chown", refuse)
    assert "Input/output error" in refusal(f"unix:{folder}/socket", "socket_group = daemon\n")


def test_in_run_where_systemd_makes_the_folder_anew_the_mta_becomes_a_member() -> None:
    said = sockethints.hidden_group("daemon", Path("/run/spfmilter/socket"))
    assert "chgrp" not in said
    assert re.search(r"usermod -aG \w+ daemon && postfix reload", said)
    assert "let the MTA's user be a member" in sockethints.hidden_group("no-such-user", Path("/run/spfmilter/socket"))


@pytest.mark.parametrize(
    ("unit", "hides", "gives"),
    [
        (None, False, False),
        ("PrivateUsers=yes\n", True, False),
        ("PrivateUsers=yes\nSupplementaryGroups=postfix\n", True, False),
        ("PrivateUsers=no\nSupplementaryGroups=mail postfix\n", False, True),
        ("Group=postfix\nPrivateUsers=yes\n", False, False),
        ("User=spfmilter\n", False, False),
    ],
)
def test_what_the_installed_unit_does_about_a_group(tmp_path, monkeypatch, unit, hides, gives) -> None:
    monkeypatch.setattr(units, "_ROOTS", [tmp_path])
    if unit is not None:
        (tmp_path / units.SERVICE).write_text(f"[Service]\n{unit}")
    assert (sockethints.unit_hides("postfix"), sockethints.unit_gives("postfix")) == (hides, gives)


# -- an address --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "host", "port", "said"),
    [
        (
            errno.EADDRINUSE,
            "127.0.0.1",
            8890,
            "another process has port 8890 (ss -ltnp 'sport = :8890' names it): stop it",
        ),
        (errno.EACCES, "127.0.0.1", 25, "may not use ports below 1024: choose a higher one"),
        (errno.EACCES, "127.0.0.1", 8890, ""),
        (errno.EADDRNOTAVAIL, "192.0.2.1", 8890, "this host does not have the address 192.0.2.1 now"),
        (errno.EAFNOSUPPORT, "::1", 8890, "IPv6 is switched off on this host"),
        (errno.ENOMEM, "::1", 8890, ""),
    ],
)
def test_what_to_do_about_an_address(number, host, port, said) -> None:
    found = hints.for_address(OSError(number, os.strerror(number)), host, port)
    assert said in found
    assert bool(said) == bool(found)
    text = hints.explained(OSError(number, f"{os.strerror(number)} (while binding)"), host, port)
    assert re.match(re.escape(os.strerror(number)) + "(; |$)", text)
