import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from spfmilter.helplink.secretfile import SecretError, load_secrets


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
        with pytest.raises(SecretError, match=rf"cannot be .* for user \w+: {folder} belongs to \w+:\w+, mode 0000; "):
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


def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(SecretError, match=r"nowhere/secret: .* in .*nowhere: No such .*: make the folder, install -d"):
        load_secrets(tmp_path / "nowhere" / "secret")


def test_a_folder_is_no_file(tmp_path) -> None:
    with pytest.raises(SecretError, match=r"cannot be read: Is a directory: name a file in \[web\] secret_file"):
        load_secrets(tmp_path)


def test_a_named_pipe_is_not_waited_for(path) -> None:
    os.mkfifo(path, 0o600)
    with pytest.raises(SecretError, match="this is not a file"):
        load_secrets(path)
