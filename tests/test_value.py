"""Values: compared, hashed and copied by their fields, and never changed, which mypy enforces."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mypy import api

from spfmilter.edits import HeaderField
from spfmilter.value import value
from tests.source import all_nodes

ROOT = Path(__file__).parents[1]


@value(kw_only=False)
class Pair:
    """One that is made by position."""

    left: int
    right: int = 2


def test_equal_values_are_one_key() -> None:
    one, other = HeaderField(name="X", value="1"), HeaderField(name="X", value="1")
    assert one == other
    assert len({one, other, replace(one, value="2")}) == 2
    assert Pair(1) == Pair(1, 2) != Pair(2, 1)


def test_a_value_has_no_room_for_more() -> None:
    with pytest.raises(AttributeError):
        Pair(1).middle = 3  # type: ignore[attr-defined]


CHANGES = {
    'HeaderField(name="X", value="1").name = "Y"': "read-only",
    "Answer(Status.NO_DATA).ttl = 1": "read-only",
    'HeaderField("X", "1")': "positional",
}


def test_mypy_lets_no_code_change_one(tmp_path: Path) -> None:
    tried = tmp_path / "tried.py"
    imported = "from spfmilter.dns.answer import Answer, Status; from spfmilter.edits import HeaderField"
    tried.write_text("\n".join([imported, *CHANGES]) + "\n")
    # A cache of its own: that of `make lint` may be written at this moment.
    cache = ["--cache-dir", str(ROOT / ".cache" / "mypy")]
    found, trouble, status = api.run(["--config-file", str(ROOT / "pyproject.toml"), *cache, str(tried)])
    assert (status, trouble) == (1, ""), found
    lines = [line.partition("tried.py:")[2] for line in found.splitlines() if ": error:" in line]
    assert len(lines) == len(CHANGES)
    for number, (line, said) in enumerate(zip(lines, CHANGES.values(), strict=True), start=2):
        assert line.startswith(f"{number}:")
        assert said in line


# The modules whose values every message makes.
FOR_EVERY_MESSAGE = {"dns/answer.py", "dns/wire.py", "edits.py", "message/message.py", "model.py", "session.py"}


def decorated(name: str) -> Iterator[tuple[str, str]]:
    """The modules with the decorators of their classes that begin with a name."""
    for path, nodes in all_nodes().items():
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                decorators = (ast.unparse(decorator) for decorator in node.decorator_list)
                yield from ((path, d) for d in decorators if d.startswith(name))


def test_only_what_every_message_makes_is_not_frozen_at_run_time() -> None:
    assert {module for module, _ in decorated("value")} == FOR_EVERY_MESSAGE
    assert {module for module, text in decorated("dataclass") if "frozen=True" in text} & FOR_EVERY_MESSAGE == set()
