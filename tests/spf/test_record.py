"""The grammar of SPF records (RFC 7208 sections 4.5, 4.6, 5, 6 and 12), as tables."""

from ipaddress import ip_address

import pytest

from spfmilter.model import Problem, ProblemKind, Result
from spfmilter.spf import record
from spfmilter.spf.record import MAX_RECORD, MAX_TERM, MAX_TERMS, RecordError


def parsed(terms: str) -> record.Record:
    return record.parse(f"v=spf1 {terms}")


def problem(terms: str) -> Problem:
    with pytest.raises(RecordError) as caught:
        parsed(terms)
    return caught.value.problem()


@pytest.mark.parametrize(
    ("qualifier", "result"),
    [("", Result.PASS), ("+", Result.PASS), ("-", Result.FAIL), ("~", Result.SOFTFAIL), ("?", Result.NEUTRAL)],
)
@pytest.mark.parametrize(
    "mechanism", ["all", "a", "mx", "ptr", "ip4:192.0.2.1", "ip6:::1", "include:a.b", "exists:a.b"]
)
def test_a_qualifier_gives_the_result_of_a_match(qualifier: str, result: Result, mechanism: str) -> None:
    (directive,) = parsed(qualifier + mechanism).directives
    assert (directive.text, directive.result) == (qualifier + mechanism, result)
    assert directive.mechanism == mechanism.partition(":")[0]


@pytest.mark.parametrize(
    ("term", "mechanism", "target", "prefix4", "prefix6"),
    [
        ("ALL", "all", None, 32, 128),
        ("a", "a", None, 32, 128),
        ("A:Mail.Example", "a", "Mail.Example", 32, 128),
        ("a/24", "a", None, 24, 128),
        ("a//64", "a", None, 32, 64),
        ("a/24//64", "a", None, 24, 64),
        ("a/0//0", "a", None, 0, 0),
        ("a:e.example/24//64", "a", "e.example", 24, 64),
        ("mx:%{d}/8", "mx", "%{d}", 8, 128),
        ("mx:a/b.example/8", "mx", "a/b.example", 8, 128),
        ("a:a/1/2.example", "a", "a/1/2.example", 32, 128),
        ("a:x%{d}/32", "a", "x%{d}", 32, 128),
        ("a:%%.%_.%-.example", "a", "%%.%_.%-.example", 32, 128),
        ("ptr", "ptr", None, 32, 128),
        ("ptr:e.example", "ptr", "e.example", 32, 128),
        ("exists:%{ir}.a/24.%{d}", "exists", "%{ir}.a/24.%{d}", 32, 128),
        ("Include:e.example.", "include", "e.example.", 32, 128),
    ],
)
def test_a_mechanism_has_a_target_and_prefixes(
    term: str, mechanism: str, target: str | None, prefix4: int, prefix6: int
) -> None:
    (found,) = parsed(term).directives
    assert (found.mechanism, found.target and found.target.text) == (mechanism, target)
    assert (found.prefix4, found.prefix6) == (prefix4, prefix6)


@pytest.mark.parametrize(
    ("term", "address", "prefix4", "prefix6"),
    [
        ("ip4:192.0.2.0/24", "192.0.2.0", 24, 128),
        ("IP4:192.0.2.1", "192.0.2.1", 32, 128),
        ("ip4:128.0.0.0/0", "128.0.0.0", 0, 128),
        ("ip6:2001:db8::/32", "2001:db8::", 32, 32),
        ("ip6:::1", "::1", 32, 128),
        ("ip6:::ffff:192.0.2.1/96", "::ffff:192.0.2.1", 32, 96),
    ],
)
def test_a_network_is_a_number_and_a_prefix(term: str, address: str, prefix4: int, prefix6: int) -> None:
    (found,) = parsed(term).directives
    assert (found.network, found.prefix4, found.prefix6) == (int(ip_address(address)), prefix4, prefix6)


