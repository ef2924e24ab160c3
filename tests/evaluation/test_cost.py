"""What an attacker can make us compute: each family of hostile records, in milliseconds of CPU.

`pytest -s` shows the figures. DNS costs nothing here but for the packets, which have tests of their own.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import spf

from spfmilter.addresses import dns_domain
from spfmilter.dns import wire
from spfmilter.dns.answer import Type
from spfmilter.dns.wire import MalformedError
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.model import ProblemKind
from spfmilter.spf import macros, record
from spfmilter.spf.macros import MacroError
from spfmilter.spf.record import RecordError
from tests.cost import ALLOWED, cpu
from tests.evaluation.world import CLIENT, Stock, World, check

pytestmark = pytest.mark.alone

Zone = dict[str, list[Any]]


def one(text: str, **beside: list[Any]) -> Zone:
    return {"e.example": [{"TXT": f"v=spf1 {text}"}], **{name.replace("_", "."): v for name, v in beside.items()}}


def fan(text: str) -> Zone:
    """A record that includes ten others, all with the same text."""
    included = {f"i{n}.example": [{"TXT": f"v=spf1 {text}"}] for n in range(10)}
    return one(" ".join(f"include:{name}" for name in included) + " " + text) | included


def hosts(addresses: int) -> list[Any]:
    return [{"A": "192.0.2.9"}] * addresses


def exchanges(addresses: int) -> Zone:
    """Ten mx of ten hosts, whose addresses are far from the client's, but not looked at in one comparison."""
    names = [f"h{n}.example" for n in range(10)]
    zone = one("mx:m.example/31 " * 10, m_example=[{"MX": (n, name)} for n, name in enumerate(names)])
    return zone | {name: hosts(addresses) for name in names}


def reverse(names: int) -> Zone:
    zone: Zone = {"1.2.0.192.in-addr.arpa": [{"PTR": f"h{n}.x.example"} for n in range(names)]}
    zone |= {f"h{n}.x.example": hosts(8) for n in range(min(names, 10))}
    return zone | one("ptr:x.example " * 10)


SLOW_LABEL = "a" * 990 + "-a"  # valid; quadratic for an expression that tries "letters only" first
EMPTY_MACROS = (
    "".join(f"%{{l{keep}r{joint}}}" for keep in (1,) for joint in ("-", "-.", ".-", "-+", "+-", "-,", ",-")) * 13
)

FAMILIES: dict[str, Zone] = {
    "one term of 16 KB": one("a:" + "a." * 8000 + "com"),
    "one term of 64 KB": one("a:" + "a." * 32000 + "com"),
    "the longest term that is read": one("a:" + "a." * 500 + "com"),
    "16 KB of terms of two characters": one("a " * 8000),
    "a thousand tiny terms": one("x=y " * 990),
    "a thousand addresses": one("ip4:192.0.2.9 " * 990),
    "64 KB of blanks": one(" " * 64000),
    "16 KB of blanks": one(" " * 16000),
    "one term of 16 KB of %": one("a:" + "%" * 16000),
    "terms of 1 KB of %": one(("x=" + "%" * 1000 + " ") * 15),
    "terms of 1 KB of macros": one(("x=" + "%{d}" * 250 + " ") * 15),
    "macros that are not closed": one(("x=" + "%{" * 500 + " ") * 15),
    "64 KB of digits": one("a/" + "9" * 64000),
    "1 KB of digits": one("a/" + "9" * 1000),
    "1 KB of digits in a macro": one("exists:%{d" + "9" * 1000 + "}.example"),
    "a top label of digits and letters": one(f"a:x.{'1' * 1000}!"),
    "a top label of letters that ends wrong": one(f"a:x.{'a' * 1000}!"),
    "valid top labels of 990 letters": one(f"a:x.{SLOW_LABEL} " * 10 + f"exists:x.{SLOW_LABEL} " * 5),
    "slashes": one("a:x.example" + "/1" * 500),
    "ten includes of 1000 addresses": fan("ip4:192.0.2.9 " * 990),
    "ten includes, as many terms as are read": fan("ip4:192.0.2.9 " * 178),
    "ten includes, as many macros as are read": fan(("x=" + "%{d}" * 230 + " ") * 3),
    "ten includes, slow labels": fan(f"exp=x.{SLOW_LABEL} ?all"),
    "ten exists of escaped senders": one(("exists:" + "%{S}" * 250 + " ") * 10),
    "ten exists of empty macros": one((f"exists:{EMPTY_MACROS}.x.example ") * 10),
    "an explanation of 64 KB of macros": one("-all exp=why.e.example", why_e_example=[{"TXT": "%{S}" * 16000}]),
    "an explanation of 1 KB of macros": one("-all exp=why.e.example", why_e_example=[{"TXT": "%{S}" * 250}]),
    "an explanation of 64 KB of %": one("-all exp=why.e.example", why_e_example=[{"TXT": "%" * 64000}]),
    "5000 TXT records": {"e.example": [*[{"TXT": "x"}] * 5000, {"TXT": "v=spf1 -all"}]},
    "ten mx of ten hosts of 4000 addresses": exchanges(4000),
    "ten mx of ten hosts, as many addresses as are read": exchanges(8),
    "ten ptr of 4000 names": reverse(4000),
    "ten ptr of ten names": reverse(10),
}

