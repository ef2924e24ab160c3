"""One token and one word, over a socket that the page's user may write to."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spfmilter.refresh import pagelink
from spfmilter.refresh.limits import RefreshOutcome
from spfmilter.refresh.pagelink import FILE, MAX_TOKEN, Listener


@contextmanager
def answering(folder: Path, outcome: RefreshOutcome | None = RefreshOutcome.REFRESHED) -> Iterator[list[str]]:
    """A daemon that answers one question; None: it closes the connection without an answer."""
    heard: list[str] = []
    listener = Listener(str(folder))

    def serve() -> None:
        connection = listener.accept(30)
        assert connection is not None
        heard.append(pagelink.question(connection))
        if outcome is None:
            connection.close()
        else:
            pagelink.answer(connection, outcome)

    thread = threading.Thread(target=serve)
    thread.start()
    yield heard
    thread.join()
    listener.close()


@pytest.mark.parametrize("outcome", RefreshOutcome)
def test_a_token_brings_one_word(tmp_path: Path, outcome: RefreshOutcome) -> None:
    with answering(tmp_path, outcome) as heard:
        assert pagelink.ask(str(tmp_path), "abc.def") is outcome
    assert heard == ["abc.def"]


def test_a_daemon_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert pagelink.ask("", "abc") is None
    assert pagelink.ask(str(tmp_path), "abc") is None
    Listener(str(tmp_path)).close()
    assert pagelink.ask(str(tmp_path), "abc") is None, "the file of one that has ended"
    with answering(tmp_path, None):
        assert pagelink.ask(str(tmp_path), "abc") is None
    (tmp_path / "long").mkdir()
    assert pagelink.ask(str(tmp_path / ("x" * 200)), "abc") is None


@pytest.mark.parametrize("sent", [b"\xff\xfe", b"", b"x" * 5000])
def test_hostile_questions_are_short_text_or_none(tmp_path: Path, sent: bytes) -> None:
    with (
        answering(tmp_path, RefreshOutcome.INVALID) as heard,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as page,
    ):
        page.connect(str(tmp_path / FILE))
        if sent:
            page.send(sent)
        else:
            page.shutdown(socket.SHUT_WR)
        assert page.recv(100) == b"invalid"
    assert len(heard[0]) <= MAX_TOKEN
    assert heard[0] == "" or heard[0].isascii()


def test_the_socket_is_for_its_group_and_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("left by something")
    (tmp_path / f".{FILE}.{os.getpid()}").write_text("left by something")
    with answering(tmp_path):
        status = (tmp_path / FILE).stat()
        assert (stat.S_ISSOCK(status.st_mode), status.st_mode & 0o777) == (True, 0o660)
        assert pagelink.ask(str(tmp_path), "abc") is RefreshOutcome.REFRESHED
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


def test_a_folder_that_takes_no_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Listener(str(tmp_path / "none"))
