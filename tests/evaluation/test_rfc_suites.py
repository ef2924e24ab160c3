"""Every case of the published SPF suites, through the evaluator, over real DNS on loopback."""

from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from lab.dnsserver import ScriptedDNS
from lab.rfcsuite import Case, Scenario, load
from spfmilter.addresses import dns_domain, parse_address, parse_reverse_path
from spfmilter.dns.resolver import Resolver
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits
from spfmilter.model import Check, Identity
from spfmilter.settings.values import nameserver
from tests.scripted import Single

pytestmark = pytest.mark.outside


def suite(name: str) -> list[object]:
    """The cases of a suite as parameters, each with its scenario; not those for pyspf's lax and harsh modes."""
    return [
        pytest.param(scenario, case, id=f"{name}:{case.name}")
        for scenario in load(name)
        for case in scenario.cases
        if case.strict == 1
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedDNS]:
    with ScriptedDNS() as running:
        yield running


def check_of(case: Case) -> Check:
    """The check that a milter would make for the case's envelope."""
    path = parse_reverse_path(case.mailfrom)
    helo = dns_domain(case.helo)
    identity = Identity.HELO if path.null else Identity.MAILFROM
    return Check(
        identity=identity,
        address=parse_address(case.host) or ip_address("0.0.0.0"),  # noqa: S104 - an address that is in no record
        local=path.local or "postmaster",
        domain=helo if path.null else dns_domain(path.domain),
        helo=helo or "unknown",
        as_sent=case.mailfrom or case.helo,
    )


@pytest.mark.parametrize(("scenario", "case"), [*suite("rfc7208-tests"), *suite("rfc4408-tests"), *suite("test")])
def test_case_of_the_suite(server: ScriptedDNS, scenario: Scenario, case: Case) -> None:
    """The result is one that the suite allows, and so is the explanation of a fail."""
    server.load(scenario.zonedata)
    # A case that wants a temperror waits for a server that is silent; the others must not depend on the machine's load.
    limits = Limits(time=0.9 if "temperror" in case.results else 20.0)
    verdict = Evaluator(limits).evaluate(check_of(case), Single(Resolver([nameserver(server.address)])))
    assert verdict.fault is None
    assert verdict.result in case.results, (verdict, case.spec)
    if case.explanation is not None:
        assert (verdict.explanation or "DEFAULT") == case.explanation
