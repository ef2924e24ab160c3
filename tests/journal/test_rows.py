"""A transaction becomes a row: each fact in its column, each text one harmless line."""

from typing import Any

import pytest

from spfmilter.journal.channel import is_row
from spfmilter.journal.rows import COLUMNS, NAME_LIMIT, TEXT_LIMIT, Decision, row_of
from spfmilter.journal.tables import DECISION
from spfmilter.model import Condition, Identity, Problem, ProblemKind, Result
from tests.journal.values import TIME, transaction
from tests.values import verdict


def decision(*verdicts: Any, local_parts: bool = False, **other: Any) -> Decision:
    made = row_of(transaction(*verdicts, **other), time=TIME, host="mx.example.org", local_parts=local_parts)
    assert is_row(made)
    return Decision._make(made)


def test_the_columns_are_those_of_the_table() -> None:
    assert tuple(column.name for column in DECISION.columns if column.name != "id") == COLUMNS


def test_a_refusal() -> None:
    found = decision(verdict(Result.FAIL, term="-all", lookups=3, elapsed=0.0124), case="AAAA-BBBB-CCCC")
    assert (found.time, found.host, found.queue_id, found.case_id) == (
        TIME,
        "mx.example.net",
        "4Xyz12",
        "AAAA-BBBB-CCCC",
    )
    assert (found.client, found.sender_domain, found.sender_local) == ("203.0.113.7", "example.com", None)
    assert (found.mailfrom_result, found.helo_result, found.decided_by) == ("fail", None, "mailfrom")
    assert (found.action, found.would, found.rule) == ("reject", None, "[policy.mailfrom] fail = reject")
    assert (found.term, found.lookups, found.elapsed, found.answers) == ("-all", 3, 12, None)


def test_both_identities_and_monitor_mode() -> None:
    helo = verdict(Result.PASS, identity=Identity.HELO)
    found = decision(helo, verdict(Result.FAIL), ini="[policy]\nmode = monitor\n")
    assert (found.helo_result, found.mailfrom_result) == ("pass", "fail")
    assert (found.action, found.would) == ("accept", "reject")


def test_a_problem() -> None:
    problem = Problem(kind=ProblemKind.SYNTAX, text="unknown mechanism")
    found = decision(verdict(Result.PERMERROR, problem=problem))
    assert (found.mailfrom_problem, found.problem_text) == (ProblemKind.SYNTAX.value, "unknown mechanism")


def test_a_message_that_is_not_checked() -> None:
    found = decision(address="127.0.0.1")
    assert (found.action, found.decided_by, found.mailfrom_result) == ("accept", None, None)
    assert found.skip


@pytest.mark.parametrize(
    ("local_parts", "kept"), [pytest.param(False, None, id="not kept"), pytest.param(True, "user", id="kept")]
)
def test_the_local_part(local_parts: bool, kept: str | None) -> None:
    assert decision(local_parts=local_parts).sender_local == kept


def test_the_null_sender_has_no_domain() -> None:
    assert decision(sender="<>").sender_domain is None


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000,
        "a\0b",
        "a\nb\r\nc",
        "\udcff\udc80 half",
        "\ud800",
        "'; DROP TABLE decision; --",
        "%s %(x)s $1 ? :name",
        "\u202eright to left",
        "\U0001f4a9" * 300,
    ],
)
def test_hostile_texts_become_one_line_that_a_database_takes(text: str) -> None:
    found = decision(
        verdict(Result.FAIL, term=text, term_domain=text), helo=text, sender=f"<{text}@{text}>", queue_id=text
    )
    for name, cell in found._asdict().items():
        if isinstance(cell, str):
            assert cell.isprintable(), name
            assert len(cell) <= (TEXT_LIMIT if name in {"term", "problem_text", "rule"} else NAME_LIMIT), name
            cell.encode()


def test_no_recipient_is_in_a_row() -> None:
    found = decision(verdict(Result.FAIL), recipients=("bob@example.net",), refused_recipients=("eve@example.net",))
    assert found.recipient_rules == 1
    assert not any("bob" in str(cell) or "eve" in str(cell) for cell in found)


def test_a_condition_is_that_of_the_entry_that_applied() -> None:
    ini = "[policy.mailfrom]\nwide_open = reject\n"
    found = decision(verdict(Result.PASS, condition=Condition.WIDE_OPEN), ini=ini)
    assert (found.mailfrom_condition, found.action) == ("wide_open", "reject")


def test_the_domain_is_the_one_of_the_dns() -> None:
    assert decision(sender="<a@BÜCHER.example>").sender_domain == "xn--bcher-kva.example"
