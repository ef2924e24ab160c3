"""What the fuzzers began with and what they found, replayed without them (`make fuzz` goes on from there)."""

import importlib
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"
HARNESSES = sorted(path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py"))
INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_input_of_the_corpus(path: Path) -> None:
    importlib.import_module(f"tests.fuzz.fuzz_{path.parent.name}").one_input(path.read_bytes())


def test_each_harness_has_a_corpus() -> None:
    assert sorted({path.parent.name for path in INPUTS}) == HARNESSES