LOCALS = {"a name": "user", "256 hyphens": "-" * 256, "2000 hyphens": "-" * 2000, "256 umlauts": "ü" * 256}


@pytest.mark.parametrize("zone", FAMILIES.values(), ids=FAMILIES.keys())
def test_a_hostile_record_costs_little(zone: Zone, request: pytest.FixtureRequest) -> None:
    world = World(zone)
    evaluator = Evaluator()
    verdicts = [
        evaluator.evaluate(check(local=local), world) for local in LOCALS.values()
    ]  # also fills the world's memory
    assert not [verdict.fault for verdict in verdicts if verdict.fault]
    figures = {name: cpu(lambda: evaluator.evaluate(check(local=local), world)) for name, local in LOCALS.items()}  # noqa: B023 - called at once
    worst = max(figures.values())
    print(f"\n{1000 * worst:7.1f} ms  {request.node.callspec.id}")  # noqa: T201 - the figures are what the test is for
    assert worst < ALLOWED, figures


def test_tracing_a_hostile_record_costs_little() -> None:
    """`spfmilter check` keeps the tree; an expansion in it is no longer than a name."""
    world = World(FAMILIES["ten exists of escaped senders"])
    assert cpu(lambda: Evaluator().evaluate(check(local="+" * 256), world, trace=True)) < ALLOWED


def answers(name: str, rdtype: Type, data: bytes, count: int) -> tuple[wire.Question, bytes]:
    """A packet full of equal records, each with a pointer to the question's name."""
    asked = wire.question(name, rdtype)
    assert asked is not None
    head = b"\0\1\x81\x80\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0"
    one_record = b"\xc0\x0c" + asked.wire[-4:] + b"\0\0\1\0" + len(data).to_bytes(2, "big") + data
    return asked, head + asked.wire + one_record * count


DEEP = "a." * 124 + "com"
PACKETS = {
    "4000 addresses": answers("e.example", Type.A, b"\1\2\3\4", 4000),
    "500 addresses": answers("e.example", Type.A, b"\1\2\3\4", 500),
    "500 addresses of a name of 125 labels": answers(DEEP, Type.A, b"\1\2\3\4", 500),
    "500 exchanges of 125 labels": answers(DEEP, Type.MX, b"\0\1\xc0\x0c", 500),
    "500 names of 125 labels": answers(DEEP, Type.PTR, b"\xc0\x0c", 500),
    "5000 TXT records without strings": answers("e.example", Type.TXT, b"", 5000),
    "65000 strings of nothing": answers("e.example", Type.TXT, b"\0" * 65000, 1),
    "500 records of 100 strings": answers("e.example", Type.TXT, b"\0" * 100, 500),
    "names that point at each other": answers("e.example", Type.PTR, b"\xc0\x0c" + b"\xc0\x1b" * 2000, 10),
}


@pytest.mark.parametrize(("asked", "packet"), PACKETS.values(), ids=PACKETS.keys())
def test_a_hostile_packet_costs_little(asked: wire.Question, packet: bytes, request: pytest.FixtureRequest) -> None:
    def read() -> None:
        with suppress(MalformedError):
            wire.parse(asked, packet)

    spent = cpu(read)
    print(f"\n{1000 * spent:7.1f} ms  {request.node.callspec.id}")  # noqa: T201
    assert spent < ALLOWED / 5  # several such packets make an evaluation


