"""What the client of a message can stretch has a small time of its own, and its silence changes no verdict.

Most of it in memory: a DNS with a clock, which stands still unless a caller waits for an answer.
"""

import select
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.resolver import Resolver
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.evidence import ConnectionEvidence
from spfmilter.evaluation.limits import Limits, Share
from spfmilter.model import Check, Identity, ProblemKind, Result, Verdict
from tests.dns.test_cache import Clock
from tests.evaluation.world import CLIENT, World, check
from tests.values import settings as ini

REVERSE = "1.2.0.192.in-addr.arpa"
NAMES = [f"n{number}.evil.test" for number in range(10)]
Zone = dict[str, list[Any]]


@dataclass
class Slow:
    """A World whose answers take so many seconds each, for ever where a name is silent, and nothing once they came."""

    zone: Zone
    takes: dict[str, float] = field(default_factory=dict)
    at_hand: frozenset[str] = frozenset()  # names whose answers have arrived before a caller waits for them
    clock: Clock = field(default_factory=Clock)

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """The answer, if it comes before the deadline."""
        answer = World(self.zone).ask(name, rdtype)
        takes = 0.0 if name in self.at_hand else self.takes.get(name, 0.1)
        if answer.failure == "timeout" or (takes and self.clock.now + takes > deadline):
            self.clock.now = max(self.clock.now, deadline)
            return Answer(Status.FAILED, failure="timeout")
        self.clock.now += takes
        return answer

    def verdict(self, asked: Check | None = None, *, share: Share | None = None, **limits: float) -> Verdict:
        """What comes out, the tree kept as `spfmilter check` keeps it."""
        evaluator = Evaluator(Limits(**limits), clock=self.clock)  # type: ignore[arg-type]
        verdict = evaluator.evaluate(asked or check(helo="mail.evil.test"), self, share=share, trace=True)
        assert verdict.fault is None, verdict.fault
        return verdict


def zone(text: str, **beside: list[Any]) -> Zone:
    return {
        "e.example": [{"TXT": f"v=spf1 {text}"}],
        "_spf.e.example": [{"TXT": "v=spf1 ip4:198.51.100.0/24 -all"}],
        **{name.replace("_", "."): entries for name, entries in beside.items()},
    }


SILENT: Zone = {
    REVERSE: ["TIMEOUT"],
    "mail.evil.test": ["TIMEOUT"],
    "mail.evil.test.test": ["TIMEOUT"],
    "user": ["TIMEOUT"],
}
HOSTS: Zone = {REVERSE: [{"PTR": name} for name in NAMES], **{name: ["TIMEOUT"] for name in NAMES}}
RECORDS = {
    "ptr": "ptr",
    "ptr for names that are under it": "ptr:evil.test",
    "%{p}, in the record's zone": "exists:%{p}._p.e.example",
    "%{p}, in the client's": "exists:%{p}",
    "exists:%{h}": "exists:%{h}",
    "a:%{h}": "a:%{h}",
    "mx:%{h}": "mx:%{h}",
    "include:%{h}": "include:%{h}",
    "%{h} below a top level": "a:%{h}.test",
    "the local part": "exists:%{l}",
    "the reverse zone by %{ir}": "exists:%{ir}.%{v}.arpa",
    "the same, written out": "a:%{ir}.in-addr.arpa",
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
@pytest.mark.parametrize("client", [SILENT, HOSTS], ids=["silent reverse DNS", "ten names that are silent"])
@pytest.mark.parametrize("qualifier", ["", "?", "-"])
def test_a_client_whose_zones_are_silent_gets_its_fail(record: str, client: Zone, qualifier: str) -> None:
    """RFC 7208 section 5.5; three seconds at most, and then the rest of the record is evaluated."""
    records = zone(f"{qualifier}{record} include:_spf.e.example -all")
    slow = Slow({**SILENT, **client, **records}, {"_spf.e.example": 5.0})
    verdict = slow.verdict()
    assert (verdict.result, verdict.term) == (Result.FAIL, "-all")
    assert slow.clock.now - Clock().now <= 3.0 + 5.0 + 1.2
    if client is SILENT:
        assert verdict.ttl == 0, "the next message shall have its chance"


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS.keys())
def test_a_client_whose_zones_fail_at_once_gets_its_fail(record: str) -> None:
    broken: list[Any] = [{"RCODE": "SERVFAIL"}]
    beside = {REVERSE: broken, "mail.evil.test": broken, "user": broken, "mail.evil.test.test": broken}
    assert Slow({**zone(f"{record} -all"), **beside}).verdict().result is Result.FAIL


