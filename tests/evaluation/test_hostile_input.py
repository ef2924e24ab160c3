"""All that clients send and domains publish gives a result, never an exception.

Each trap is shown twice: the stock class of pyspf (or its way to ask the DNS) falls into it, ours does not.
"""

import ipaddress
import struct
from typing import Any
from unittest import mock

import dns.exception
import dns.name
import dns.resolver
import pytest
import spf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spfmilter.addresses import client_of, dns_domain, parse_address, parse_reverse_path
from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.wire import Dangling, MalformedError, TruncatedError
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.model import Client, Problem, ProblemKind, Result, Verdict
from spfmilter.spf import macros, record
from spfmilter.spf.macros import MacroError
from spfmilter.spf.record import RecordError
from tests.evaluation.world import CLIENT, Stock, World, check, ours

BROAD = settings(
    deadline=None, max_examples=3 * settings().max_examples // 2, suppress_health_check=[HealthCheck.too_slow]
)


def published(text: str, **beside: list[Any]) -> dict[str, list[Any]]:
    return {"e.example": [{"TXT": f"v=spf1 {text}"}], **{name.replace("_", "."): v for name, v in beside.items()}}


# -- names that dnspython refuses, which the stock class lets through -------------------------------------------------

REFUSED_NAMES = {
    "a label beyond 63 bytes": ("x" * 64 + ".example", dns.name.LabelTooLong),
    "a name beyond 255 bytes": (".".join(["x" * 60] * 5), dns.name.NameTooLong),
    "an empty label": ("a..example", dns.name.EmptyLabel),
    "a bad escape": (r"a\999.example", (dns.name.BadEscape, struct.error)),  # the latter before dnspython 2.8
    "a label that IDNA 2003 does not take": ("xn--\u00fc.example", dns.exception.DNSException),
}


@pytest.mark.parametrize(("name", "error"), REFUSED_NAMES.values(), ids=REFUSED_NAMES.keys())
def test_a_name_that_dnspython_refuses_is_no_domain_or_no_name(
    name: str, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    """In the constructor of a dnspython name it raises; in our sanitizer it is no domain, in a term it is no match."""
    with pytest.raises(error):
        dns.name.from_text(name)
    assert dns_domain(name) == ""
    verdict = ours(published("exists:%{h}.x.example a:%{h} mx:%{h} -all"), check(helo=name))
    assert verdict.result in {Result.FAIL, Result.PERMERROR}


def test_the_stock_class_lets_a_name_too_long_out_of_check() -> None:
    """With dnspython below it: the label is short enough for its own test, the name is not."""
    name = ".".join(["x" * 60] * 4) + ".%{l}." + "y" * 30 + ".example"
    zone = World(published(f"a:{name} -all"))

    def lookup(asked: str, qtype: str, *_: object) -> list[Any]:
        dns.name.from_text(asked)
        return [((asked, qtype), (r,)) for r in zone.ask(asked, Type[qtype]).records]

    with mock.patch.object(spf, "DNSLookup", lookup), pytest.raises(dns.name.NameTooLong):
        spf.query(i=CLIENT, s=f"{'z' * 60}@e.example", h="h.example").check()
    assert ours(zone, check(local="z" * 60)).result is Result.FAIL


@pytest.mark.parametrize("error", [dns.resolver.YXDOMAIN, dns.resolver.NoResolverConfiguration])
def test_what_the_resolver_raises_leaves_the_stock_class(error: type[Exception]) -> None:
    """It knows four exceptions of dnspython by name, and these are not among them; our lookups raise none."""
    with mock.patch.object(dns.resolver, "query", side_effect=error), pytest.raises(error):
        spf.query(i=CLIENT, s="u@e.example", h="h.example").check()


def test_no_resolver_configuration_is_a_server_that_does_not_answer(tmp_path: Any) -> None:
    resolver = Resolver(resolv_conf=tmp_path / "missing")
    assert [str(server) for server in resolver.nameservers()] == ["127.0.0.1"]


@pytest.mark.parametrize("rcode", [6, 7, 8, 9, 10, 11, 15])
def test_any_rcode_is_a_failed_lookup(rcode: int) -> None:
    """YXDOMAIN (6) among them."""
    asked = wire.question("e.example", Type.TXT)
    assert asked is not None
    packet = struct.pack("!HHHHHH", 1, 0x8180 | rcode, 1, 0, 0, 0) + asked.wire
    assert wire.parse(asked, packet) == Answer(Status.FAILED, failure=f"RCODE {rcode}")


# -- text that Python refuses -----------------------------------------------------------------------------------------

BYTES = b"caf\xe9".decode("utf-8", "surrogateescape")  # as milters get a local part that is not UTF-8


def test_a_local_part_of_bytes_in_an_escaped_macro() -> None:
    zone = published("exists:%{L}.x.example -all")
    with pytest.raises(UnicodeEncodeError):
        Stock(zone, sender=f"{BYTES}@e.example")
    assert ours(zone, check(local=BYTES)).result is Result.FAIL


def test_a_local_part_of_bytes_in_an_explanation() -> None:
    zone = published("-all exp=why.e.example", why_e_example=[{"TXT": "%{L} %{S}"}])
    assert ours(zone, check(local=BYTES)).explanation == "caf%3F caf%3F%40e.example"


def test_a_redirect_by_a_local_part_of_bytes_leads_nowhere() -> None:
    verdict = ours(published("redirect=%{L}.x.example"), check(local=BYTES))
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.PERMERROR, ProblemKind.MISSING_RECORD)


