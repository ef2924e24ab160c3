"""``spfmilter requests``, with the stores of this host: what it says, what it keeps, and its exit status."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.exemption import Exemption, exemption_of
from spfmilter.model import Identity
from spfmilter.requests import mail
from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.request import SenderRequest, State, request_of
from spfmilter.requests.store import FILE
from tests.commands.conftest import Run
from tests.requests.samples import DAY, asked, case_id, granted

Command = Callable[..., Any]


@pytest.fixture
def command(tmp_path: Path, run: Run) -> Command:
    """Run a command of ``spfmilter requests`` with a state folder in `tmp_path`."""
    (tmp_path / "state").mkdir()
    ini = tmp_path / "spfmilter.ini"
    web = "[web]\nrequests = yes\nrequests_mail = postmaster@example.net\n"
    ini.write_text(f"[state]\nfolder = {tmp_path}/state\n[headers]\nauthserv_id = mx.example.net\n{web}")
    return lambda *words: run(*(words if words[0] == "exempt" else ("requests", *words)), "-c", ini)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The mails that would be sent."""
    found: list[Any] = []
    monkeypatch.setattr(mail, "send", found.append)
    return found


def there(tmp_path: Path, *requests: SenderRequest) -> None:
    store = EmbeddedRequests(tmp_path / "state" / FILE)
    for one in requests:
        assert store.add(one)
    store.close()


def kept(tmp_path: Path, number: int = 1) -> SenderRequest:
    store = EmbeddedRequests(tmp_path / "state" / FILE)
    row = store.find(case_id(number))
    store.close()
    assert row is not None
    return request_of(row)


def let_in(tmp_path: Path) -> list[Exemption]:
    store = EmbeddedStore(tmp_path / "state" / "exemptions.db")
    found = [exemption_of(row) for row in store.read()]
    store.close()
    return found


def new(number: int = 1, address: str = "203.0.113.7", **fields: Any) -> SenderRequest:
    now = int(time.time())
    return asked(number, address, **{"asked": now - 60, "ends": now + DAY, **fields})


def test_open_requests_are_listed_the_oldest_first(command: Command, tmp_path: Path) -> None:
    done = command("list")
    assert (done.returncode, done.stdout) == (0, f"no request is open ({tmp_path}/state/requests/requests.db)\n")
    hostile = "a \x1b[31m[red]b[/red]"
    there(tmp_path, new(1), new(2, sentence=hostile, asked=int(time.time()) - 99), granted(new(3)))
    done = command("list")
    lines = [line for line in done.stdout.splitlines() if "example.com from" in line]
    assert [line.split()[0] for line in lines] == [case_id(2), case_id(1)]
    assert "\x1b" not in done.stdout
    assert "[red]b[/red]" in lines[0]
    assert case_id(3) in command("list", "--all").stdout
    whole = json.loads(command("list", "--json").stdout)
    assert [one["case_id"] for one in whole["requests"]] == [case_id(2), case_id(1)]
    assert whole["requests"][1]["sentence"] == "I am your dentist."


def test_one_request_is_shown_with_the_commands_that_answer_it(command: Command, tmp_path: Path) -> None:
    there(tmp_path, new(1))
    done = command("show", case_id(1).lower())
    assert done.returncode == 0
    for part in ("example.com from 203.0.113.7, refused with fail", "dentist@example.com", "I am your dentist."):
        assert part in done.stdout
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["let"] == f"in   spfmilter requests grant -c {tmp_path}/spfmilter.ini {case_id(1)}"
    assert json.loads(command("show", case_id(1), "--json").stdout)["state"] == "open"


def test_grant_lets_in_this_domain_from_this_address_for_a_week(command: Command, tmp_path: Path, sent) -> None:
    there(tmp_path, new(1))
    done = command("grant", case_id(1), "--say", "Welcome.")
    assert (done.returncode, done.stderr) == (0, "")
    [one] = let_in(tmp_path)
    assert str(one.subject) == "example.com from 203.0.113.7"
    assert one.until is not None
    assert one.until - one.added == 7 * DAY
    assert one.because == f"request {case_id(1)}: I am your dentist."
    assert one.added_by
    answer = kept(tmp_path)
    assert (answer.state, answer.until, answer.exemption) == (State.GRANTED, one.until, one.id)
    assert (answer.answer, answer.answered_by) == ("Welcome.", one.added_by)
    assert "let in   example.com from 203.0.113.7" in done.stdout
    assert "told     on the help page\n" in done.stdout
    assert done.stdout.endswith("\nin force within 2 seconds once the daemon runs\n")
    assert sent == [], "nothing is sent without --answer"


