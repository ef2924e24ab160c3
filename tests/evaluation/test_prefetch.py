"""Lookups that are sent ahead change what a verdict costs, and nothing else of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from lab.rfcsuite import Case, Scenario
from spfmilter.dns.answer import Answer, Type
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.prefetch import Prefetch
from spfmilter.model import Check, Problem, ProblemKind, Result, Verdict
from spfmilter.settings.values import Duration
from tests.cost import ALLOWED, cpu
from tests.evaluation.test_cost import FAMILIES
from tests.evaluation.test_rfc_suites import check_of, suite
from tests.evaluation.world import CLIENT, CLIENT6, World, check
from tests.scripted import Single
from tests.values import settings as ini

Zone = dict[str, list[Any]]
FAR = {"A": "198.51.100.1"}


def engine(server: ScriptedDNS, *, prefetch: bool, seconds: float = 20.0) -> Engine:
    """An engine without caches."""
    text = f"[dns]\nnameservers = {server.address}\ncache_entries = 0\nprefetch = {'yes' if prefetch else 'no'}"
    return Engine(ini(text).dns.model_copy(update={"timeout": Duration(seconds)}))


class Ways:
    """The three ways to a verdict: question after question, over a channel, and with lookups sent ahead."""

    def __init__(self, server: ScriptedDNS) -> None:
        self._server = server
        self._engines: dict[tuple[bool, float], Engine] = {}

    def _engine(self, prefetch: bool, seconds: float) -> Engine:
        known = self._engines.get((prefetch, seconds))
        if known is None:
            known = self._engines[prefetch, seconds] = engine(self._server, prefetch=prefetch, seconds=seconds)
        return known

    def plain(self, asked: Check, seconds: float = 20.0) -> Verdict:
        """One question after the other, each on its own."""
        engine = self._engine(False, seconds)
        return engine.evaluator.evaluate(asked, Single(engine.resolver))

    def inquire(self, asked: Check, *, prefetch: bool, seconds: float = 20.0) -> Verdict:
        """As the milter does."""
        inquiry = self._engine(prefetch, seconds).inquiry()
        inquiry.expect([asked])
        try:
            return inquiry.evaluate(asked)
        finally:
            inquiry.close()


def questions(zone: Zone, asked: Check, *, prefetch: bool) -> Counter[tuple[str, str]]:
    """What reaches a server; one of its own, since unread packets may arrive after the verdict."""
    with ScriptedDNS(zone) as server:
        assert Ways(server).inquire(asked, prefetch=prefetch).fault is None
        return server.queries


@pytest.fixture(scope="module")
def ways(server: ScriptedDNS) -> Ways:
    return Ways(server)


def outcome(verdict: Verdict) -> tuple[Result, str | None, str | None, Problem | None, int, int, str | None, object]:
    """All that a verdict says, but for times."""
    assert verdict.fault is None, verdict.fault
    return (
        verdict.result,
        verdict.term,
        verdict.term_domain,
        verdict.problem,
        verdict.lookups,
        verdict.void_lookups,
        verdict.explanation,
        verdict.letters,
    )


# -- the same verdict -------------------------------------------------------------------------------------------------


@pytest.mark.outside
@pytest.mark.parametrize(("scenario", "case"), [*suite("rfc7208-tests"), *suite("rfc4408-tests"), *suite("test")])
def test_the_verdict_on_a_case_of_the_suites_is_the_same(
    server: ScriptedDNS, ways: Ways, scenario: Scenario, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spfmilter.evaluation.engine.CLIENT_TIME", 1.0)
    server.load(scenario.zonedata)
    asked, seconds = check_of(case), 0.5 * patience() if "temperror" in case.results else 20.0
    expected = outcome(ways.plain(asked, seconds))
    assert expected[0] in case.results
    assert outcome(ways.inquire(asked, prefetch=False, seconds=seconds)) == expected
    assert outcome(ways.inquire(asked, prefetch=True, seconds=seconds)) == expected


DOMAINS = [f"d{n}.example" for n in range(5)]
HOSTS = [f"h{n}.example" for n in range(4)]
NAMES = [*DOMAINS, *HOSTS, "missing.example", "empty.example", "broken.example", "mail.e.example", "x..example"]
MACROS = ["%{ir}.m.example", "%{l}.example", "%{d}", "%{h}", "%{p}.example", "%{d1r}.example", "%{i}.%{v}.m.example"]
CLIENTS = [CLIENT, "192.0.2.77", CLIENT6, "2001:db8:ffff::2"]
targets = st.sampled_from([*NAMES, *DOMAINS, *DOMAINS, *MACROS])
qualifiers = st.sampled_from(["", "", "", "-", "~", "?"])
mechanisms = st.one_of(
    st.builds("include:{}".format, st.sampled_from([*DOMAINS, *DOMAINS, *NAMES, "%{l}.example", "%{d}"])),
    st.builds("{}{}{}".format, st.sampled_from(["a", "mx"]), st.just(""), st.sampled_from(["", "/24", "/24//48"])),
    st.builds("{}:{}{}".format, st.sampled_from(["a", "mx"]), targets, st.sampled_from(["", "/25", "//32"])),
    st.builds("exists:{}".format, targets),
    st.builds("ptr{}".format, st.sampled_from(["", ":d1.example", ":example"])),
    st.sampled_from(["ip4:192.0.2.64/26", "ip4:198.51.100.0/24", "ip6:2001:db8:ffff::/48", "ip6:2001:db8:1::/64"]),
    st.sampled_from(["all", "a:", "ip4:1.2.3", "include:%{x}"]),
)
MODIFIERS = [
    *[f"redirect={name}" for name in (*DOMAINS, *DOMAINS, "missing.example", "%{l}.example", "%{p}")],
    *[f"exp={name}" for name in ("why.e.example", "missing.e.example", "%{l}.why.e.example")],
    "x=%{d}",
]
records = st.builds(
    lambda terms, modifiers: " ".join(["v=spf1", *terms, *modifiers]),
    st.lists(st.builds("{}{}".format, qualifiers, mechanisms), max_size=6),
    st.lists(st.sampled_from(MODIFIERS), max_size=2, unique_by=lambda text: text[:4]),
)
hosts = st.lists(
    st.sampled_from(
        [FAR, {"A": "192.0.2.77"}, {"AAAA": "2001:db8:1::5"}, {"AAAA": CLIENT6}, {"A": "192.0.2.200"}, {"TTL": 0}]
    ),
    max_size=3,
)
exchanges = st.lists(st.sampled_from([{"MX": (n, name)} for n, name in enumerate([*HOSTS, "broken.example"])]))


@st.composite
def worlds(draw: Callable[[Any], Any]) -> Zone:
    """Domains with records that lead to each other, to hosts, to nothing, to errors and in circles."""
    zone: Zone = {}
    for name in ("e.example", *DOMAINS):
        texts = [{"TXT": draw(records)}]
        if draw(st.integers(0, 9)) == 0:
            texts = draw(
                st.sampled_from([[], [{"TXT": "hello"}, *texts], texts * 2, [{"TXT": "v=spf1 a:\xe4.example"}]])
            )
        zone[name] = [*texts, *draw(hosts), *draw(exchanges)]
    for name in HOSTS:
        zone[name] = draw(hosts)
    pointers = [{"PTR": name} for name in draw(st.lists(st.sampled_from([*HOSTS, *DOMAINS, "a.d1.example"])))]
    for asked in CLIENTS:
        zone[check(client=asked).address.reverse_pointer] = pointers
    many = {"manymx.example": [{"MX": (n, f"h{n}.example")} for n in range(11)]}
    return {
        **zone,
        **many,
        "1.2.0.192.m.example": [FAR],
        "192.0.2.77.in-addr.m.example": [FAR],
        "empty.example": [{"TXT": "nothing"}],
        "broken.example": [{"RCODE": "SERVFAIL"}],
        "why.e.example": [{"TXT": "%{i} is not one of %{d}'s (%{l}, %{h}, %{p})"}],
    }


checks = st.builds(
    check,
    st.just("e.example"),
    local=st.sampled_from(["d1", "d2", "user", "caf\xe9", "x" * 300]),
    client=st.sampled_from(CLIENTS),
    helo=st.sampled_from(["mail.e.example", "d3.example", "unknown"]),
)
BROAD = settings(deadline=None, max_examples=5 * settings().max_examples // 2, suppress_health_check=list(HealthCheck))


@pytest.mark.outside
@BROAD
@given(zone=worlds(), asked=checks)
def test_the_verdict_on_any_world_is_the_same(server: ScriptedDNS, ways: Ways, zone: Zone, asked: Check) -> None:
    server.load(zone)
    expected = outcome(ways.plain(asked))
    assert outcome(ways.inquire(asked, prefetch=False)) == expected
    assert outcome(ways.inquire(asked, prefetch=True)) == expected


# -- within the limits -------------------------------------------------------------------------------------------------


class Rounds:
    """A channel in memory: each round trip brings the answers to all that was sent before it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._answers: dict[tuple[str, Type], Answer] = {}
        self._waiting: dict[tuple[str, Type], list[Callable[[Answer], None]]] = {}
        self.trips: list[set[tuple[str, str]]] = []

    def start(self, name: str, rdtype: Type, then: Callable[[Answer], None] | None = None) -> None:
        """Send a question, unless it is on its way or answered."""
        key = (name.lower(), rdtype)
        if key in self._answers:
            if then is not None:
                then(self._answers[key])
            return
        self._waiting.setdefault(key, []).extend([] if then is None else [then])

    def run(self) -> None:
        """Until nothing is on its way."""
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            self.trips.append({(name, rdtype.name) for name, rdtype in waiting})
            for (name, rdtype), thens in waiting.items():
                self._answers[name, rdtype] = self._world.ask(name, rdtype)
                for then in thens:
                    then(self._answers[name, rdtype])