@pytest.mark.parametrize("term", ["a/{}", "a//{}", "ip4:1.2.3.4/{}", "exists:%{{d{}}}.example"])
@pytest.mark.parametrize("count", [500, 5000])
def test_a_number_of_thousands_of_digits(term: str, count: int) -> None:
    """Python converts at most 4300 digits; ours has looked at their number before."""
    zone = published(term.format("9" * count) + " -all")
    if count > 4300:
        with pytest.raises(ValueError, match="Exceeds the limit"):
            Stock(zone)
    expected = Result.FAIL if term.startswith("exists") and count == 500 else Result.PERMERROR
    assert ours(zone).result is expected


def test_a_header_for_an_ambiguous_result_is_none_of_ours() -> None:
    """Only harsh mode gives it, which ours never enters: no result of ours is without a word in the model."""
    stock = spf.query(i=CLIENT, s="u@e.example", h="h.example")
    with pytest.raises(KeyError):
        stock.get_header("ambiguous")
    with pytest.raises(ValueError, match="ambiguous"):
        Result("ambiguous")


# -- the constructor --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["unknown", "", "1.2.3", "1.2.3.4.5", "host.example", "\ud800", "%", "IPv6:"])
def test_a_client_address_that_is_none_is_unknown(address: str) -> None:
    if address:
        with pytest.raises((spf.PermError, ValueError)):
            spf.query(i=address, s="u@e.example", h="h")
    assert parse_address(address) is None
    assert client_of("x", (address, 25)) == Client(address=None, name="x")


def test_a_zone_in_an_address_is_dropped() -> None:
    with pytest.raises(ipaddress.AddressValueError):
        spf.query(i="fe80::1%eth0", s="u@e.example", h="h")
    assert str(parse_address("fe80::1%eth0")) == "fe80::1"


@pytest.mark.parametrize("hostaddr", [None, (), (None, 1), (b"1.2.3.4", 1), 7, "/run/x.sock"])
def test_what_libmilter_may_call_an_address(hostaddr: object) -> None:
    assert client_of("x", hostaddr).address is None


def test_the_stock_constructor_raises_for_none_and_for_bytes() -> None:
    with pytest.raises(AttributeError):
        spf.query(i=CLIENT, s=None, h=None).check()
    with pytest.raises(TypeError):
        spf.query(i=CLIENT, s=b"u@e.example", h=b"h")


# -- anything ---------------------------------------------------------------------------------------------------------


def sound(verdict: Verdict) -> None:
    """A verdict that people can be shown: no fault, a problem where there is an error, and that problem in one line."""
    assert verdict.fault is None, verdict.fault
    if verdict.result in {Result.PERMERROR, Result.TEMPERROR}:
        assert isinstance(verdict.problem, Problem)
    for shown in (verdict.problem.text, verdict.problem.term, verdict.problem.domain) if verdict.problem else ():
        assert shown is None or (shown.isascii() and shown.isprintable())
    for shown in (verdict.term, verdict.term_domain):
        assert shown is None or (shown.isascii() and shown.isprintable())


TERMS = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[-+?~]?(all|a|mx|ptr|exists|include|ip4|ip6)([:/][ -~]{0,20})?", fullmatch=True),
    st.from_regex(r"(redirect|exp|x)=[ -~]{0,20}", fullmatch=True),
    st.from_regex(
        r"[-+?~]?(a|mx|ptr|exists|include):%\{[slodiphvSLODIPHV]\d?r?[-.+,/_=]?\}(\.x\.example)?", fullmatch=True
    ),
)


@BROAD
@given(st.lists(TERMS, max_size=6), st.text(max_size=10))
def test_any_terms_give_a_verdict(terms: list[str], local: str) -> None:
    text = ("v=spf1 " + " ".join(terms)).encode("utf-8", "surrogatepass")
    world = World({"e.example": [{"TXT": text}, {"A": CLIENT}, {"MX": (1, "e.example")}]})
    sound(Evaluator().evaluate(check(local=local), world, trace=True))


