"""docs/answers.md answers all twenty complaints, and names keys and tests that there are."""

import ast
import re
from pathlib import Path

import pytest

from spfmilter.settings import schema

ROOT = Path(__file__).parents[1]
ANSWERS = re.split(r"(?m)^## ", (ROOT / "docs" / "answers.md").read_text())[1:]


def keys_of(section: str) -> set[str]:
    """The keys of a section, also of one that carries a name after a colon."""
    kind, colon, _ = section.partition(":")
    model = schema.NAMED_SECTIONS[kind][0] if colon else schema.SECTIONS[section][1]
    return {schema.key_of(model, attribute) for attribute in model.model_fields}


def test_all_twenty_are_answered() -> None:
    assert [answer.partition(".")[0] for answer in ANSWERS] == [str(number) for number in range(1, 21)]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.partition(".")[0])
def test_an_answer_says_what_to_set(answer: str) -> None:
    """Or that nothing is to be set, or that it is set in the MTA."""
    said = re.search(r"(?ms)^- Set: (.*?)(?=^- |\Z)", answer)
    assert said is not None
    named = re.findall(r"`\[([a-z.]+(?::[^]]+)?)\] (\w+)`", said[1])
    assert named or said[1].startswith(("nothing", "the order in the MTA"))
    assert [f"[{section}] {key}" for section, key in named if key not in keys_of(section)] == []


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.partition(".")[0])
def test_an_answer_is_shown_by_tests_that_there_are(answer: str) -> None:
    _, _, shown = answer.partition("\n- Shown by")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
    assert len(named) == shown.count("`") // 2 > 0
    for path, test in named:
        source = ROOT / path
        assert source.is_file(), path
        tests = {node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert test in tests, f"{path}::{test}"