@pytest.mark.parametrize(
    ("terms", "kind"),
    [
        # mechanisms
        ("foo", ProblemKind.UNKNOWN_MECHANISM),
        ("prt", ProblemKind.UNKNOWN_MECHANISM),
        ("a.example", ProblemKind.UNKNOWN_MECHANISM),
        ("redirect:e.example", ProblemKind.UNKNOWN_MECHANISM),
        ("mx,", ProblemKind.UNKNOWN_MECHANISM),
        ("-", ProblemKind.SYNTAX),
        ("=a", ProblemKind.SYNTAX),
        ("--all", ProblemKind.SYNTAX),
        ("192.0.2.1", ProblemKind.SYNTAX),
        ("\u00e4ll", ProblemKind.SYNTAX),
        ("all:", ProblemKind.SYNTAX),
        ("all:e.example", ProblemKind.SYNTAX),
        ("all/8", ProblemKind.SYNTAX),
        ("all\t", ProblemKind.SYNTAX),
        ("a\nmx", ProblemKind.SYNTAX),
        ("a\x00", ProblemKind.SYNTAX),
        # domains
        ("a:", ProblemKind.BAD_DOMAIN),
        ("a:/24", ProblemKind.BAD_DOMAIN),
        ("mx:localhost", ProblemKind.BAD_DOMAIN),
        ("include", ProblemKind.BAD_DOMAIN),
        ("include:", ProblemKind.BAD_DOMAIN),
        ("exists", ProblemKind.BAD_DOMAIN),
        ("exists:", ProblemKind.BAD_DOMAIN),
        ("ptr:", ProblemKind.BAD_DOMAIN),
        ("a:192.0.2.1", ProblemKind.BAD_DOMAIN),
        ("include:e.example,", ProblemKind.BAD_DOMAIN),
        ("redirect=", ProblemKind.BAD_DOMAIN),
        ("exp=", ProblemKind.BAD_DOMAIN),
        ("exp=localhost", ProblemKind.BAD_DOMAIN),
        ("redirect=e.example/24", ProblemKind.BAD_DOMAIN),
        # macros, in unknown modifiers too
        ("a:%{x}.example", ProblemKind.BAD_MACRO),
        ("exists:%{c}.example", ProblemKind.BAD_MACRO),
        ("exp=%{r}", ProblemKind.BAD_MACRO),
        ("x=%", ProblemKind.BAD_MACRO),
        # addresses
        ("ip4", ProblemKind.BAD_ADDRESS),
        ("ip4:", ProblemKind.BAD_ADDRESS),
        ("ip4/24", ProblemKind.BAD_ADDRESS),
        ("ip4:192.0.2", ProblemKind.BAD_ADDRESS),
        ("ip4:192.0.2.256", ProblemKind.BAD_ADDRESS),
        ("ip4:192.0.02.1", ProblemKind.BAD_ADDRESS),
        ("ip4:::1", ProblemKind.BAD_ADDRESS),
        ("ip4:%{i}", ProblemKind.BAD_ADDRESS),
        ("ip6:192.0.2.1", ProblemKind.BAD_ADDRESS),
        ("ip6:fe80::1%eth0", ProblemKind.BAD_ADDRESS),
        ("ip6:2001:db8", ProblemKind.BAD_ADDRESS),
        # prefix lengths
        ("ip4:192.0.2.0/33", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0/", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0/024", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0/-1", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0//24", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0/24//24", ProblemKind.BAD_PREFIX),
        ("ip4:192.0.2.0/9999", ProblemKind.BAD_PREFIX),
        ("ip6:::/129", ProblemKind.BAD_PREFIX),
        ("ip6:::/00", ProblemKind.BAD_PREFIX),
        ("a/33", ProblemKind.BAD_PREFIX),
        ("a//129", ProblemKind.BAD_PREFIX),
        ("a/", ProblemKind.BAD_PREFIX),
        ("a//", ProblemKind.BAD_PREFIX),
        ("a/x", ProblemKind.BAD_PREFIX),
        ("a/24/24", ProblemKind.BAD_PREFIX),
        ("a//64/24", ProblemKind.BAD_PREFIX),
        ("a:e.example/033", ProblemKind.BAD_PREFIX),
        ("mx:e.example/9999", ProblemKind.BAD_PREFIX),
        ("include/24", ProblemKind.BAD_PREFIX),
        ("exists/24", ProblemKind.BAD_PREFIX),
        ("ptr/24", ProblemKind.BAD_PREFIX),
        # modifiers
        ("redirect=a.b redirect=a.b", ProblemKind.DUPLICATE_MODIFIER),
        ("exp=a.b EXP=c.d", ProblemKind.DUPLICATE_MODIFIER),
        # bounds
        ("x=" + "y" * MAX_TERM, ProblemKind.TOO_LONG),
        ("a " * (MAX_TERMS + 1), ProblemKind.TOO_LONG),
        (" " * MAX_RECORD, ProblemKind.TOO_LONG),
    ],
)
def test_a_record_that_breaks_the_grammar_has_a_problem_of_its_kind(terms: str, kind: ProblemKind) -> None:
    assert problem(terms).kind is kind


def test_a_fault_is_found_wherever_it_stands() -> None:
    """Section 4.6: the whole record is read first."""
    assert problem("+all foo").term == "foo"


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ("a:192.0.2.1", "an address: write ip4:192.0.2.1"),
        ("ipv4:192.0.2.1", "unknown mechanism (did you mean ip4?)"),
        ("prt", "unknown mechanism (did you mean ptr?)"),
        ("redirect=a.b REDIRECT=a.b", "redirect= appears more than once"),
        ("exists:%{d0}", "macro keeps 0 parts"),
        ("a/40", "a prefix length of more than 32"),
        ("a//140", "a prefix length of more than 128"),
        ("a/024", "a prefix length that begins with 0"),
    ],
)
def test_a_problem_says_what_to_write(terms: str, text: str) -> None:
    assert problem(terms).text == text