def ahead(zone: Zone, asked: Check | None = None, limit: int = 10) -> list[set[tuple[str, str]]]:
    """What is sent ahead, by round trips."""
    channel = Rounds(World(zone))
    Prefetch(asked or check(), channel, limit).start()  # type: ignore[arg-type]
    channel.run()
    return channel.trips


def zone_of(text: str, **beside: list[Any]) -> Zone:
    return {"e.example": [{"TXT": f"v=spf1 {text}"}], **{name.replace("_", "."): v for name, v in beside.items()}}


def txt(text: str) -> list[Any]:
    return [{"TXT": f"v=spf1 {text}"}]


@BROAD
@given(zone=worlds(), asked=checks, limit=st.integers(1, 10))
def test_no_more_terms_are_sent_than_the_limit(zone: Zone, asked: Check, limit: int) -> None:
    taken: list[bool] = []

    class Counting(Prefetch):
        def _take_one(self) -> bool:
            taken.append(super()._take_one())
            return taken[-1]

    channel = Rounds(World(zone))
    Counting(asked, channel, limit).start()  # type: ignore[arg-type]
    channel.run()
    sent = sum(map(len, channel.trips))
    assert sum(taken) <= limit
    assert sent <= 1 + 11 * sum(taken)


@pytest.mark.parametrize("limit", [1, 5, 10, 100])
def test_a_record_beyond_the_limit_is_sent_up_to_it(limit: int) -> None:
    trips = ahead(zone_of(" ".join(f"a:h{n}.example" for n in range(120)) + " redirect=r.example"), limit=limit)
    assert len(trips[1]) == limit


