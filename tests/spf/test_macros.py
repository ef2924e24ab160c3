"""The grammar and the expansion of macros (RFC 7208 section 7), as tables."""

import pytest

from spfmilter.spf import macros
from spfmilter.spf.macros import MacroError

# RFC 7208 section 7.4, whose sender is strong-bad@email.example.com, from 192.0.2.3 or 2001:db8::cb01.
VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "p": "mx.example.org",
    "v": "in-addr",
    "h": "mail.example.org",
    "c": "192.0.2.3",
    "r": "receiver.example",
    "t": "1700000000",
}
SIX = "2.0.0.1.0.D.B.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.C.B.0.1"


def expanded(text: str, values: dict[str, str] | None = None) -> str:
    return macros.parse(text, explanation=True).expand((values or VALUES).__getitem__, 10_000)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        # the RFC's own examples
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        # case, escapes and constants
        ("%{D2}", "example.com"),
        ("%{S}", "strong-bad%40email.example.com"),
        ("%{LR-}", "bad.strong"),
        ("%%%_%-", "% %20"),
        ("%%{d}", "%{d}"),
        ("100%%", "100%"),
        ("", ""),
        # digits
        ("%{d01}", "com"),
        ("%{d002}", "example.com"),
        ("%{d128}", "email.example.com"),
        ("%{d99999999999999999999}", "email.example.com"),
        # delimiters: any of them splits, dots join
        ("%{s-}", "strong.bad@email.example.com"),
        ("%{s.-}", "strong.bad@email.example.com"),
        ("%{s1r-.}", "strong"),
        ("%{i1r.}", "192"),
        ("%{o1+}", "email.example.com"),
        ("%{c} %{r} %{t}", "192.0.2.3 receiver.example 1700000000"),
    ],
)
def test_an_expansion_is_that_of_the_rfc(text: str, result: str) -> None:
    assert expanded(text) == result


def test_a_v6_address_is_split_at_its_nibbles() -> None:
    values = VALUES | {"i": SIX, "v": "ip6"}
    assert expanded("%{ir}.%{v}._spf.%{d2}", values) == ".".join(reversed(SIX.split("."))) + ".ip6._spf.example.com"


@pytest.mark.parametrize("delimiter", ".-+,/_=")
def test_every_delimiter_of_the_grammar_splits(delimiter: str) -> None:
    assert expanded(f"%{{l1r{delimiter}}}", {"l": f"left{delimiter}right"}) == "left"
    assert expanded(f"%{{l{delimiter}}}", {"l": f"left{delimiter}right"}) == "left.right"


def test_only_the_delimiters_given_split() -> None:
    assert expanded("%{l1-}", {"l": "a.b-c.d"}) == "c.d"
    assert expanded("%{l1.-}", {"l": "a.b-c.d"}) == "d"


def test_an_upper_case_letter_escapes_what_no_url_holds() -> None:
    """RFC 3986 section 2.3: letters, digits and - . _ ~ stay."""
    assert expanded("%{L}", {"l": "aZ9-._~!/@ü"}) == "aZ9-._~%21%2F%40%C3%BC"
    assert expanded("%{L}", {"l": "\udce9"}) == "%3F"


@pytest.mark.parametrize(
    "text",
    [
        "%", "a%", "%a", "%{", "%{}", "%{d", "%{x}", "%{dd}", "%{d-foo}", "%{drr}", "%{d0}", "%{d000}", "%{dr2}",
        "%{d 2}", "%{ d}", "%(d)", "%{d@}", "%{-}", "%{2}", "%{d-r}", "%{d²}", "%{d٣}", "%{ſ}", "% {d}", "%{d}%",
    ],
)  # fmt: skip
def test_what_the_grammar_does_not_hold_is_refused(text: str) -> None:
    with pytest.raises(MacroError):
        macros.parse(text, explanation=True)


@pytest.mark.parametrize("letter", "crtCRT")
def test_some_letters_are_for_explanations_only(letter: str) -> None:
    """Section 7.2."""
    assert macros.parse(f"%{{{letter}}}", explanation=True).letters == {letter.lower()}
    with pytest.raises(MacroError, match="exp= texts only"):
        macros.parse(f"%{{{letter}}}")


def test_an_error_names_the_piece_at_fault() -> None:
    with pytest.raises(MacroError) as caught:
        macros.parse("%{d}.%{d0}.%{x}")
    assert caught.value.at == "%{d0}"


@pytest.mark.parametrize(
    "text",
    [
        "example.com", "example.com.", "%{d}", "x.%{d}", "%{d}.com", "a.b-c", "a.1a", "a.a1", "a.1-1", "a.xn--p1ai",
        "%%", "a%_", "a%-", "_spf.example.com", "a/b.example", "a:b.example", "a.a--b", f"a.{'b' * 500}", ".com",
        "a..com",
    ],
)  # fmt: skip
def test_a_domain_spec_ends_in_a_macro_or_a_top_label(text: str) -> None:
    assert macros.parse_domain_spec(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "", "com", "com.", "a.123", "a.-b", "a.b-", "a.b_c", "a.", "a..", "%{d}com", "%{d}.", "%{d}.1", "a.b c", "a.ü",
        "a.b\x00", "a.b\n", "1.2.3.4", "a.b,", "a.b:8080", "a.b/24", "a.\u017f", "a.-", f"a.{'b' * 500}-",
    ],
)  # fmt: skip
def test_a_domain_spec_that_ends_otherwise_is_refused(text: str) -> None:
    with pytest.raises(MacroError):
        macros.parse_domain_spec(text)


LABEL = "x" * 50


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.example.", "a.example"),
        ("a.example", "a.example"),
        ("%{d}", "d.example"),
        ("%{o}.example", "o.example.example"),
        (f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example", f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example"),
        (f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 42}.example", f"{LABEL}.{LABEL}.{LABEL}.{'y' * 42}.example"),
        (f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example.", f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example"),
        (
            f"a.b.c.{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example",
            f"{LABEL}.{LABEL}.{LABEL}.{LABEL}.{'y' * 41}.example",
        ),
        (
            f"%{{d}}.%{{d}}.{LABEL}.{LABEL}.{LABEL}.{LABEL}.%{{o}}",
            f"d.example.d.example.{LABEL}.{LABEL}.{LABEL}.{LABEL}.o.example",
        ),
    ],
)
def test_a_name_is_cut_from_the_left_at_a_dot(text: str, name: str) -> None:
    """Section 7.3: as much of the right side as has 253 characters."""
    assert macros.parse(text).expand_domain({"d": "d.example", "o": "o.example"}.__getitem__) == name


def test_what_is_cut_off_is_not_expanded() -> None:
    asked: list[str] = []

    def value(letter: str) -> str:
        asked.append(letter)
        return "v.example"

    macros.parse("%{p}." + "x." * 200 + "%{d}").expand_domain(value)
    assert asked == ["d"]


def test_an_explanation_ends_at_its_limit() -> None:
    assert macros.parse("%{d}%{d}%{d}").expand(lambda _: "abc", 4) == "abca"


def test_a_text_knows_its_letters() -> None:
    assert macros.parse("%{D}.%{l1r-}.%%.x").letters == {"d", "l"}
