"""The suites of pyspf's source distribution: these need a package index, or the cache of a run before."""

import io
import tarfile
from pathlib import Path

import pytest

from lab import rfcsuite
from lab.dnszone import Zone


@pytest.mark.parametrize(
    ("suite", "scenarios", "cases"),
    [("rfc7208-tests", 16, 203), ("rfc4408-tests", 15, 191), ("test", 4, 16)],
)
def test_every_suite_is_whole(suite: str, scenarios: int, cases: int) -> None:
    loaded = rfcsuite.load(suite)
    assert (len(loaded), sum(len(scenario.cases) for scenario in loaded)) == (scenarios, cases)
    assert {case.suite for scenario in loaded for case in scenario.cases} == {suite}


def test_a_case_has_all_that_a_check_needs() -> None:
    by_name = {case.name: case for scenario in rfcsuite.load("rfc7208-tests.yml") for case in scenario.cases}
    assert len(by_name) == 203
    assert by_name["emptylabel"] == rfcsuite.Case(
        suite="rfc7208-tests",
        scenario="Initial processing",
        name="emptylabel",
        host="1.2.3.5",
        helo="mail.example.net",
        mailfrom="lyme.eater@A...example.com",
        results=("none",),
        explanation=None,
        spec="4.3/1",
    )
    assert by_name["helo-not-fqdn"].mailfrom == ""
    assert by_name["bytes-bug"].strict == 2
    assert any(len(case.results) > 1 for case in by_name.values())
    assert any(case.explanation == "DEFAULT" for case in by_name.values())


@pytest.mark.parametrize("suite", rfcsuite.SUITES)
def test_the_scripted_dns_server_takes_every_zone(suite: str) -> None:
    for scenario in rfcsuite.load(suite):
        Zone(scenario.zonedata)


def test_an_unknown_suite_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown suite 'rfc9999'"):
        rfcsuite.load("rfc9999")


def test_what_pip_brought_is_refused_when_its_hash_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forge(folder: Path) -> None:
        with tarfile.open(folder / "pyspf-2.0.14.tar.gz", "w:gz") as archive:
            archive.addfile(tarfile.TarInfo("pyspf-2.0.14/setup.py"), io.BytesIO())

    monkeypatch.setattr(rfcsuite, "_download", forge)
    with pytest.raises(rfcsuite.SuiteUnavailableError, match="something else"):
        rfcsuite.source_distribution(cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_cache_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = rfcsuite.source_distribution().read_bytes()
    (tmp_path / "pyspf-2.0.14.tar.gz").write_bytes(good[:1000])
    monkeypatch.setattr(rfcsuite, "_download", lambda folder: (folder / "pyspf-2.0.14.tar.gz").write_bytes(good))
    assert rfcsuite.source_distribution(cache=tmp_path).read_bytes() == good