@pytest.mark.parametrize(
    "record",
    [
        "a:h.e.example",
        "exists:%{i}._x.e.example",
        "exists:%{l}._x.e.example",
        "exists:%{h}._x.%{d}",
        "a:%{h}._x.e.example",
        "exists:%{p}._x.e.example",
        "include:%{d2}._x.e.example",
        "exists:%{s}._x.e.example",
    ],
)
def test_in_a_zone_of_the_records_choice_a_failure_stays_a_temperror(record: str) -> None:
    """Its owner's DNS fails; mail that it sends must not be refused for that (section 2.6.6)."""
    beside: Zone = {"h.e.example": ["TIMEOUT"]}
    for name in ("192.0.2.1", "user", "mail.evil.test", "unknown", "e.example", "user@e.example"):
        beside |= {f"{name}._x.e.example": ["TIMEOUT"]}
    verdict = Slow({**zone(f"{record} -all"), **beside}).verdict()
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.TEMPERROR, ProblemKind.DNS_FAILURE)


def test_helo_below_the_checked_domain_is_in_that_domains_zone() -> None:
    """It is the domain's own DNS that fails."""
    silent = Slow({**zone("a:%{h} -all"), "mail.e.example": ["TIMEOUT"]})
    assert silent.verdict(check(helo="mail.e.example")).result is Result.TEMPERROR


@pytest.mark.parametrize(
    "helo",
    [
        [],
        [{"TXT": "v=spf1 bogus"}],
        [{"TXT": "v=spf1 -all"}, {"TXT": "v=spf1 -all"}],
        [{"TXT": "v=spf1 a:x.evil.test -all"}],
        [{"MX": (n, f"n{n}.evil.test")} for n in range(11)],
        [{"TXT": b"v=spf1 \xff"}],
    ],
)
@pytest.mark.parametrize("mechanism", ["include", "mx"])
def test_an_error_in_a_zone_of_the_clients_choice_is_no_match(helo: list[Any], mechanism: str) -> None:
    verdict = Slow({**zone(f"?{mechanism}:%{{h}} -all"), "mail.evil.test": helo, "x.evil.test": ["TIMEOUT"]}).verdict()
    assert (verdict.result, verdict.term) == (Result.FAIL, "-all")
    assert verdict.trace is not None
    assert [(term.text, term.matched) for term in verdict.trace.terms] == [
        (f"?{mechanism}:%{{h}}", False),
        ("-all", True),
    ]


def test_a_client_with_good_reverse_dns_still_passes() -> None:
    names = [{"PTR": "n0.evil.test"}, {"PTR": "mail.e.example"}]
    slow = Slow({**zone("ptr -all"), REVERSE: names, "mail.e.example": [{"A": CLIENT}]}, {REVERSE: 2.5})
    assert slow.verdict().result is Result.PASS


def test_all_evaluations_of_a_message_share_the_time() -> None:
    slow, share = Slow({**zone("ptr -all"), REVERSE: ["TIMEOUT"]}, {"e.example": 0.0}), Share(3.0)
    start = slow.clock.now
    assert [slow.verdict(share=share).result for _ in range(3)] == [Result.FAIL] * 3
    assert slow.clock.now - start == pytest.approx(3.0)


def test_half_of_a_short_time_is_for_the_records_own_zones() -> None:
    slow = Slow({**zone("ptr a:h.e.example -all", h_e_example=[{"A": CLIENT}]), REVERSE: ["TIMEOUT"]},
                {"h.e.example": 0.8})  # fmt: skip
    assert slow.verdict(time=2.0).result is Result.PASS


def test_an_explanation_has_no_more_time_than_that() -> None:
    slow = Slow({**zone("-all exp=why.e.example"), "why.e.example": ["TIMEOUT"]})
    start = slow.clock.now
    verdict = slow.verdict()
    assert (verdict.result, verdict.explanation, verdict.ttl) == (Result.FAIL, None, 0)
    assert slow.clock.now - start < 3.2


def test_what_has_come_is_used_when_the_time_is_up() -> None:
    """Prefetch has brought it while something else was waited for."""
    records = zone("a:slow.e.example include:_spf.e.example -all", slow_e_example=[{"A": "198.51.100.9"}])
    late = Slow(records, {"slow.e.example": 20.0 - 0.1})
    assert late.verdict().problem.kind is ProblemKind.TIME_LIMIT  # type: ignore[union-attr]
    late = Slow(records, {"slow.e.example": 20.0 - 0.1}, frozenset({"_spf.e.example"}))
    assert late.verdict().result is Result.FAIL


# -- over packets ------------------------------------------------------------------------------------------------------


@pytest.mark.outside
@pytest.mark.usefixtures("unhurried")
def test_a_channel_out_of_time_returns_what_lies_in_the_socket_and_asks_nothing(
    server: ScriptedDNS, resolver: Resolver
) -> None:
    server.load({"e.example": [{"A": "192.0.2.9"}], "f.example": [{"A": "192.0.2.9"}], "silent.example": ["TIMEOUT"]})
    channel, past = Channel(resolver), time.monotonic() - 1
    for name in ("silent.example", "e.example"):
        channel.start(name, Type.A)
    assert server.wait_until_asked("e.example", "A")
    # Over one socket, on loopback: what was answered before an answer that is here, is here.
    assert channel.ask("f.example", Type.A, past).status is Status.FAILED
    assert channel.ask("e.example", Type.TXT, time.monotonic() + 20).status is Status.NO_DATA
    assert channel.ask("e.example", Type.A, past).status is Status.DATA
    assert channel.ask("silent.example", Type.A, past).status is Status.FAILED
    assert server.queries["f.example", "A"] == 0
    assert server.queries["silent.example", "A"] == 1
    channel.close()


