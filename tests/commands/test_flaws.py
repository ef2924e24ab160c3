"""What `spfmilter check` and `spfmilter why` say of a record's flaws, as text and as JSON."""

from rich.console import Console

from spfmilter.commands.explain import verdict_json
from spfmilter.commands.tree import verdict_tree
from spfmilter.model import Verdict
from tests.evaluation.world import check, ours


def evaluated(text: str) -> Verdict:
    return ours({"e.example": [{"TXT": text}]}, check(), trace=True)


def shown(text: str) -> list[str]:
    console = Console(width=300)
    with console.capture() as captured:
        console.print(verdict_tree(evaluated(text)))
    return [line.strip("└├─│ ") for line in captured.get().splitlines()]


def test_the_tree_says_what_is_wrong_in_a_valid_record() -> None:
    told = (
        'If you run e.example: "ip4:192.0.2.1" has no effect in its SPF record, because it is after "-all". '
        'Move it before "-all".'
    )
    assert told in shown("v=spf1 -all ip4:192.0.2.1")


def test_the_tree_says_why_a_text_is_no_record() -> None:
    lines = shown('"v=spf1 mx -all"')
    assert any(
        'its TXT record begins with ""v=spf1", so it is no SPF record. Write "v=spf1".' in line for line in lines
    )


def test_the_tree_also_shows_what_keeps_no_message_out() -> None:
    assert any('"~all" has no effect' in line for line in shown("v=spf1 -all ~all"))


def test_a_hostile_record_does_not_fill_the_terminal() -> None:
    assert len(shown("v=spf1 -all " + "ip4=192.0.2.1 " * 90)) < 120


def test_machines_are_told_the_same() -> None:
    assert verdict_json(evaluated("v=spf1 ip4=192.0.2.1 -all"))["flaws"] == [
        {
            "kind": "unknown-modifier",
            "term": "ip4=192.0.2.1",
            "instead": "ip4:192.0.2.1",
            "text": 'If you run e.example: "ip4=192.0.2.1" has no effect in its SPF record. Write "ip4:192.0.2.1", '
            "with a colon.",
        }
    ]
    assert verdict_json(evaluated("v=spf1 -all"))["flaws"] == []