def test_a_circle_ends_at_the_limit() -> None:
    assert ahead(zone_of("include:e.example include:e.example")) == [{("e.example", "TXT")}]


def test_a_long_chain_ends_at_the_limit() -> None:
    chain = {f"i{n}_example": txt(f"include:i{n + 1}.example") for n in range(20)}
    assert len(ahead(zone_of("include:i0.example", **chain))) == 11


@pytest.mark.parametrize(
    ("text", "client", "sent"),
    [
        ("a ip4:192.0.2.0/24 mx include:i.example", CLIENT, {("e.example", "A")}),
        ("a ip4:192.0.2.0/24 mx", CLIENT6, {("e.example", "AAAA"), ("e.example", "MX")}),
        ("ip4:198.51.100.0/24 a:h.example", CLIENT, {("h.example", "A")}),
        ("ip6:2001:db8::/32 a:h.example", CLIENT6, set()),
        ("ip6:2001:db8::/32 a:h.example", CLIENT, {("h.example", "A")}),
        ("ip4:0.0.0.0/0 a", CLIENT, set()),
        ("exists:x.example ?all a:h.example", CLIENT, {("x.example", "A")}),
        ("exists:x.example", CLIENT6, {("x.example", "A")}),
        ("-all redirect=r.example", CLIENT, set()),
        ("ip4:192.0.2.1 redirect=r.example", CLIENT, set()),
        ("ptr", CLIENT, {("1.2.0.192.in-addr.arpa", "PTR")}),
        ("a:h.example a:h.example a:bad", CLIENT, set()),
        ("a:%{p}.x.example a:%{l}.x.example", CLIENT, {("user.x.example", "A")}),
        ("a:x..example", CLIENT, {("x..example", "A")}),  # which the channel does not send
    ],
)
def test_nothing_is_sent_beyond_what_decides(text: str, client: str, sent: set[tuple[str, str]]) -> None:
    trips = ahead(zone_of(text), check(client=client))
    assert set().union(*trips[1:]) == sent