@pytest.mark.outside
def test_a_channel_out_of_time_reads_a_socket_with_unread_packets(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"A": "192.0.2.9"}]})
    channel = Channel(resolver)
    channel.start("e.example", Type.A)
    assert channel._flight is not None
    assert select.select(list(channel._flight.sockets), [], [], 20)[0], "the answer lies there, unread"
    assert channel.ask("e.example", Type.A, time.monotonic() - 1).status is Status.DATA
    channel.close()


def evidence(server: ScriptedDNS, zone: Zone, seconds: float, *, prefetch: str = "no") -> ConnectionEvidence:
    server.load(zone)
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}\nprefetch = {prefetch}").dns)
    opened = ConnectionEvidence(engine.inquiry(), own_addresses=(), deferred_since=None)
    opened.budget.start(seconds)
    return opened


HELO = replace(check("mail.evil.test", helo="mail.evil.test"), identity=Identity.HELO)


@pytest.mark.outside
def test_mail_from_does_not_lose_its_time_to_helo(server: ScriptedDNS) -> None:
    """HELO has a quarter of the time, and three seconds at most."""
    asking = evidence(server, {**zone("include:_spf.e.example -all"), "mail.evil.test": ["TIMEOUT"]}, 600.0)
    start = time.monotonic()
    assert asking.verdict(HELO).result is Result.TEMPERROR
    assert time.monotonic() - start < 60
    assert asking.verdict(check()).result is Result.FAIL
    asking.inquiry.close()
    pace = patience()
    asking = evidence(server, {"mail.evil.test": ["TIMEOUT"]}, 2.0 * pace)
    start = time.monotonic()
    assert asking.verdict(HELO).result is Result.TEMPERROR
    assert asking.budget.left > 0.5 * pace
    asking.inquiry.close()


@pytest.mark.outside
def test_a_bounce_from_a_hurried_helo_has_its_full_time(server: ScriptedDNS) -> None:
    """The null sender makes HELO the identity that decides; the temperror of the hurry is not its verdict."""
    pace = patience()
    slow: Zone = {"mail.evil.test": [{"TXT": "v=spf1 -all"}, {"DELAY": 1.0 * pace}]}
    asking = evidence(server, slow, 2.0 * pace)
    assert asking.verdict(HELO).result is Result.TEMPERROR
    asking.inquiry.done()
    asking.budget.start(60)
    assert asking.verdict(replace(HELO, null_sender=True)).result is Result.FAIL
    asking.inquiry.close()


@pytest.mark.outside
def test_a_forwarders_name_and_a_dmarc_policy_have_little_time(server: ScriptedDNS) -> None:
    """Neither holds the session for the whole limit; both then change nothing."""
    asking = evidence(server, {REVERSE: ["TIMEOUT"], "_dmarc.example.com": ["TIMEOUT"]}, 600.0)
    start = time.monotonic()
    assert asking.host_name(check().address, lambda _: True) is None
    assert asking.dmarc("example.com") is None
    assert asking.host_name(check().address, lambda _: True) is None
    assert time.monotonic() - start < 120
    asking.inquiry.close()


@pytest.mark.outside
@pytest.mark.parametrize(
    "hurried",
    [
        replace(check("slow.example", helo="slow.example"), identity=Identity.HELO),
        check("trap.example", helo="slow.example"),
    ],
    ids=["as HELO", "in the client's zones"],
)
def test_a_lookup_whose_time_was_cut_short_tells_other_messages_nothing(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch, hurried: Check
) -> None:
    """Else a forger names a slow domain as HELO in one session, and it is a temperror in the next one.

    The time is the least after which a timeout was known to all.
    """
    monkeypatch.setattr("spfmilter.evaluation.engine.MIN_SHARED_TIMEOUT", 0.5)
    server.load(
        {
            "slow.example": [{"TXT": "v=spf1 ip4:203.0.113.1 -all"}, {"DELAY": 2.2}],
            "trap.example": [{"TXT": "v=spf1 include:%{h} -all"}],
        }
    )
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}\ntimeout = 4s").dns)
    forger, other = engine.inquiry(), engine.inquiry()
    try:
        forger.evaluate(hurried, deadline=time.monotonic() + 4)
        forger.done()
        assert other.evaluate(check("slow.example"), deadline=time.monotonic() + 60).result is Result.FAIL
    finally:
        forger.close()
        other.close()
