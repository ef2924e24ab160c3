"""The log: one line per transaction, which no untrusted input can break."""

import errno
import fcntl
import json
import os
import pty
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter import policy
from spfmilter.model import (
    Client,
    Condition,
    Disposition,
    Facts,
    Identity,
    Plan,
    Problem,
    ProblemKind,
    Result,
    ReversePath,
    Transaction,
    Verdict,
)
from spfmilter.observe import log
from spfmilter.settings.schema import LogSection
from tests.values import action, check, decide, facts, settings, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
PAIR = re.compile(r' ([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "=\\]+)')
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def logged(write: Callable[[], None], **section: str) -> list[str]:
    """The lines on stderr, which is a file for so long."""
    with tempfile.TemporaryFile() as file, standard_error(file.fileno()):
        log.configure(LogSection(**section))  # its readers take text
        write()
        file.seek(0)
        text = file.read().decode()
    assert not text or text.endswith("\n")
    return text.split("\n")[:-1]


@contextmanager
def standard_error(descriptor: int, number: int = 2) -> Iterator[None]:
    """Let a descriptor take the place of standard error, or of another standard stream."""
    before = os.dup(number)
    os.dup2(descriptor, number)
    try:
        yield
    finally:
        os.dup2(before, number)
        os.close(before)


def test_lines_for_standard_output_go_there_and_not_to_standard_error() -> None:
    with (
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as error,
        standard_error(output.fileno(), 1),
        standard_error(error.fileno()),
    ):
        log.configure(LogSection(to="stdout", format="json"))
        log.info("reloaded", generation=2)
        output.seek(0)
        error.seek(0)
        (line,) = output.read().decode().splitlines()
        assert error.read() == b""
    assert json.loads(line)["generation"] == 2


def read_text(line: str) -> dict[str, str]:
    """The keys and values of a text line, as a log collector would read them."""
    found = re.fullmatch(rf"{STAMP}( [a-z]+:)? [a-z ,]+((?:{PAIR.pattern})*)", line)
    assert found is not None, line
    return {
        key: re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        for key, value in PAIR.findall(found[2])
    }


def transaction(*verdicts: Verdict, about: Facts | None = None, ini: str = "", **other: Any) -> Transaction:
    """A message with these verdicts and the policy's action."""
    planned = policy.plan(about or facts(), settings(ini))
    return Transaction(
        facts=about or facts(),
        plan=planned,
        verdicts=verdicts,
        action=decide(planned, verdicts, settings(ini)),
        **{"queue_id": "4Xyz12", **other},
    )


def both(ended: Transaction) -> dict[str, str]:
    """The one line of a transaction: the same keys and values in text and in JSON."""
    (text,) = logged(lambda: log.transaction(ended))
    (line,) = logged(lambda: log.transaction(ended), format="json")
    as_json = json.loads(line)
    assert list(as_json)[:3] == ["time", "level", "event"]
    assert (as_json["level"], as_json["event"]) == ("info", "message")
    assert re.fullmatch(STAMP, as_json["time"])
    assert f"{as_json['time'][:10]}" == text[:10]
    pairs = {key: str(value) for key, value in list(as_json.items())[3:]}
    assert read_text(text) == pairs
    assert list(read_text(text)) == list(pairs), "in the same order"
    return pairs


# -- one line a transaction --------------------------------------------------------------------------------------------


def test_a_refusal_says_who_what_why_and_how_long() -> None:
    helo = verdict(Result.NONE, HELO, lookups=1, void_lookups=1, elapsed=0.001)
    fail = verdict(Result.FAIL, lookups=3, elapsed=0.0114)
    fields = both(transaction(helo, fail, ini="[policy.mailfrom]\nfail = reject", ended="refused"))
    assert next(iter(fields)) == "queue_id"
    assert fields == {
        "queue_id": "4Xyz12",
        "client": "203.0.113.7",
        "helo": "mail.example.com",
        "from": "<user@example.com>",
        "spf_helo": "none",
        "spf_mailfrom": "fail",
        "identity": "mailfrom",
        "domain": "example.com",
        "term": "-all",
        "action": "reject",
        "rule": "[policy.mailfrom] fail = reject (line 2)",
        "ended": "refused",
        "lookups": "4",
        "void": "1",
        "ms": "12.4",
    }


