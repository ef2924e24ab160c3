"""The reply of a refusal as SMTP has it: code, status and lines."""

from dataclasses import replace

import pytest

from spfmilter.model import Condition, Disposition, Result
from spfmilter.reply import Reply, forged_fields, internal_error, separate_message
from tests.values import action, facts, reply_for, settings, verdict


@pytest.mark.parametrize(
    ("result", "reject", "defer"),
    [  # RFC 7208 section 8, RFC 7372 section 3.2
        (Result.FAIL, (550, "5.7.23"), (451, "4.7.23")),
        (Result.SOFTFAIL, (550, "5.7.23"), (451, "4.7.23")),
        (Result.NEUTRAL, (550, "5.7.23"), (451, "4.7.23")),
        (Result.NONE, (550, "5.7.23"), (451, "4.7.23")),
        (Result.PASS, (550, "5.7.24"), (451, "4.7.24")),
        (Result.PERMERROR, (550, "5.7.24"), (451, "4.7.24")),
        (Result.TEMPERROR, (550, "5.7.24"), (451, "4.7.24")),
    ],
)
def test_code_and_status_are_of_one_class(result: Result, reject: tuple[int, str], defer: tuple[int, str]) -> None:
    for disposition, expected in ((Disposition.REJECT, reject), (Disposition.DEFER, defer)):
        answer = reply_for(action(disposition, verdict(result)), facts(), settings())
        assert answer is not None
        assert (answer.code, answer.status) == expected


@pytest.mark.parametrize(
    ("condition", "result", "detail"),
    [
        (Condition.WIDE_OPEN, Result.PASS, "7.24"),
        (Condition.NO_MAIL, Result.FAIL, "7.23"),
        (Condition.UNREACHABLE, Result.NONE, "1.8"),  # RFC 3463 section 3.2: incapable of accepting return mail
    ],
)
def test_the_status_is_that_of_the_condition(condition: Condition, result: Result, detail: str) -> None:
    for disposition, of_class in ((Disposition.REJECT, 5), (Disposition.DEFER, 4)):
        decided = replace(action(disposition, verdict(result)), condition=condition)
        answer = reply_for(decided, facts(), settings())
        assert answer is not None
        assert answer.status == f"{of_class}.{detail}"


@pytest.mark.parametrize("result", Result)
def test_no_refusal_has_the_status_of_a_block_list(result: Result) -> None:
    """Tools that read bounces take x.7.1 for an address on a block list."""
    for disposition in (Disposition.REJECT, Disposition.DEFER):
        answer = reply_for(action(disposition, verdict(result)), facts(), settings())
        assert answer is not None
        assert not answer.status.endswith(".7.1")
    for hidden in (False, True):
        assert forged_fields(facts(), settings(), hidden=hidden, case="").status == "5.7.0"


@pytest.mark.parametrize("disposition", [Disposition.ACCEPT, Disposition.TAG, Disposition.QUARANTINE])
def test_a_message_that_is_taken_gets_no_reply(disposition: Disposition) -> None:
    assert reply_for(action(disposition, verdict(Result.FAIL)), facts(), settings()) is None


@pytest.mark.parametrize(
    ("condition", "result", "first"),
    [
        (Condition.NO_MAIL, Result.FAIL, "example.com says in its SPF record that it never sends mail"),
        (
            Condition.WIDE_OPEN,
            Result.PASS,
            "The SPF record of example.com allows every server to send, including 203.0.113.7",
        ),
        (Condition.UNREACHABLE, Result.NONE, "example.com has no SPF record and no mail server (MX)"),
        (None, Result.FAIL, "203.0.113.7 is not in the trusted sender list of example.com"),
    ],
)
def test_the_entry_that_applied_is_what_the_sender_reads_of(
    condition: Condition | None, result: Result, first: str
) -> None:
    decided = replace(action(Disposition.REJECT, verdict(result)), condition=condition)
    answer = reply_for(decided, facts(), settings())
    assert answer is not None
    assert answer.lines[0].startswith(f"Message refused: {first}")