def test_a_problem_is_safe_to_show() -> None:
    """The term is untrusted, and so is the domain, which a local part may be expanded in."""
    found = RecordError(ProblemKind.SYNTAX, "x\r\ny", term="\x1b[0m" + "z" * 500, domain="\r\n.example").problem()
    for shown in (found.text, found.term, found.domain):
        assert shown is not None
        assert shown.isascii()
        assert shown.isprintable()
    assert len(found.term or "") == 120


@pytest.mark.parametrize(
    ("terms", "texts"),
    [
        ("", []),
        ("a  mx", ["a", "mx"]),
        (" a ", ["a"]),
        ("a x=y mx default=z", ["a", "mx"]),
        ("op=%{d} unknown-mod.x_1=%% a=b", []),
        ("x=1 x=2 X=3", []),
        ("x=", []),
        ("a:e.example=x.com", ["a:e.example=x.com"]),
    ],
)
def test_directives_stand_in_their_order_without_modifiers(terms: str, texts: list[str]) -> None:
    assert [directive.text for directive in parsed(terms).directives] == texts


def test_modifiers_are_found_wherever_they_stand_and_in_any_case() -> None:
    found = parsed("Exp=why.example -all REDIRECT=%{o}.r.example")
    assert (found.exp and found.exp.text, found.redirect and found.redirect.text) == ("why.example", "%{o}.r.example")
    assert found.redirect_text == "REDIRECT=%{o}.r.example"
    assert found.terms == 3


def test_a_term_and_a_record_may_be_as_long_as_the_bounds() -> None:
    assert parsed("x=" + "y" * (MAX_TERM - 2)).terms == 1
    assert len(parsed("a " * MAX_TERMS).directives) == MAX_TERMS
    assert parsed(" " * (MAX_RECORD - len("v=spf1 "))).terms == 0


@pytest.mark.parametrize(
    ("text", "is_version"),
    [
        (b"v=spf1", True), (b"v=spf1 ", True), (b"V=SPF1 a", True), (b"v=spf1\n", False), (b"v=spf1\t-all", False),
        (b"v=spf10", False), (b"v=spf1-all", False), (b" v=spf1", False), (b"v=spf2.0/pra", False), (b"", False),
        (b"v=spf1\xa0-all", False), (b"v=\xc5\xbfpf1", False),
    ],
)  # fmt: skip
def test_a_version_is_followed_by_a_space_or_the_end(text: bytes, *, is_version: bool) -> None:
    """Section 4.5."""
    assert bool(record.VERSION.match(text)) is is_version
