"""Coverage-guided fuzzing with atheris: ``python -m tests.fuzz.run NAME [libFuzzer's options]``.

atheris is wanted here only; the harnesses themselves are plain functions of bytes, which the tests replay without it.
New inputs are kept under .cache/fuzz/NAME; one that fails is written to tests/fuzz/corpus/NAME, to stay as a test.
"""

import importlib
import sys
from pathlib import Path

import atheris  # in an environment of its own, see the Makefile

HERE = Path(__file__).parent


def main() -> None:
    """Fuzz until the time is over (``-max_total_time=60``) or something fails."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["spfmilter"]):
        target = importlib.import_module(f"tests.fuzz.fuzz_{name}").one_input
    found, kept = HERE.parents[1] / ".cache" / "fuzz" / name, HERE / "corpus" / name
    found.mkdir(parents=True, exist_ok=True)
    arguments = [str(found), str(kept), f"-artifact_prefix={kept}/", "-timeout=10", "-max_len=4096", *options]
    atheris.Setup([sys.argv[0], *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