@BROAD
@given(st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_as_a_record_give_a_verdict(texts: list[bytes]) -> None:
    sound(
        Evaluator().evaluate(check(), World({"e.example": [{"TXT": b"v=spf1 " + text} for text in texts]}), trace=True)
    )


@BROAD
@given(st.binary(max_size=80))
def test_any_bytes_as_an_explanation_give_a_verdict(text: bytes) -> None:
    verdict = ours(published("-all exp=why.e.example", why_e_example=[{"TXT": text}]))
    assert verdict.result is Result.FAIL


@BROAD
@given(st.text(), st.text(), st.text())
def test_any_envelope_gives_a_verdict(sender: str, helo: str, client: str) -> None:
    """Through the sanitizers, as the milter does."""
    path = parse_reverse_path(sender)
    address = parse_address(client)
    domain = dns_domain(path.domain)
    zone = published("exists:%{l}.%{s}.%{o}.%{h}.%{i} exists:%{L}%{S}%{H} ptr -all")
    if domain:
        zone[domain] = zone["e.example"]
    made = check(domain, local=path.local, helo=dns_domain(helo) or "unknown", client=str(address or CLIENT))
    sound(Evaluator().evaluate(made, World(zone), trace=True))


@BROAD
@given(st.text(), st.text(), st.text())
def test_an_envelope_that_was_not_sanitized_gives_a_verdict(local: str, domain: str, helo: str) -> None:
    world = World(
        {domain.lower(): [{"TXT": "v=spf1 a:%{h} a:%{d} a:%{l}.%{o} redirect=e.example"}], **published("-all")}
    )
    sound(Evaluator().evaluate(check(domain, local=local, helo=helo), world, trace=True))


@BROAD
@given(st.text())
def test_the_sanitizer_of_domains_lets_only_names_through(text: str) -> None:
    name = dns_domain(text)
    assert name == "" or wire.question(name, Type.TXT) is not None
    assert name == "" or ("." in name and "@" not in name and name.isprintable())


@BROAD
@given(st.one_of(st.text(), st.from_regex(r"([a-z.]|%[{%_\-]|\{[a-zA-Z]\d*r?[-.+]*\})*", fullmatch=True)))
def test_any_text_as_a_macro_string_is_read_or_refused(text: str) -> None:
    for explanation in (False, True):
        try:
            found = macros.parse(text, explanation=explanation)
        except MacroError:
            continue
        assert isinstance(found.expand(lambda _: text, 100), str)
        assert isinstance(found.expand_domain(lambda _: text), str)


@BROAD
@given(st.one_of(st.text(), st.lists(TERMS).map(" ".join)))
def test_any_text_as_a_record_is_read_or_refused_with_a_problem(text: str) -> None:
    try:
        record.parse("v=spf1 " + text)
    except RecordError as error:
        problem = error.problem()
        assert problem.text.isascii()
        assert problem.term is None or len(problem.term) <= 120


QUESTIONS = [wire.question("e.example", rdtype) for rdtype in Type]


@BROAD
@given(
    st.sampled_from(QUESTIONS), st.binary(max_size=300), st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 3])
)
def test_any_bytes_behind_a_question_are_an_answer_or_malformed(
    asked: wire.Question, body: bytes, answers: int, authority: int, rcode: int
) -> None:
    packet = struct.pack("!HHHHHH", 7, 0x8180 | rcode, 1, answers, authority, 0) + asked.wire + body
    assert wire.is_reply_to(asked, packet)
    read(asked, packet)


@BROAD
@given(
    st.sampled_from(QUESTIONS),
    st.lists(
        st.tuples(st.sampled_from([1, 5, 6, 12, 15, 16, 28, 41]), st.binary(max_size=40), st.integers(0, 2**32 - 1))
    ),
    st.integers(0, 60),
)
def test_any_records_are_an_answer_or_malformed(
    asked: wire.Question, records: list[tuple[int, bytes, int]], pointer: int
) -> None:
    packet = struct.pack("!HHHHHH", 7, 0x8180, 1, len(records), 0, 0) + asked.wire
    for rdtype, data, ttl in records:
        packet += struct.pack("!HHHLH", 0xC000 | pointer, rdtype, 1, ttl, len(data)) + data
    read(asked, packet)


@BROAD
@given(st.sampled_from(QUESTIONS), st.binary(max_size=100))
def test_any_packet_can_be_told_from_an_answer_to_us(asked: wire.Question, data: bytes) -> None:
    if wire.identifier(data) is not None and wire.is_reply_to(asked, data):
        read(asked, data)


def read(asked: wire.Question, packet: bytes) -> None:
    """Read a packet; nothing but the two exceptions that are its outcomes may come out."""
    try:
        found = wire.parse(asked, packet)
    except (MalformedError, TruncatedError):
        return
    assert isinstance(found, Answer | Dangling)
    if isinstance(found, Answer):
        found.texts(asked.type)


class Broken:
    """Lookups with a bug."""

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """Fail."""
        raise ZeroDivisionError((name, rdtype, deadline))


def test_a_bug_of_ours_is_a_fault_and_not_an_exception() -> None:
    verdict = Evaluator().evaluate(check(), Broken())
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.TEMPERROR, ProblemKind.INTERNAL)
    assert "ZeroDivisionError" in (verdict.fault or "")
