"""The mails about requests: when a digest is due, what it says, and that no text of a stranger becomes a field."""

import stat
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from spfmilter.requests import mail
from tests.requests.samples import DAY, NOW, asked, case_id, granted

HOUR = 3600


@pytest.mark.parametrize(
    ("mailed", "now", "new"),
    [
        ([None, None], NOW, [1, 2]),
        ([None, NOW - HOUR + 1], NOW, []),
        ([None, NOW - HOUR], NOW, [1]),
        ([None, NOW + 1], NOW, [1]),  # by a clock that was wrong
        ([NOW - DAY, NOW - DAY], NOW, []),
        ([], NOW, []),
    ],
)
def test_a_digest_has_what_is_new_and_comes_once_an_hour(mailed, now, new) -> None:
    there = [asked(number, mailed=when) for number, when in enumerate(mailed, start=1)]
    assert [one.case_id for one in mail.new_ones(there, now)] == [case_id(number) for number in new]


def test_what_was_answered_is_not_new() -> None:
    assert mail.new_ones([granted(asked())], NOW) == []


def test_the_digest_says_what_was_asked_and_what_to_type() -> None:
    found = mail.digest([asked(sentence="Bitte, für Ärzte.")], "postmaster@example.net", "mx.example.net")
    text = found.get_content()
    for part in (
        "Bitte, für Ärzte.",
        "example.com from 203.0.113.7",
        "dentist@example.com",
        f"spfmilter requests grant {case_id(1)}",
        f"spfmilter requests decline {case_id(1)}",
    ):
        assert part in text
    assert found["Subject"] == "1 new request to be let in at mx.example.net"
    assert (found["To"], found["Auto-Submitted"]) == ("postmaster@example.net", "auto-generated")


def test_the_digest_is_bounded() -> None:
    found = mail.digest([asked(number, sentence="x" * 500) for number in range(500)], "p@example.net", "mx.example.net")
    assert len(found.get_content()) < 100_000
    assert "450 more: spfmilter requests list" in found.get_content()


def test_the_answer_is_in_the_readers_language_with_english_below() -> None:
    found = mail.answer(granted(asked(language="zh-Hans")), "postmaster@example.net", "mx.example.net")
    chinese, english = found.get_content().split("-- \n")
    assert "mx.example.net" in chinese
    assert not chinese.isascii()
    assert english.startswith("\nThe administrator of mx.example.net has let your server 203.0.113.7 in until")
    assert english.endswith("The administrator says:\nWelcome.\n")
    assert found["To"] == "dentist@example.com"
    assert case_id(1) in found["Subject"]


@pytest.mark.parametrize("tag", ["en", "", "../../etc", "xx"])
def test_an_unknown_language_is_english(tag) -> None:
    found = mail.answer(granted(asked(language=tag)), "postmaster@example.net", "mx.example.net")
    assert found.get_content().isascii()
    assert "-- " not in found.get_content()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sendmail program that keeps its arguments and its input."""
    made = tmp_path / "sendmail"
    made.write_text(f'#!/bin/sh\nfor word; do echo "$word"; done > {tmp_path}/words\ncat > {tmp_path}/mail\n')
    made.chmod(made.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(mail, "_PLACES", str(tmp_path))
    return made


@pytest.mark.outside
@pytest.mark.usefixtures("program")
def test_the_program_gets_the_null_sender_and_one_recipient(tmp_path: Path) -> None:
    mail.send(mail.digest([asked(sentence="ü")], "postmaster@example.net", "mx.example.net"))
    assert (tmp_path / "words").read_text().split("\n") == ["-i", "-f", "<>", "--", "postmaster@example.net", ""]
    sent = message_from_bytes((tmp_path / "mail").read_bytes(), policy=policy.default)
    assert "says    ü" in sent.get_content()
    assert b"\r" not in (tmp_path / "mail").read_bytes()


@pytest.mark.outside
def test_a_program_that_fails_hangs_or_is_missing_is_an_error(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = mail.digest([asked()], "postmaster@example.net", "mx.example.net")
    program.write_text("#!/bin/sh\necho 'no \x1b[31mspace' >&2; exit 75\n")
    with pytest.raises(mail.MailError, match=r"exit status 75.*no .*space"):
        mail.send(message)
    monkeypatch.setattr(mail, "_SECONDS", 0.2)
    program.write_text("#!/bin/sh\nexec sleep 20\n")
    with pytest.raises(mail.MailError, match="has not taken the mail within"):
        mail.send(message)
    program.unlink()
    with pytest.raises(mail.MailError, match="there is no sendmail program"):
        mail.send(message)