@pytest.mark.parametrize(
    ("ended", "more"),
    [
        (transaction(verdict(Result.PASS, term="mx"), ended="message"), {"action": "accept"}),
        (transaction(verdict(Result.PASS, term="mx"), ended="abandoned"), {"ended": "abandoned"}),
        (transaction(verdict(Result.PASS, term="mx"), removed=2), {"forged": "2"}),
        (transaction(verdict(Result.SOFTFAIL), untagged=1), {"untagged": "1"}),
        (transaction(verdict(Result.FAIL), ini="[policy]\nmode = monitor"), {"action": "accept", "would": "reject"}),
        (
            transaction(verdict(Result.FAIL, term="-all", term_domain="_spf.provider.example")),
            {"domain": "example.com", "record": "_spf.provider.example"},
        ),
        (
            transaction(
                verdict(
                    Result.PERMERROR,
                    problem=Problem(kind=ProblemKind.SYNTAX, text="not a mechanism", term="ipv4:1.2.3.4"),
                )
            ),
            {"problem": "not a mechanism", "problem_term": "ipv4:1.2.3.4", "spf_mailfrom": "permerror"},
        ),
        (
            transaction(about=facts(address="10.0.0.1")),
            {"client": "10.0.0.1", "skip": "private-client", "rule": "[exempt] private_clients = yes"},
        ),
        (transaction(about=facts(authenticated="joe")), {"auth": "joe", "skip": "authenticated"}),
        (transaction(about=facts(address=None)), {"client": "unknown", "skip": "unknown-client"}),
        (transaction(about=facts(address=None, local=True)), {"client": "local", "skip": "local-client"}),
        (transaction(about=facts("<>")), {"from": "<>"}),
        (transaction(about=facts("<x@i❤.example>")), {"from": "<x@i❤.example>", "idna": "uts46"}),
        (transaction(about=facts(helo="_bü.example")), {"idna": "uts46"}),
        (transaction(about=facts(address="2001:db8::7")), {"client": "2001:db8::7"}),
    ],
)
def test_what_is_special_about_a_message_is_in_its_line(ended: Transaction, more: dict[str, str]) -> None:
    fields = both(ended)
    assert {key: fields.get(key) for key in more} == more
    assert fields["queue_id"] == "4Xyz12"


def test_what_has_no_value_has_no_key() -> None:
    fields = both(transaction(about=facts(address="127.0.0.1", helo=None), queue_id=""))
    assert list(fields) == ["client", "from", "skip", "action", "rule"]


def test_recipients_are_in_the_line_where_the_session_names_them() -> None:
    """It names those on whose own rules something depended."""
    assert "rcpt" not in both(transaction(verdict(Result.PASS)))
    fields = both(transaction(verdict(Result.FAIL), recipients=("<postmaster@a.example>", "<b@a.example>"), refused=3))
    assert (fields["rcpt"], fields["refused"]) == ("<postmaster@a.example>,<b@a.example>", "3")


def test_a_fault_is_one_more_event_with_its_traceback() -> None:
    ended = transaction(verdict(Result.TEMPERROR, fault="Traceback (most recent call last):\nKeyError: 'x'"))
    lines = logged(lambda: log.transaction(ended), format="json")
    message, fault = (json.loads(line) for line in lines)
    assert message["rule"] == "[milter] on_error = tempfail"
    assert (fault["level"], fault["event"], fault["where"]) == ("error", "internal error", "evaluation")
    assert (fault["queue_id"], fault["domain"]) == ("4Xyz12", "example.com")
    assert fault["traceback"].endswith("KeyError: 'x'")
    text = logged(lambda: log.transaction(ended))
    assert re.match(rf"{STAMP} error: internal error where=evaluation queue_id=4Xyz12", text[1])
    assert "KeyError: 'x'" in "\n".join(text[2:])


