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

from spfmilter.daemon import hints
from spfmilter.daemon.listener import ListenError, _hint, open_listener
from spfmilter.settings import parse
from spfmilter.settings.values import SocketAddress

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
    assert f"user nobody must be able to enter {folder} and to write there" in said
    assert f"{folder} belongs to root:root, mode 0755" in said


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


def test_a_missing_folder_and_a_file_in_its_place_are_said(folder) -> None:
    assert f"there is no folder {folder}/a/b: install -d -o" in refusal(f"unix:{folder}/a/b/socket")
    (folder / "file").touch()
    assert f"{folder}/file is not a folder: choose another path" in refusal(f"unix:{folder}/file/b/socket")
    assert "not a socket: move it away, or choose another path" in refusal(f"unix:{folder}/file")


def test_a_folder_that_the_units_sandbox_keeps_read_only_is_said() -> None:
    """ProtectSystem=strict; the same folder can be written to outside of the service."""
    said = _hint(OSError(errno.EROFS, os.strerror(errno.EROFS)), SocketAddress("unix", path="/srv/mail/socket"))
    assert "add ReadWritePaths=/srv/mail in a drop-in" in said


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