@pytest.mark.parametrize("local", ["caf\xe9", "x" * 257])
def test_a_local_part_that_stands_for_no_name_sends_nothing(local: str) -> None:
    assert len(ahead(zone_of("exists:%{l}.x.example a:%{s}.example"), check(local=local))) == 1


def test_more_hosts_than_ten_are_not_looked_up() -> None:
    zone = {"e.example": [*txt("mx"), *({"MX": (n, f"h{n}.example")} for n in range(11))]}
    assert ahead(zone)[1:] == [{("e.example", "MX")}]


def test_of_the_clients_names_only_those_that_fit_are_looked_up() -> None:
    names = [{"PTR": name} for name in ("a.e.example", "b.f.example", "E.example", "xe.example")]
    zone = {"e.example": txt("ptr"), "1.2.0.192.in-addr.arpa": names}
    assert ahead(zone)[2:] == [{("a.e.example", "A"), ("e.example", "A")}]


@pytest.mark.parametrize("texts", [[], ["v=spf10 a"], ["v=spf1 a", "v=spf1 a"], ["v=spf1 a:h.example a:%{z}"]])
def test_a_record_that_is_none_leads_nowhere(texts: list[str]) -> None:
    assert len(ahead({"e.example": [{"TXT": text} for text in texts]})) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_sent_ahead_for_a_hostile_record_costs_little(name: str) -> None:
    """`pytest -s` shows how much; see test_cost."""
    world = World(FAMILIES[name])

    def run() -> None:
        channel = Rounds(world)
        Prefetch(check(), channel, 10).start()  # type: ignore[arg-type]
        channel.run()

    spent = cpu(run)
    print(f"\n{1000 * spent:7.1f} ms  {name}")  # noqa: T201
    assert spent < ALLOWED


# -- what it saves -----------------------------------------------------------------------------------------------------

GOOGLE = {
    "e.example": txt("include:_spf.g.example ~all"),
    "_spf.g.example": txt("include:_n1.g.example include:_n2.g.example include:_n3.g.example ~all"),
    **{f"_n{n}.g.example": txt(f"ip4:198.51.{n}.0/24 ip6:2001:db8:{n}::/48 ~all") for n in (1, 2, 3)},
}
OUTLOOK = {
    "e.example": txt("include:spf.o.example -all"),
    "spf.o.example": txt("ip4:198.51.100.0/24 ip4:192.0.2.0/24 ~all"),
}
A_MX = {
    "e.example": [*txt("a mx -all"), FAR, {"MX": (1, "m1.example")}, {"MX": (2, "m2.example")}],
    "m1.example": [FAR],
    "m2.example": [{"A": CLIENT}],
}
EIGHT = {
    "e.example": [
        *txt("a mx include:i.example include:j.example exists:%{ir}.x.example -all"),
        FAR,
        {"MX": (1, "m1.example")},
    ],
    "m1.example": [FAR],
    "i.example": txt("a:h1.example a:h2.example ?all"),
    "j.example": txt("a:h3.example ?all"),
    **{f"h{n}.example": [FAR] for n in (1, 2, 3)},
    "1.2.0.192.x.example": [FAR],
}
REDIRECT = {"e.example": txt("redirect=r.example"), "r.example": [*txt("a include:i.example -all"), FAR]} | {
    "i.example": txt("?all")
}
# a zone, its depth in round trips, and how many more queries may reach the server
NAMED: dict[str, tuple[Zone, int, int]] = {
    "one ip4": ({"e.example": txt("ip4:192.0.2.0/24 -all")}, 1, 0),
    "include of include": (GOOGLE, 3, 0),
    "one include": (OUTLOOK, 2, 0),
    "a and mx": (A_MX, 3, 0),
    "eight lookups": (EIGHT, 3, 0),
    "redirect": (REDIRECT, 3, 0),
    "the first term matches": (
        {"e.example": [*txt("a mx include:i.example -all"), {"A": CLIENT}], "i.example": txt("?all")},
        2,
        2,
    ),
    "nothing there": ({}, 1, 0),
}