@pytest.mark.parametrize(("level", "lines"), [("debug", 5), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_says_how_much_is_logged(level: str, lines: int) -> None:
    def write() -> None:
        log.transaction(transaction(verdict(Result.PASS, term="mx")))
        log.warning("careful", reason="x")
        log.error("trouble", reason="y")

    assert len(logged(write, level=level)) == lines


def test_debug_shows_the_plan_and_each_verdict() -> None:
    made = verdict(Result.SOFTFAIL, term="~all", lookups=3, ttl=300)
    plan, mailfrom, message = logged(lambda: log.transaction(transaction(made)), level="debug")
    assert re.match(rf"{STAMP} debug: plan queue_id=4Xyz12 client=203.0.113.7 .*", plan)
    assert re.match(rf"{STAMP} debug: verdict queue_id=4Xyz12 result=softfail identity=mailfrom ", mailfrom)
    assert " term=~all " in mailfrom
    assert mailfrom.endswith(" ttl=300")
    assert re.match(rf"{STAMP} message queue_id=4Xyz12 ", message)


def test_debug_shows_a_lookup_in_one_line_with_any_answer() -> None:
    def write() -> None:
        log.lookup("e.example", "TXT", "data", ["v=spf1 -all", "a\n\x1b[m"], reason="", ttl=60, seconds=0.0123)
        log.lookup("e.example", "MX", "failed", [], reason="timeout", ttl=0, seconds=2.0)
        log.lookup("e.example", "A", "data", ["192.0.2.1"] * 5000, reason="", ttl=60, seconds=0.1)

    first, second, third = logged(write, level="debug")
    assert first.partition(" debug: ")[2] == (
        'lookup name=e.example type=TXT outcome=data answers="v=spf1 -all | a??[m" ttl=60 ms=12.3'
    )
    assert second.endswith(" debug: lookup name=e.example type=MX outcome=failed reason=timeout ms=2000.0")
    assert len(third) < 500
    assert logged(write, level="info") == []


@pytest.mark.parametrize("seen", [None, Condition.WIDE_OPEN])
@pytest.mark.parametrize("decided", [None, Condition.WIDE_OPEN])
def test_a_condition_is_named_where_it_decided_or_the_record_shows_it(
    seen: Condition | None, decided: Condition | None
) -> None:
    found = verdict(Result.PASS, condition=seen)
    ended = transaction(found)
    ended = replace(ended, action=replace(ended.action, condition=decided))
    assert both(ended).get("condition") == (decided or seen)


# -- hostile values ----------------------------------------------------------------------------------------------------

ANYTHING = st.text(max_size=400) | st.text(st.characters(codec="ascii"), max_size=200)


def hostile(texts: list[str]) -> Transaction:
    """A transaction with hostile text in all untrusted fields."""
    name, helo, local, domain, login, checked, term, record, text, queue_id = texts
    about = Facts(
        client=Client(address=facts().client.address, name=name),
        helo=helo,
        reverse_path=ReversePath(local=local, domain=domain),
        authenticated=login,
    )
    problem = Problem(kind=ProblemKind.SYNTAX, text=text, term=term, domain=record)
    found = verdict(Result.FAIL, check=check(domain=checked), term=term, term_domain=record, problem=problem)
    return Transaction(
        facts=about,
        plan=Plan(),
        verdicts=(found,),
        action=action(Disposition.REJECT, found),
        queue_id=queue_id,
    )


@given(st.lists(ANYTHING, min_size=10, max_size=10))
def test_no_value_breaks_the_line_in_text_or_json(texts: list[str]) -> None:
    ended = hostile(texts)
    (text,) = logged(lambda: log.transaction(ended))
    assert text.isprintable()
    fields = read_text(text)
    assert (fields["action"], fields["spf_mailfrom"], fields["client"]) == ("reject", "fail", "203.0.113.7")
    (line,) = logged(lambda: log.transaction(ended), format="json")
    assert line.isascii()
    assert line.isprintable()
    as_json = json.loads(line)
    assert set(as_json) - {"time", "level", "event"} == set(fields)
    assert (as_json["action"], as_json["spf_mailfrom"], as_json["client"]) == ("reject", "fail", "203.0.113.7")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_is_bounded_for_any_input(form: str) -> None:
    (line,) = logged(lambda: log.transaction(hostile(["x" * 100_000] * 10)), format=form)
    assert len(line) < 8192


def test_a_traceback_cannot_forge_a_line() -> None:
    """An exception's message may quote untrusted input."""
    trace = "Traceback (most recent call last):\nValueError: a\n2026-01-01T00:00:00.000Z message queue_id=FAKE\r\x1b[2J"
    lines = logged(lambda: log.fault("envfrom", trace))
    assert lines[0].endswith("where=envfrom")
    assert all(line.startswith((" ", "\t")) and line.strip().isprintable() for line in lines[1:] if line)


# -- where it goes -----------------------------------------------------------------------------------------------------


def receiver(path: Path) -> socket.socket:
    """A datagram socket to log to."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(5)
    return sock


def read_journal(data: bytes) -> dict[str, str]:
    """A datagram of the journal's native protocol, by systemd.journal-fields(7) and its JOURNAL_NATIVE_PROTOCOL."""
    fields: dict[str, str] = {}
    while data:
        head, _, data = data.partition(b"\n")
        key, equals, value = head.partition(b"=")
        if not equals:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]{0,63}", key)
        fields[key.decode()] = value.decode()
    return fields


def test_the_journal_gets_the_line_and_each_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    with closing(receiver(tmp_path / "journal")) as journal:
        log.configure(LogSection(to="journal"))
        log.transaction(transaction(verdict(Result.FAIL)))
        log.fault("envfrom", "Traceback\nKeyError")
        message, fault = read_journal(journal.recv(65536)), read_journal(journal.recv(65536))
    assert message["MESSAGE"].startswith("message queue_id=4Xyz12 client=203.0.113.7 "), (
        "without a stamp: it has its own"
    )
    assert (message["PRIORITY"], message["SYSLOG_IDENTIFIER"]) == ("6", "spfmilter")
    assert (message["SPFMILTER_QUEUE_ID"], message["SPFMILTER_SPF_MAILFROM"]) == ("4Xyz12", "fail")
    assert (fault["PRIORITY"], fault["SPFMILTER_WHERE"]) == ("3", "envfrom")
    assert "KeyError" in fault["MESSAGE"]


def test_the_journal_reads_hostile_values_as_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    with closing(receiver(tmp_path / "journal")) as journal:
        log.configure(LogSection(to="journal"))
        log.transaction(hostile(["a\nPRIORITY=0\ud800\x00"] * 10))
        found = read_journal(journal.recv(65536))
    assert found["PRIORITY"] == "6"
    assert found["SPFMILTER_HELO"] == "a?PRIORITY=0??"


def test_a_journal_that_goes_away_loses_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    with closing(receiver(tmp_path / "journal")):
        log.configure(LogSection(to="journal"))
    log.info("no target writes this")


@contextmanager
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Standard error as systemd connects it with the journal: the other end."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), standard_error(theirs.fileno()):
        status = os.fstat(2)
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        yield ours


def test_a_service_of_systemd_logs_to_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    with closing(receiver(tmp_path / "journal")) as journal, stream(monkeypatch):
        log.configure(LogSection())
        log.error("it fails", reason="a b")
        assert read_journal(journal.recv(65536))["SPFMILTER_REASON"] == "a b"


@pytest.mark.parametrize("value", ["1:2", "", "nonsense", ":", "1:2:3"])
def test_standard_error_of_its_own_is_used_though_systemd_has_set_the_variable(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a shell script of a service, which sends its output into a file."""
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    monkeypatch.setenv("JOURNAL_STREAM", value)
    with closing(receiver(tmp_path / "journal")):
        (line,) = logged(lambda: log.info("here"))
    assert re.fullmatch(f"{STAMP} here", line)


def test_a_journal_that_cannot_be_reached_gets_lines_with_their_priorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the stream that systemd has opened; each line is an entry there, also those of a traceback."""
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "nothing"))
    with stream(monkeypatch) as journal:
        log.configure(LogSection())
        log.info("before")
        log.fault("envfrom", "Traceback\nKeyError")
        lines = journal.recv(65536).decode().splitlines()
    assert lines[0].startswith("<4>warning: log target unavailable, using stderr target=auto reason=")
    assert lines[1:] == ["<6>before", "<3>error: internal error where=envfrom", "<3>    Traceback", "<3>    KeyError"]


