"""The lower bounds in pyproject.toml are true: the pure tests, and those of the protocol, pass with these versions."""

import json
import subprocess
import tomllib

import pytest

from lab.processes import HUNG
from package.lowest import constraints, lowest
from package.sources import ROOT, BuildError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_each_requirement_has_a_lower_bound_and_no_other() -> None:
    assert "starlette==0.46.1" in constraints(PROJECT)
    assert constraints({"dependencies": ["b[c]>=1.2"], "optional-dependencies": {"x": ["a>=3"]}}) == ["a==3", "b==1.2"]
    with pytest.raises(BuildError, match="a<3: write NAME>=VERSION"):
        constraints({"dependencies": ["a<3"]})


def test_the_environment_has_the_lowest_versions() -> None:
    done = subprocess.run([lowest(), "-c", VERSIONS], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    for wanted in constraints(PROJECT):
        name, _, version = wanted.partition("==")
        assert found[name].split(".")[: version.count(".") + 1] == version.split("."), name


VERSIONS = """
import json
from importlib.metadata import distributions
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in distributions()}))
"""


@pytest.mark.parametrize(
    "chosen",
    [["-n", "auto", "--dist", "worksteal", "-m", "not (outside or alone or soak)"], ["tests/wire", "-m", "not soak"]],
    ids=["pure", "wire"],
)
def test_the_tests_pass_on_the_lowest_versions(chosen) -> None:
    command = [lowest(), "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=4 * HUNG, check=False)
    assert done.returncode == 0, done.stdout[-8000:]