@pytest.mark.parametrize(("zone", "depth", "_more"), NAMED.values(), ids=NAMED.keys())
def test_a_verdict_takes_the_depth_of_the_record_in_round_trips(zone: Zone, depth: int, _more: int) -> None:
    """And all that it asks has been sent ahead."""
    trips = ahead(zone)
    assert len(trips) == depth
    world = World(zone)
    Evaluator().evaluate(check(), world)
    assert set(world.asked) <= set().union(*trips)


@pytest.mark.outside
@pytest.mark.parametrize(("zone", "_depth", "more"), NAMED.values(), ids=NAMED.keys())
@pytest.mark.usefixtures("unhurried")
def test_hardly_more_is_asked_than_without(zone: Zone, _depth: int, more: int) -> None:
    without, with_it = (questions(zone, check(), prefetch=prefetch) for prefetch in (False, True))
    assert without <= with_it
    assert sum(with_it.values()) <= sum(without.values()) + more
    assert set(with_it.values()) == {1}


@pytest.fixture
def slow(server: ScriptedDNS) -> Iterator[float]:
    server.delay = 0.05
    yield server.delay
    server.delay = 0.0


@pytest.mark.outside
@pytest.mark.parametrize(("name", "depth"), [(name, depth) for name, (_, depth, _) in NAMED.items()])
def test_the_time_that_it_takes(server: ScriptedDNS, ways: Ways, slow: float, name: str, depth: int) -> None:
    """`pytest -s` prints it; asserted is that it is the same verdict, since a shared machine's clock proves nothing."""
    server.load(NAMED[name][0])
    without, with_it = (ways.inquire(check(), prefetch=prefetch) for prefetch in (False, True))
    assert outcome(without) == outcome(with_it)
    print(  # noqa: T201 - that is what it is for
        f"\n{name}: {1000 * without.elapsed:.0f} ms without, {1000 * with_it.elapsed:.0f} ms with, "
        f"{depth} round trips of {1000 * slow:.0f} ms"
    )


# -- as many records as one answer may have, and more ------------------------------------------------------------------

MANY = 501  # one more than are read
BEYOND: dict[str, tuple[Zone, Result]] = {
    "texts": (
        {"e.example": [*[{"TXT": f"x{n}"} for n in range(MANY)], {"TXT": "v=spf1 ip4:192.0.2.1"}]},
        Result.PERMERROR,
    ),
    "addresses": ({"e.example": [{"TXT": "v=spf1 a -all"}, *[{"A": "198.51.100.1"}] * MANY]}, Result.PERMERROR),
    "exchanges": (
        {"e.example": [{"TXT": "v=spf1 mx -all"}, *[{"MX": (n, f"h{n}.example")} for n in range(MANY)]]},
        Result.PERMERROR,
    ),
    "names of the client": (  # of which ten are looked at (RFC 7208 section 5.5)
        {
            "e.example": [{"TXT": "v=spf1 ptr -all"}],
            "1.2.0.192.in-addr.arpa": [{"PTR": "h.e.example"}, *[{"PTR": f"z{n}.x.example"} for n in range(MANY)]],
            "h.e.example": [{"A": "192.0.2.1"}],
        },
        Result.PASS,
    ),
}


@pytest.mark.outside
@pytest.mark.parametrize("case", BEYOND)
@pytest.mark.parametrize("prefetch", [False, True])
def test_more_records_than_are_read_are_no_fault_of_the_dns(server: ScriptedDNS, case: str, prefetch: bool) -> None:
    zone, result = BEYOND[case]
    server.load(zone)
    assert Ways(server).inquire(check(), prefetch=prefetch).result is result


@pytest.mark.outside
@pytest.mark.usefixtures("unhurried")
def test_of_many_mail_servers_not_all_addresses_are_sent_for_ahead(server: ScriptedDNS) -> None:
    """A hundred answers full of addresses would be read for a record that ends in permerror after fifteen."""
    zone: Zone = {"e.example": [{"TXT": "v=spf1 " + " ".join(f"mx:m{n}.example" for n in range(10)) + " -all"}]}
    for n in range(10):
        zone[f"m{n}.example"] = [{"MX": (m, f"h{n}{m}.example")} for m in range(10)]
        zone |= {f"h{n}{m}.example": [FAR] * 70 for m in range(10)}
    server.load(zone)
    server.reset_counts()
    verdict = Ways(server).inquire(check(), prefetch=True)
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.PERMERROR, ProblemKind.TOO_LONG)
    assert sum(count for (name, _), count in server.queries.items() if name.startswith("h")) <= 40