def test_an_entry_that_is_too_long_for_a_datagram_is_a_sealed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    trace = "\n".join(["x" * 1000] * 500)
    with closing(receiver(tmp_path / "journal")) as journal:
        log.configure(LogSection(to="journal"))
        log.fault("envfrom", trace)
        log.info("after")
        data, files, _, _ = socket.recv_fds(journal, 65536, 1)
        (file,) = files
        with open(file, "rb") as reader:  # noqa: PTH123 - a descriptor
            assert fcntl.fcntl(reader, fcntl.F_GET_SEALS) & 0xF == 0xF, "nothing of it can change any more"
            reader.seek(0)
            found = read_journal(reader.read())
        assert read_journal(journal.recv(65536))["MESSAGE"] == "after"
    assert data == b""
    assert found["MESSAGE"].count("x" * 1000) == 500
    assert log.lost() == 0


def test_without_a_descriptor_such_an_entry_is_lost_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not hold up those after it."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "journal"))
    monkeypatch.setattr(os, "memfd_create", refuse)
    with closing(receiver(tmp_path / "journal")) as journal:
        log.configure(LogSection(to="journal"))
        log.fault("envfrom", "\n".join(["x" * 1000] * 500))
        log.info("after")
        assert [read_journal(journal.recv(65536))["MESSAGE"] for _ in range(2)] == [
            "warning: log lines lost lines=1",
            "after",
        ]
    assert log.lost() == 1


