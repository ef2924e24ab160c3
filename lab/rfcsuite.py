"""The SPF test suites in pyspf's source distribution: fetched on demand, never kept in git.

It knows where the suites are, their hash, and their YAML. It does not know how a case is run. The wheel that pip
installs has no suites, so the source distribution is fetched as well, into a cache.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.dnszone import ZoneData
from lab.processes import HUNG

SUITES = ("rfc7208-tests", "rfc4408-tests", "test")

_VERSION = "2.0.14"
_SHA256 = "57a7ef01bda090173aafb6af0106251686ed73f03db4e911fcd34c57fc347186"
_SDIST = f"pyspf-{_VERSION}.tar.gz"
_CACHE = Path(__file__).parent.parent / ".cache"


class SuiteUnavailableError(Exception):
    """The source distribution could not be fetched, or is not the expected one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One check and its allowed results; the first of several results is the preferred one."""

    suite: str
    scenario: str
    name: str
    host: str
    helo: str
    mailfrom: str
    results: tuple[str, ...]
    explanation: str | None  # "DEFAULT" stands for the checker's own
    spec: str  # the sections that the case is about, such as "4.3/1"
    strict: int = 1  # pyspf's strictness, where the case asks for another (2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """Cases that share one zone."""

    description: str
    zonedata: ZoneData
    cases: tuple[Case, ...]


def load(suite: str, *, cache: Path = _CACHE) -> list[Scenario]:
    """Return the scenarios of one of SUITES (with or without `.yml`), in the order of its file."""
    import yaml  # noqa: PLC0415 - not needed to list SUITES

    suite = suite.removesuffix(".yml")
    if suite not in SUITES:
        msg = f"unknown suite {suite!r}: there are {', '.join(SUITES)}"
        raise ValueError(msg)
    with tarfile.open(source_distribution(cache=cache)) as archive:
        member = archive.extractfile(f"pyspf-{_VERSION}/test/{suite}.yml")
        assert member is not None
        # libyaml, where PyYAML was built with it, reads them in a tenth of the time.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = list(yaml.load_all(member.read(), loader))
    return [_scenario(suite, document) for document in documents]


def source_distribution(*, cache: Path = _CACHE) -> Path:
    """Return the path of pyspf's source distribution. Fetch it with pip unless the cache has it, and check its hash."""
    path = cache / _SDIST
    if path.exists() and _sha256(path) == _SHA256:
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _download(Path(folder))
        fetched = Path(folder) / _SDIST
        if not fetched.exists() or _sha256(fetched) != _SHA256:
            msg = f"pip fetched something else than {_SDIST} with sha256 {_SHA256}"
            raise SuiteUnavailableError(msg)
        fetched.replace(path)  # atomic: other test processes may do the same at this time
    return path


def _download(folder: Path) -> None:
    """Fetch it with pip, which knows the mirrors and the certificates of this machine.

    pip runs an sdist's setup.py for its metadata, in an isolated environment, for which it fetches setuptools itself:
    `--no-binary pyspf` and not `:all:`, or else it would build that from source as well. With a hash in the
    requirements file pip checks it before it runs anything of the archive.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"pyspf=={_VERSION} --hash=sha256:{_SHA256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pyspf"]
    command += ["--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=HUNG, check=False)
    if done.returncode != 0:
        msg = f"pip could not fetch {_SDIST}:\n{done.stderr.strip()}"
        raise SuiteUnavailableError(msg)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _scenario(suite: str, document: Mapping[str, Any]) -> Scenario:
    """Return the scenario of one YAML document. Those of test.yml have no description, but a comment."""
    description = str(document.get("description") or document.get("comment") or "").strip()
    return Scenario(
        description=description,
        zonedata={str(name): entries for name, entries in document["zonedata"].items()},
        cases=tuple(_case(suite, description, str(name), test) for name, test in document["tests"].items()),
    )


def _case(suite: str, scenario: str, name: str, test: Mapping[str, Any]) -> Case:
    """Return the case of one test. YAML reads a spec such as 4.3 as a number."""
    return Case(
        suite=suite,
        scenario=scenario,
        name=name,
        host=str(test["host"]),
        helo=str(test["helo"]),
        mailfrom=str(test["mailfrom"]),
        results=_texts(test["result"]),
        explanation=test.get("explanation"),
        spec=", ".join(_texts(test.get("spec", ""))),
        strict=test.get("strict", 1),
    )


def _texts(value: Any) -> tuple[str, ...]:
    """Return one or several texts as a tuple, since the YAML may have either."""
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
