"""The steps of a finding: quoted for a shell, and without names that could do harm."""

import shlex

import pytest

from spfmilter.report import advice
from tests.values import settings


def test_a_command_is_one_line_for_a_shell() -> None:
    step = advice.exempt("--forwarder", ".forward.example", days=30, because='it\'s "ours"; $(reboot)')
    assert shlex.split(step.text) == [
        "spfmilter", "exempt", "add", "--forwarder", ".forward.example", "--for", "30d", "--because",
        "it's \"ours\"; $(reboot)",
    ]  # fmt: skip
    assert step.purpose == "let it in for 30 days"


def test_a_value_is_added_to_what_is_there() -> None:
    given = settings("[policy]\nmode = monitor\n[exempt]\nforwarders = a.example, b.example\n")
    step = advice.listed("forwarders", ".forward.example", given)
    assert (step.text, step.purpose) == (
        "forwarders = a.example, b.example, .forward.example",
        "let it in for good, in [exempt] at line 4",
    )
    assert advice.listed("senders", "x.example", given).text == "senders = x.example"
    many = settings("[exempt]\nforwarders = " + ", ".join(f"h{number}.example" for number in range(99)) + "\n")
    assert advice.listed("forwarders", "x.example", many).text == "forwarders: with x.example"


@pytest.mark.parametrize("case", [None, "", "<b>", "CM6X-D1MM", "CM6X-D1MM-TW0W; reboot", "cm6x-d1mm-tw0w"])
def test_what_is_no_case_id_is_not_asked_for(case) -> None:
    assert advice.why(case) == ()


def test_why_explains_a_case() -> None:
    assert [step.text for step in advice.why("CM6X-D1MM-TW0W")] == ["spfmilter why CM6X-D1MM-TW0W"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.example", True), ("A.example", False), ("a,b.example", False), ("-x", False), ("", False), ("1.2.3.4", False)],
)
def test_what_the_ini_file_takes_as_a_name(text, expected) -> None:
    assert advice.is_name(text) is expected
