import errno
import os
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from spfmilter import ownership, units
from spfmilter.helplink import secrethints
from spfmilter.helplink.secretfile import SecretError, load_secrets

TMPFILES = Path(__file__).parents[2] / "systemd" / "tmpfiles.d" / "spfmilter.conf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_is_made_at_the_first_use_for_its_owner_alone(path) -> None:
    (secret,) = load_secrets(path)
    assert len(secret) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_secrets(path) == (secret,)
    assert os.listdir(path.parent) == ["secret"]  # noqa: PTH208 - hidden files too


def test_processes_that_make_it_at_the_same_time_have_the_same_secret(path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert len(set(pool.map(load_secrets, [path] * 16))) == 1
    assert os.listdir(path.parent) == ["secret"]  # noqa: PTH208


def test_one_that_appears_meanwhile_stays(path, monkeypatch) -> None:
    """The other process's file is there between our look and our own attempt."""
    link = os.link

    def late(draft: Path, target: Path) -> None:
        written(path, "the secret of the faster one\n")
        link(draft, target)

    monkeypatch.setattr(os, "link", late)
    assert load_secrets(path) == (b"the secret of the faster one",)


def test_a_folder_that_may_not_be_entered_is_reported(path) -> None:
    """A reload must not end the daemon over it."""
    folder = path.parent / "closed"
    folder.mkdir()
    written(folder / "secret", "the-secret-that-nobody-may-read\n")
    folder.chmod(0)
    mine = os.geteuid()
    try:
        if mine == 0:
            for above in list(path.parents)[:4]:  # those that pytest has made for this user alone
                above.chmod(0o755 if above.name != "tmp" else 0o1777)
            os.seteuid(65534)
        with pytest.raises(
            SecretError, match=rf"for user \w+, who cannot enter {folder} \(\w+:\w+, mode 0000\): chmod o\+x {folder}"
        ):
            load_secrets(folder / "secret")
    finally:
        os.seteuid(mine)
        folder.chmod(0o700)


def test_in_a_folder_that_is_shared_its_group_may_read_it(path) -> None:
    """The folder gives its group; the umask is that of the service."""
    path.parent.chmod(0o2710)
    before = os.umask(0o077)
    try:
        load_secrets(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o640
    assert path.stat().st_gid == path.parent.stat().st_gid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can")
def test_made_by_root_it_belongs_to_the_owner_of_the_folder(path) -> None:
    """Who tries the page by hand before the daemon has run must not lock the daemon out."""
    os.chown(path.parent, 64001, 64003)
    path.parent.chmod(0o2710)
    load_secrets(path)
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (64001, 64003, 0o640)


def test_one_secret_a_line_in_order(path) -> None:
    written(path, "# since May\nthe-new-one-of-this-year\r\n\n  the-old-one-of-last-year  \n", 0o640)
    assert load_secrets(path) == (b"the-new-one-of-this-year", b"the-old-one-of-last-year")


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "there is no secret"),
        ("# nothing\n", 0o600, "there is no secret"),
        ("long-enough-for-a-secret\nshort\n", 0o600, "line 2: a secret has at least 20"),
        ("long-enough-for-a-secret\n", 0o644, "chmod o="),
        ("long-enough-for-a-secret\n" * 17, 0o600, "at most 16"),
        ("x" * 20_000, 0o600, "too long"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(path, text, mode, said) -> None:
    with pytest.raises(SecretError, match=said):
        load_secrets(written(path, text, mode))


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch) -> None:
    """Owner, group and mode are those of docs/help-page.md and tmpfiles.d."""
    monkeypatch.setattr(ownership, "has_group", lambda _: True)
    with pytest.raises(SecretError, match=r"nowhere/secret: .* in .*nowhere: No such .*: make the folder: ") as caught:
        load_secrets(tmp_path / "nowhere" / "secret")
    assert str(caught.value).endswith(f"install -d -o spfmilter -g spfmilter-web -m 2710 {tmp_path}/nowhere")
    assert "\nd /var/lib/spfmilter 2710 spfmilter spfmilter-web -\n" in TMPFILES.read_text()


# -- what to do --------------------------------------------------------------------------------------------------------

DENIED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))
BY_HAND = "head -c 32 /dev/urandom | base64 | install -o spfmilter -g spfmilter-web -m 640 /dev/stdin "


@pytest.fixture
def web_group(monkeypatch) -> None:
    monkeypatch.setattr(ownership, "has_group", lambda name: name == "spfmilter-web")


@pytest.mark.usefixtures("web_group")
def test_a_file_that_may_not_be_read_is_given_to_daemon_and_page(path) -> None:
    written(path, "x" * 20)
    said = secrethints.to_read(DENIED, path)
    assert said.endswith(f"mode 0600): chown spfmilter:spfmilter-web {path} && chmod 0640 {path}")


@pytest.mark.usefixtures("web_group")
def test_a_folder_of_the_daemons_with_another_owner_is_given_to_it_and_no_file_that_is_not_there(tmp_path) -> None:
    folder = tmp_path / "spfmilter"
    folder.mkdir()
    said = secrethints.to_make(DENIED, folder / "secret", "spfmilter")
    assert said.endswith(f": chown spfmilter:spfmilter-web {folder} && chmod 2710 {folder}")


@pytest.mark.usefixtures("web_group")
@pytest.mark.parametrize("error", [DENIED, READ_ONLY])
def test_in_a_folder_of_roots_the_file_is_made_by_hand(error) -> None:
    """As the example in the INI file: the unit keeps /etc read-only, and the folder is root's."""
    said = secrethints.to_make(error, Path("/etc/spfmilter/secret"), "spfmilter")
    assert said.endswith(f"; elsewhere root makes it: {BY_HAND}/etc/spfmilter/secret")
    assert secrethints.to_make(READ_ONLY, Path("/var/lib/spfmilter/secret"), "spfmilter").endswith(
        f"{BY_HAND}/var/lib/spfmilter/secret"
    )


def test_the_page_waits_for_the_daemons_file(monkeypatch) -> None:
    said = secrethints.to_make(READ_ONLY, Path("/var/lib/spfmilter/secret"), "spfmilter-web")
    assert said.endswith("the daemon makes the file when it has [reply] help_url: systemctl reload spfmilter")
    monkeypatch.setattr(units, "_ROOTS", [TMPFILES.parents[1]])  # the shipped ones
    elsewhere = secrethints.to_make(DENIED, Path("/etc/spfmilter/secret"), "spfmilter-web")
    assert "root makes it: head -c 32" in elsewhere, "the unit does not let the daemon, either"


@pytest.mark.outside
def test_the_command_that_makes_the_file_makes_one_that_is_read(path) -> None:
    command = secrethints.by_hand(path)
    own = re.sub(r"-o \S+ -g \S+ ", "", command)
    assert own != command
    subprocess.run(["sh", "-c", own], check=True)  # noqa: S603, S607 - our own command
    (secret,) = load_secrets(path)
    assert len(secret) >= 40


def test_a_folder_is_no_file(tmp_path) -> None:
    with pytest.raises(SecretError, match=r"cannot be read: Is a directory: name a file in \[web\] secret_file"):
        load_secrets(tmp_path)


def test_a_named_pipe_is_not_waited_for(path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(SecretError, match="this is not a file"):
        load_secrets(path)
