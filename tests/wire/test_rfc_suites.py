"""The published SPF suites as an MTA would run them: the milter protocol on one side, real DNS on the other.

The result is read from the Received-SPF field that the message gets; monitor mode lets every message come that far.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.dnsserver import ScriptedDNS
from lab.rfcsuite import Case, Scenario, load
from tests.wire.running import Running, running

SETTINGS = """[policy]
mode = monitor
[exempt]
networks =
private_clients = no
[headers]
write = received-spf
"""
TIMEOUT = "timeout = 1s"  # the cases that want a temperror wait for it; the others' answers come at once
SUITES = ("rfc7208-tests", "rfc4408-tests")
AT_ONCE = 12  # cases, since some of them wait


def result(serving: Running, case: Case) -> str:
    """What Received-SPF says of the identity that the case is about."""
    with serving.client() as mta:
        mta.greet(case.host, case.helo)
        outcome = mta.deliver(f"<{case.mailfrom}>", ["<r@example.net>"])
        mta.quit()
    assert (outcome.stage, outcome.reply.kind) == ("eom", "continue"), case
    wanted = f"identity={'mailfrom' if case.mailfrom else 'helo'}"
    (value,) = (
        f.value for f in outcome.inserted if f.name == "Received-SPF" and wanted in re.split(r"[\s;]+", f.value)
    )
    return str(value.split(" ")[0])


def wrong(serving: Running, scenario: Scenario, times: int = 1) -> dict[str, tuple[str, ...]]:
    """The cases whose result is none that the suite allows, with their results."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rounds = [list(pool.map(lambda case: result(serving, case), scenario.cases)) for _ in range(times)]
    found = {case.name: results for case, *results in zip(scenario.cases, *rounds, strict=True)}
    return {
        case.name: tuple(found[case.name]) for case in scenario.cases if not set(found[case.name]) <= set(case.results)
    }


def scenarios() -> list[object]:
    """All of both suites."""
    return [
        pytest.param(scenario, id=f"{suite}:{scenario.description}") for suite in SUITES for scenario in load(suite)
    ]


@pytest.fixture(scope="module")
def zone() -> Iterator[ScriptedDNS]:
    """A server of our own: the zone changes."""
    with ScriptedDNS() as server:
        yield server


@pytest.fixture(scope="module", params=["yes", "no"], ids=["prefetch", "sequential"])
def forgetful(zone: ScriptedDNS, request: pytest.FixtureRequest) -> Iterator[Running]:
    """One daemon for all scenarios, without a cache: the names are the same in many, and their records are not."""
    with running(zone, SETTINGS, lookups=f"{TIMEOUT}\ncache_entries = 0\nprefetch = {request.param}") as serving:
        yield serving


@pytest.mark.parametrize("scenario", scenarios())
def test_a_scenario_over_the_milter_protocol(zone: ScriptedDNS, forgetful: Running, scenario: Scenario) -> None:
    zone.load(scenario.zonedata)
    assert wrong(forgetful, scenario) == {}


@pytest.mark.parametrize("scenario", scenarios())
def test_a_scenario_with_caches(zone: ScriptedDNS, scenario: Scenario) -> None:
    """Each case twice: the second time the caches have seen it, and all the others."""
    zone.load(scenario.zonedata)
    with running(zone, f"workers = 1\n{SETTINGS}", lookups=TIMEOUT) as serving:
        assert wrong(serving, scenario, times=2) == {}


def test_all_cases_are_there() -> None:
    """Nothing has been left out above, not even what pyspf runs in its own way only (strict: 2)."""
    assert [sum(len(scenario.cases) for scenario in load(suite)) for suite in SUITES] == [203, 191]
