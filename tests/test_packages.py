"""The command that installs an extra is for the Python that runs spfmilter."""

import sys
import sysconfig
from pathlib import Path

import pytest

from spfmilter import packages


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python at a place of its own, in a private environment."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python3"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    return tmp_path


def test_in_a_private_environment_it_is_its_own_pip(python) -> None:
    assert packages.how_to_install("web", "jinja2") == f"{python}/bin/python3 -m pip install 'spfmilter[web]'"
    (python / "bin").mkdir()
    (python / "bin" / "pip").touch()
    assert packages.how_to_install("web", "jinja2") == f"{python}/bin/pip install 'spfmilter[web]'"


def test_where_the_system_manages_python_it_is_no_pip(python, monkeypatch) -> None:
    """PEP 668: pip refuses there."""
    monkeypatch.setattr(sys, "base_prefix", str(python))
    assert "pip install" in packages.how_to_install("web", "jinja2")
    (python / "EXTERNALLY-MANAGED").touch()
    said = packages.how_to_install("web", "jinja2")
    assert said == f"install jinja2 with the package manager of this system, which manages {python}/bin/python3"
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert "pip install" in packages.how_to_install("web", "jinja2"), "a private environment of that Python"


def test_in_a_package_of_a_distribution_it_is_the_command_of_that(python, monkeypatch) -> None:
    """Even in a private environment, which such a package may have."""
    extras = python / "extras.txt"
    monkeypatch.setattr(packages, "_EXTRAS", extras)
    assert "pip install" in packages.how_to_install("web", "jinja2"), "a source installation has no such file"
    extras.write_text("# a comment = is none\nweb = apt install spfmilter-web\n\nredis=apt install python3-redis\n")
    assert packages.how_to_install("web", "jinja2") == "apt install spfmilter-web"
    assert packages.how_to_install("redis", "redis") == "apt install python3-redis"
    assert "pip install" in packages.how_to_install("postgresql", "psycopg"), "the file does not name it"
    assert "pip install" in packages.how_to_install("", "click")