def test_a_person_at_a_terminal_reads_the_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON is for programs: it has UTC everywhere."""
    monkeypatch.setenv("TZ", "XST-05:45")
    time.tzset()
    ours, theirs = pty.openpty()
    try:
        with standard_error(theirs):
            log.configure(LogSection())
            log.info("text")
            text = os.read(ours, 65536).decode().rstrip()
            log.configure(LogSection(format="json"))
            log.info("json")
            form = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
        monkeypatch.undo()
        time.tzset()
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0545) text", text)
    assert found is not None
    stamp = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S.%f %z")
    assert abs(stamp.timestamp() - time.time()) < 60
    assert re.fullmatch(STAMP, json.loads(form)["time"])


def test_syslog_gets_the_line_as_mail_from_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.observe.targets._SYSLOG", str(tmp_path / "log"))
    with closing(receiver(tmp_path / "log")) as syslog:
        log.configure(LogSection(to="syslog"))
        log.warning("careful", reason="a b")
        line = syslog.recv(65536)
    facility, severity = 2, 4  # mail, warning (RFC 5424 section 6.2.1)
    assert line.rstrip(b"\0") == b'<%d>spfmilter: warning: careful reason="a b"' % (facility * 8 + severity)


@pytest.mark.parametrize("target", ["journal", "syslog"])
def test_a_missing_target_is_replaced_by_stderr_and_reported(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spfmilter.observe.journal._SOCKET", str(tmp_path / "nothing"))
    monkeypatch.setattr("spfmilter.observe.targets._SYSLOG", str(tmp_path / "nothing"))
    first, second = logged(lambda: log.info("after"), to=target)
    assert f"warning: log target unavailable, using stderr target={target} reason=" in first
    assert first.endswith(' fix="[log] to"')
    assert second.endswith(" after")