@pytest.mark.parametrize(
    "label", ["ü" * 2000, "ü." * 1000, "a\u0301" * 1000, "\u06ef" * 2000, "\ufdfa" * 500, "x" * 10**6]
)
def test_a_hostile_domain_costs_little(label: str) -> None:
    assert cpu(lambda: dns_domain(label + ".example")) < ALLOWED


@pytest.mark.parametrize(
    "text",
    [
        "x." + "a" * 64000 + "-a",
        "x." + "a" * 64000 + "!",
        "x." + "1" * 64000 + "-a",
        "x." + "a-" * 32000,
        "%" * 64000,
        "%{d" * 20000,
        "%{d" + "1" * 64000,
        "%{d" + "-" * 64000,
        "%{d}" * 16000,
    ],
    ids=lambda text: f"{text[:6]}...{text[-3:]}",
)
def test_the_grammar_is_linear_even_beyond_the_bounds(text: str) -> None:
    """64 KB; a quadratic expression takes seconds for it."""

    def read() -> None:
        with suppress(MacroError):
            macros.parse_domain_spec(text)

    assert cpu(read) < ALLOWED


@pytest.mark.parametrize(
    "term", ["a:x" + "/1" * 500, "a" + "/" * 1000, "a:" + "//1" * 300 + "x", "-" * 1000, "x" * 1000, "x." * 500]
)
def test_a_term_is_read_in_no_time(term: str) -> None:
    def read() -> None:
        with suppress(RecordError):
            record.parse("v=spf1 " + term)

    assert cpu(read) < ALLOWED / 50


# -- that the bounds are there, and not too tight ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "family",
    [
        "one term of 16 KB",
        "16 KB of terms of two characters",
        "64 KB of blanks",
        "ten includes of 1000 addresses",
        "5000 TXT records",
        "ten mx of ten hosts of 4000 addresses",
    ],
)
def test_what_is_beyond_a_bound_is_a_permerror(family: str) -> None:
    verdict = Evaluator().evaluate(check(), World(FAMILIES[family]))
    assert verdict.problem is not None
    assert verdict.problem.kind is ProblemKind.TOO_LONG


CLIENTS = "1.2.0.192.in-addr.arpa"


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("ptr ptr:e.example ptr:v.example -all", {CLIENTS: [{"PTR": f"h{n}.x.example"} for n in range(500)]}),
        (
            "exists:%{p}.ok.example -all",
            {
                CLIENTS: [{"PTR": f"h{n}.x.example"} for n in range(10)],
                **{f"h{n}.x.example": [{"A": f"198.51.{n}.{m}"} for m in range(200)] for n in range(10)},
            },
        ),
    ],
)
def test_what_the_clients_own_zone_holds_is_no_error_of_the_record(text: str, zone: dict[str, list[object]]) -> None:
    """The owner of an address's reverse zone could turn a fail into a permerror (RFC 7208 section 5.5)."""
    verdict = Evaluator().evaluate(check(), World({"e.example": [{"TXT": f"v=spf1 {text}"}], **zone}))
    assert verdict.result == "fail"


@pytest.mark.parametrize(
    "family",
    [
        "the longest term that is read",
        "a thousand addresses",
        "ten includes, as many terms as are read",
        "ten mx of ten hosts, as many addresses as are read",
        "ten ptr of ten names",
    ],
)
def test_what_is_within_the_bounds_is_evaluated(family: str) -> None:
    assert Evaluator().evaluate(check(), World(FAMILIES[family])).problem is None


# -- what the stock class costs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda size: "a:x." + "a" * size + "!", id="the top label"),
        pytest.param(lambda size: "x=" + "%%." * (size // 3), id="the check for invalid macros"),
    ],
)
def test_the_stock_class_is_quadratic(text: Callable[[int], str]) -> None:
    """Twice the length costs it four times as much (three, for the noise); 16 KB cost it seconds."""
    small, large = (cpu(lambda size=size: Stock(one(text(size)))) for size in (1000, 4000))
    assert large > 6 * small
    assert spf.query(i=CLIENT, s="u@e.example", h="h").strict  # the class as it is used
