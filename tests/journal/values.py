"""Rows and transactions for the tests of the journal."""

from typing import Any

from spfmilter import policy
from spfmilter.journal.rows import Row, row_of
from spfmilter.model import Transaction, Verdict
from tests.values import decide, facts, settings

TIME = 1_795_951_204_386  # milliseconds since 1970 UTC


def transaction(*verdicts: Verdict, ini: str = "", sender: str = "<user@example.com>", **other: Any) -> Transaction:
    """A message with these verdicts and the policy's action."""
    about = facts(sender, **{key: other.pop(key) for key in ("helo", "address", "authenticated") if key in other})
    planned = policy.plan(about, settings(ini))
    return Transaction(
        facts=about,
        plan=planned,
        verdicts=verdicts,
        action=decide(planned, verdicts, settings(ini)),
        **{"queue_id": "4Xyz12", **other},
    )


def row(number: int = 0, answers: bytes | None = None, **other: Any) -> Row:
    """A row; the number tells it from others."""
    return row_of(transaction(**other), time=TIME + number, host="mx.example.net", answers=answers)


def rows(number: int, answers: bytes | None = None) -> list[Row]:
    """So many rows."""
    _, *cells = row(0, answers)
    return [(TIME + each, *cells) for each in range(number)]
