"""The source distribution and the wheel: what they hold, that they are the same each time, and that they install."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from lab.dnsserver import ScriptedDNS
from package import pypi
from package.environment import environment
from package.lowest import constraints
from package.sources import ROOT, export
from spfmilter import __version__

NAME = f"spfmilter-{__version__}"
# What the repository has for itself: git's own files, and continuous integration.
NOT_IN_THE_SDIST = (".ci/",)
DATA = f"{NAME}.data/data/"


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("pypi"))


def built(place: Path) -> Path:
    out = place / "dist"
    out.mkdir()
    pypi.build(export(place / "tree"), out)
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return dist / f"{NAME}-py3-none-any.whl"


def test_two_builds_are_identical(dist, tmp_path, monkeypatch) -> None:
    """At another place, another time of day, with another umask and language."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C")
    former = os.umask(0o077)
    try:
        again = built(tmp_path)
    finally:
        os.umask(former)
    assert [path.name for path in sorted(dist.iterdir())] == [
        f"{NAME}-py3-none-any.whl",
        f"{NAME}.cdx.json",
        f"{NAME}.tar.gz",
    ]
    assert {p.name: p.read_bytes() for p in dist.iterdir()} == {p.name: p.read_bytes() for p in again.iterdir()}


def test_the_source_distribution_holds_what_git_holds(dist) -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "-z", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    known = {name for name in listed.stdout.split("\0") if name and not name.startswith(NOT_IN_THE_SDIST)}
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        held = {member.name.removeprefix(f"{NAME}/") for member in archive if member.isfile()}
    assert held - {"PKG-INFO"} == known


def test_the_wheel_holds_the_package_its_licence_and_files_beside_it(wheel) -> None:
    names = set(ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names} == {"spfmilter", f"{NAME}.dist-info", f"{NAME}.data"}
    assert {f"{NAME}.dist-info/licenses/LICENSE", "spfmilter/py.typed"} <= names
    assert {name.removeprefix(DATA) for name in names if name.startswith(DATA)} == {
        "share/man/man1/spfmilter.1",
        "share/man/man5/spfmilter.ini.5",
        "share/spfmilter/spfmilter.ini",
        *(f"share/spfmilter/{path.relative_to(ROOT)}" for path in (ROOT / "systemd").rglob("*.*") if path.is_file()),
    }


def test_the_metadata_say_who_and_have_no_link_that_leads_nowhere(wheel) -> None:
    metadata = email.message_from_bytes(ZipFile(wheel).read(f"{NAME}.dist-info/METADATA"))
    assert (metadata["Author"], metadata["License-Expression"]) == ("The spfmilter maintainers", "GPL-2.0-or-later")
    assert (metadata["Version"], metadata["Description-Content-Type"]) == (__version__, "text/markdown")
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    page = str(metadata.get_payload())
    assert page.startswith("# spfmilter\n")
    assert re.findall(r'\]\((?!https?:|#)|src="(?!https?:)', page) == []


def test_the_bill_lists_each_requirement_with_version_and_licence(dist) -> None:
    bill = json.loads((dist / f"{NAME}.cdx.json").read_text())
    subject = bill["metadata"]["component"]
    assert (bill["bomFormat"], subject["name"], subject["version"]) == ("CycloneDX", "spfmilter", __version__)
    listed = {component["name"].lower().replace("_", "-"): component for component in bill["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {line.partition("==")[0] for line in constraints(project)}
    assert needed <= set(listed)
    assert {"pip", "setuptools", "pytest"} & set(listed) == set()
    assert [name for name, component in listed.items() if not component.get("version")] == []
    assert [name for name in needed if not listed[name].get("licenses")] == []
    assert str(dist) not in json.dumps(bill)
    assert "file:" not in json.dumps(bill)


def test_the_source_distribution_builds_the_same_wheel_by_pip(dist, wheel, tmp_path) -> None:
    """As the installation from PyPI does where there is no wheel, in an environment that pip makes for the build."""
    command = ["pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, dist / f"{NAME}.tar.gz"]
    subprocess.run([sys.executable, "-m", *command], check=True)
    with ZipFile(wheel) as ours, ZipFile(tmp_path / wheel.name) as theirs:
        generated = f"{NAME}.dist-info/"  # the version of the builder stands there
        names = [name for name in ours.namelist() if not name.startswith(generated)]
        assert names == [name for name in theirs.namelist() if not name.startswith(generated)]
        assert [name for name in names if ours.read(name) != theirs.read(name)] == []


# -- installed as users do -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dns() -> Iterator[ScriptedDNS]:
    with ScriptedDNS({"example.com": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}]}) as server:
        yield server


def by_pipx(wheel: Path, place: Path) -> Mapping[str, str]:
    variables = {
        "PIPX_HOME": str(place / "pipx"),
        "PIPX_BIN_DIR": str(place / "bin"),
        "PIPX_MAN_DIR": str(place / "share" / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
    }
    run([environment("tools") / "pipx", "install", "--quiet", f"{wheel}[web]"], variables)
    return variables


def by_uv(wheel: Path, place: Path) -> Mapping[str, str]:
    variables = {
        "UV_TOOL_DIR": str(place / "uv"),
        "UV_TOOL_BIN_DIR": str(place / "bin"),
        "UV_CACHE_DIR": str(place / "cache"),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    uv = environment("tools") / "uv"
    run([uv, "tool", "install", "--quiet", "--python", sys.executable, f"spfmilter[web] @ {wheel.as_uri()}"], variables)
    return variables


def run(command: list[str | Path], variables: Mapping[str, str]) -> str:
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("install", [by_pipx, by_uv])
def test_the_wheel_installs_and_its_commands_work(wheel, dns, tmp_path, install) -> None:
    variables = install(wheel, tmp_path)
    program = tmp_path / "bin" / "spfmilter"
    assert run([program, "--version"], variables) == f"spfmilter, version {__version__}\n"
    [shipped] = (tmp_path / ("pipx" if install is by_pipx else "uv")).glob("**/share/spfmilter/spfmilter.ini")
    assert (shipped.parent / "systemd" / "spfmilter.service").is_file()
    assert "no problems" in run([program, "config", "check", "-c", shipped], variables)
    ini = tmp_path / "spfmilter.ini"
    ini.write_text(f"[dns]\nnameservers = {dns.address}\n")
    message = ["--ip", "203.0.113.7", "--helo", "mail.example.net", "--mail-from", "alice@example.com"]
    said = json.loads(run([program, "check", "-c", ini, "--json", *message], variables))
    assert "fail" in json.dumps(said)
    assert "Serve the help page" in run([program, "web", "--help"], variables)
    if install is by_pipx:
        assert {path.name for path in (tmp_path / "share" / "man").rglob("spfmilter*")} == {
            "spfmilter.1",
            "spfmilter.ini.5",
        }