def test_our_own_fault_is_named_as_ours() -> None:
    faulty = verdict(Result.TEMPERROR, fault="Traceback ...")
    answer = reply_for(action(Disposition.DEFER, faulty), facts(), settings())
    assert answer == internal_error()
    assert str(answer).startswith("451 4.3.0 Not accepted yet: the receiving server has an error")


def test_a_reply_of_several_lines_is_written_as_smtp_has_it() -> None:
    reply = Reply(code=550, status="5.7.23", lines=("one", "two", "three"))
    assert str(reply) == "550-5.7.23 one\n550-5.7.23 two\n550 5.7.23 three"


@pytest.mark.parametrize(
    ("code", "status", "lines"),
    [
        (550, "4.7.23", ("x",)),
        (451, "5.7.23", ("x",)),
        (250, "2.0.0", ("x",)),
        (354, "3.0.0", ("x",)),
        (650, "6.0.0", ("x",)),
        (55, "5.7.23", ("x",)),
        (5500, "5.7.23", ("x",)),
        (550, "", ("x",)),
        (550, "5.7", ("x",)),
        (550, "5.7.23.1", ("x",)),
        (550, "5.7.1234", ("x",)),
        (550, "5.7.23\n", ("x",)),
        (550, "5.7.٢", ("x",)),  # a digit, but not of ASCII
        (550, "5.7.23", ()),
        (550, "5.7.23", ("x",) * 33),
        (550, "5.7.23", ("",)),
        (550, "5.7.23", ("x", "")),
        (550, "5.7.23", ("a\r\nb",)),
        (550, "5.7.23", ("a\nb",)),
        (550, "5.7.23", ("a\tb",)),
        (550, "5.7.23", ("a\x00b",)),
        (550, "5.7.23", ("a\x7fb",)),
        (550, "5.7.23", ("grün",)),
        (550, "5.7.23", ("不在",)),
        (550, "5.7.23", ("\udcff",)),
        (550, "5.7.23", ("x" * 481,)),
    ],
)
def test_a_wrong_reply_cannot_be_built(code: int, status: str, lines: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Reply(code=code, status=status, lines=lines)


def test_the_largest_reply_that_is_right_can_be_built() -> None:
    assert len(Reply(code=599, status="5.999.999", lines=("x" * 480,) * 32).lines) == 32
    assert len(Reply(code=599, status="5.999.999", lines=("不" * 160,) * 32, utf8=True).lines) == 32


@pytest.mark.parametrize(
    "line", ["不" * 161, "\udcff", "a\u202eb", "a\u200bb", "a\u2028b", "a\x85b", "a\rb", "\x7f", ""]
)
def test_nor_can_a_wrong_one_for_a_client_that_takes_utf8(line: str) -> None:
    """Too many octets, no encoding, what reorders or hides, what some take for the end of a line."""
    with pytest.raises(ValueError, match="is not a line of a reply"):
        Reply(code=550, status="5.7.23", lines=(line,), utf8=True)


@pytest.mark.parametrize("smtputf8", [True, False])
def test_only_a_client_that_uses_smtputf8_is_answered_in_utf8(*, smtputf8: bool) -> None:
    chinese = settings("[reply]\nlanguages = zh-Hans, en\n")
    answer = reply_for(action(Disposition.REJECT, verdict(Result.FAIL)), facts(smtputf8=smtputf8), chinese)
    assert answer is not None
    assert answer.utf8 is smtputf8
    assert str(answer).isascii() is not smtputf8


def test_a_recipient_who_needs_a_message_of_its_own_is_told_so_in_the_clients_language() -> None:
    assert str(separate_message(facts(), settings())) == (
        "452 4.5.3 Not accepted yet: this recipient has other rules than the recipients before; "
        "your mail server will send the message to them separately by itself"
    )
    chinese = separate_message(facts(smtputf8=True), settings("[reply]\nlanguages = zh-Hans"))
    assert chinese.lines == ("邮件暂未接收：此收件人与前面的收件人适用不同的规则；您的邮件服务器会自动单独投递",)