def test_an_exemption_that_is_removed_is_no_longer_shown_as_granted(command: Command, tmp_path: Path) -> None:
    there(tmp_path, new(1))
    command("grant", case_id(1), "--for", "12h")
    [one] = let_in(tmp_path)
    assert kept(tmp_path).until > time.time() + DAY / 3
    assert command("exempt", "remove", one.id).returncode == 0
    assert kept(tmp_path).until <= time.time()


def test_a_refused_helo_is_granted_for_the_address_with_a_warning(command: Command, tmp_path: Path) -> None:
    there(tmp_path, new(1, identity=Identity.HELO, domain="mx.example.com"))
    done = command("grant", case_id(1))
    assert "warning: the link names no sender domain, so all mail from 203.0.113.7 is let in" in done.stderr
    assert [str(one.subject) for one in let_in(tmp_path)] == ["203.0.113.7"]


def test_decline_lets_none_in_and_keeps_the_sentence(command: Command, tmp_path: Path, sent) -> None:
    there(tmp_path, new(1))
    done = command("decline", case_id(1), "--say", "Use your\n provider's server.")
    assert (done.returncode, done.stdout) == (0, f"declined {case_id(1)}; told on the help page\n")
    assert (kept(tmp_path).state, kept(tmp_path).answer) == (State.DECLINED, "Use your provider's server.")
    assert (let_in(tmp_path), sent) == ([], [])


@pytest.mark.parametrize("verb", ["grant", "decline"])
def test_a_mail_is_shown_and_sent_only_with_answer_and_yes(command: Command, tmp_path: Path, sent, verb) -> None:
    there(tmp_path, new(1))
    unsure = command(verb, case_id(1), "--answer")
    assert unsure.returncode == 64
    assert "To: dentist@example.com\n" in unsure.stderr
    assert "Say --yes" in unsure.stderr
    assert (kept(tmp_path).state, let_in(tmp_path), sent) == (State.OPEN, [], []), "nothing was changed"
    done = command(verb, case_id(1), "--answer", "--yes", "--json")
    assert json.loads(done.stdout)["answer_sent"] is True
    [message] = sent
    assert (message["To"], message["From"]) == ("dentist@example.com", "postmaster@example.net")


def test_a_mail_that_cannot_be_sent_is_said_and_the_answer_stands(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_message: object) -> None:
        raise mail.MailError("no space")

    monkeypatch.setattr(mail, "send", fail)
    there(tmp_path, new(1))
    done = command("decline", case_id(1), "--answer", "--yes")
    assert done.returncode == 69
    assert "the request was answered, but the mail was not sent: no space" in done.stderr
    assert kept(tmp_path).state is State.DECLINED


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "H1FC"), 64, "case"),
        (("show", case_id(9)), 66, "there is no request for case"),
        (("grant", case_id(9)), 66, "there is no request for case"),
        (("grant", case_id(1), "--for", "forever"), 64, "for a time"),
        (("grant", case_id(1), "--for", "400d"), 64, "for a year at most"),
        (("grant", case_id(1), "--for", "x"), 64, "not a time"),
        (("grant", case_id(1), "--say", "x" * 501), 64, "at most 500"),
        (("decline", case_id(2)), 66, "is not open: granted until"),
        (("grant", case_id(2)), 66, "is not open"),
    ],
)
def test_what_cannot_be_answered_changes_nothing(command: Command, tmp_path: Path, words, status, said) -> None:
    there(tmp_path, new(1), granted(new(2)))
    done = command(*words)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert (kept(tmp_path).state, let_in(tmp_path)) == (State.OPEN, [])


def test_what_has_expired_is_forgotten(command: Command, tmp_path: Path) -> None:
    there(tmp_path, new(1, ends=int(time.time()) - 1))
    assert "no request is known" in command("list", "--all").stdout


def test_the_digest_is_sent_once(command: Command, tmp_path: Path, sent) -> None:
    assert "no mail was sent" in command("digest").stdout
    there(tmp_path, new(1), granted(new(2)))
    assert command("digest").stdout == "mailed to postmaster@example.net: 1 new request\n"
    there(tmp_path, new(3))
    assert "no mail was sent" in command("digest").stdout, "within an hour"
    [message] = sent
    assert message["To"] == "postmaster@example.net"
    assert case_id(1) in message.get_content()
    assert case_id(2) not in message.get_content()


def test_a_digest_that_was_not_sent_is_sent_the_next_time(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_message: object) -> None:
        raise mail.MailError("no space")

    there(tmp_path, new(1))
    monkeypatch.setattr(mail, "send", fail)
    done = command("digest")
    assert (done.returncode, done.stderr) == (69, "no space\n")
    assert kept(tmp_path).mailed is None


def test_without_an_address_there_is_no_digest(command: Command, tmp_path: Path) -> None:
    (tmp_path / "spfmilter.ini").write_text(f"[state]\nfolder = {tmp_path}/state\n")
    done = command("digest")
    assert done.returncode == 64
    assert "[web] requests_mail is empty" in done.stderr
