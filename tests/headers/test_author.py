"""The author's domain: read where OpenDMARC, Python and a strict reader of the RFC's grammar see the same one."""

import random
import re
from collections.abc import Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import nsd, opendmarc
from lab.milterclient import MilterClient
from lab.nsd import Nsd
from lab.opendmarc import OpenDmarc
from spfmilter.headers import author_domain

CORP, OTHER = "corp.example", "other.example"


@pytest.mark.parametrize(
    ("field", "domain"),
    [
        ("ann@example.com", "example.com"),
        ("<ann@example.com>", "example.com"),
        ("Ann <ann@Example.COM>", "example.com"),
        ('"Ann, of (x) <y@z>" <ann@example.com> (a comment)', "example.com"),
        ("J. Doe\n <ann@example.com>", "example.com"),
        ("J. Doe\r\n\t<ann@example.com>", "example.com"),
        ("=?utf-8?b?5L2g5aW9?= <ann@xn--bcher-kva.example>", "xn--bcher-kva.example"),
        ("Bücher <bücher@example.com>", "example.com"),
        ("ann@example.com (Ann)", "example.com"),
        # RFC 5322 section 3.4: comments anywhere, also nested, and a quoted local part
        ("John Smith (Sales) <john@corp.test>", "corp.test"),
        ("john@corp.test (John (jr) Smith)", "corp.test"),
        (r"john@corp.test (a smile :\))", "corp.test"),
        ("John (john@other.test) <john@corp.test>", "corp.test"),
        ("(a) john (b) @(c)corp.test (d)", "corp.test"),
        ("John < john @ corp.test >", "corp.test"),
        ('"j s"@corp.test', "corp.test"),
        ('"J. \\"Jay\\" Smith" <"j.s"@corp.test>', "corp.test"),
        ("list+john=other.test@corp.test", "corp.test"),
        # Illegal and common
        ("john@corp.test <john@corp.test>", "corp.test"),
        ("john@CORP.test<john@corp.test>", "corp.test"),
        ("John via list@corp.test <john@corp.test>", "corp.test"),
        ("Corp: Support <a@corp.test>", "corp.test"),
        ("[JIRA] Bot <a@corp.test>", "corp.test"),
        ("Bot [JIRA] (x) <a@corp.test>", "corp.test"),
        ("J. R. Smith <john..smith.@corp.test>", "corp.test"),
        # No reading that all share
        ("john@other.test <john@corp.test>", ""),
        ("john@corp.test.other.test <john@corp.test>", ""),
        ("john@corp.testx <john@corp.test>", ""),
        ("john@corp.test:x <john@corp.test>", ""),
        ("A: B: john <john@corp.test>", ""),
        ("[john@other.test] <john@corp.test>", ""),
        ("Smith, John <john@corp.test>", ""),
        ("Smith; John <john@corp.test>", ""),
        ("John \\ Smith <john@corp.test>", ""),
        ('John" Smith <john@corp.test>', ""),
        ('John (12" vinyl) <john@corp.test>', ""),
        ('"a smile :)" <john@corp.test>', ""),
        ("John (jr <john@corp.test>", ""),
        ("<john@corp.test> John", ""),
        ("<<john@corp.test>>", ""),
        ("<@other.test:john@corp.test>", ""),
        ("john@corp.(x)test", ""),
        ("john@ corp.test", ""),  # OpenDMARC looks for the name with a blank before it
        ("john@corp .test", ""),
        ("john@corp.test.", ""),
        ("John\n<john@corp.test>", ""),
        ("John\r <john@corp.test>", ""),
        ("John\x00 <john@corp.test>", ""),
        ("(" * 9 + ")" * 9 + "john@corp.test", ""),
        ("ann@bücher.example", ""),  # a DMARC filter may look it up as it stands, and find nothing
        ("ann@ex\u00adample.com", ""),  # UTS 46 would leave the soft hyphen out
        ("ann@\uff45xample.com", ""),
        ("ann@example\u3002com", ""),
        ("ann@example.com, joe@example.org", ""),
        ("Ann <ann@example.com>, Joe <joe@example.org>", ""),
        ("friends: ann@example.com;", ""),
        ("ann@example.com@example.org", ""),
        ("<ann@example.com> <joe@example.org>", ""),
        ('"ann@example.org"@example.com', ""),  # right, but seldom, and read in more than one way
        ("Ann <ann@example.com", ""),
        ("Ann (<x@y.example> <ann@example.com>", ""),
        ("ann@localhost", ""),
        ("ann@[192.0.2.1]", ""),
        ("", ""),
    ],
)
def test_the_author_is_read_where_every_reader_sees_the_same_domain(field: str, domain: str) -> None:
    assert author_domain([field]) == domain
    assert author_domain([field, field]) == ""


# -- other readers -----------------------------------------------------------------------------------------------------

# A strict reader: the grammar of RFC 5322 sections 3.2 and 3.4, without its obsolete forms, for one mailbox.
_CTEXT = r"[!-'*-\[\]-~\x80-\U0010ffff \t\r\n]|\\[ -~\t]"
_COMMENT = rf"\((?:{_CTEXT})*+\)"
for _ in range(4):
    _COMMENT = rf"\((?:{_CTEXT}|{_COMMENT})*+\)"
_CFWS = rf"(?:[ \t\r\n]|{_COMMENT})*+"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]"
_DOT_ATOM = rf"{_ATEXT}++(?:\.{_ATEXT}++)*+"
_QUOTED = r'"(?:[!#-\[\]-~\x80-\U0010ffff \t\r\n]|\\[ -~\t])*+"'
_ADDRESS = rf"{_CFWS}(?:{_DOT_ATOM}|{_QUOTED}){_CFWS}@{_CFWS}({_DOT_ATOM}){_CFWS}"
_PHRASE = rf"{_CFWS}(?:(?:{_ATEXT}++|{_QUOTED}){_CFWS})*+"
_STRICT = re.compile(rf"{_ADDRESS}|{_PHRASE}<{_ADDRESS}>{_CFWS}")


def strict(field: str) -> set[str]:
    """Return the domain by the RFC's grammar; empty: the field is illegal."""
    found = _STRICT.fullmatch(field)
    return {(found[1] or found[2]).lower()} if found is not None else set()


def _addresses(field: str) -> list[tuple[str, str]]:
    """Return what getaddresses() reads: as before CVE-2023-27043, and strictly where this Python does so by default."""
    found = getaddresses([field])
    with suppress(TypeError):  # an older Python knows no strict reading
        found += getaddresses([field], strict=False)  # type: ignore[call-arg, unused-ignore]
    return found


def python(field: str) -> set[str]:
    """Return the domains that Python's two readers see in a field."""
    raw = b"From: " + field.encode("utf-8", "surrogateescape") + b"\n\n"
    domains = {address.rpartition("@")[2] for _, address in _addresses(field) if "@" in address}
    with suppress(AttributeError):  # the parser of Python 3.11.2 fails for a phrase that begins with a dot
        domains |= {address.domain for address in message_from_bytes(raw, policy=policy.default)["from"].addresses}
    return {domain.lower() for domain in domains if domain}


_WORD = st.sampled_from(["John", "J.R.", "Smith's", "=?utf-8?q?J=2E?=", "Bücher", "用户", "a=b", "A/B"])
_BLANK = st.sampled_from(["", " ", "\t", "\n ", "\r\n\t", "  "])
_COMMENTS = st.recursive(
    st.sampled_from(["(x)", "()", "(x, y)", f"(b@{OTHER})", r"(\))", "(<a>)", "(x: y;)", "(Größe)"]),
    lambda inner: st.lists(inner, min_size=1, max_size=2).map(lambda parts: f"(z {' '.join(parts)})"),
    max_leaves=3,
)
_CFWS_PARTS = st.lists(st.one_of(_BLANK, _COMMENTS), max_size=3).map("".join)
_QUOTES = st.sampled_from(['"J"', '"Smith, John"', '"x (y)"', r'"a \"b\" c"', f'"<b@{OTHER}>"', '"a: b; c"', '"[x]"'])
_LOCALS = st.sampled_from(["john", "j.s", "list+b=c", '"j s"', '"j.s"', "Jürgen", "j/s", "o'neil"])


@st.composite
def legal(draw) -> str:
    """Make a From field with one mailbox at CORP by the grammar of RFC 5322 section 3.4."""
    local = f"{draw(_CFWS_PARTS)}{draw(_LOCALS)}{draw(_CFWS_PARTS)}"
    if draw(st.booleans()):  # OpenDMARC reads no blank behind the "@"
        return f"{local}@{draw(_COMMENTS)}{CORP}{draw(_CFWS_PARTS)}".strip()
    address = f"{local}@{draw(_CFWS_PARTS)}{CORP}{draw(_CFWS_PARTS)}"
    words = draw(st.lists(st.one_of(_WORD.filter(lambda word: "." not in word), _QUOTES, _COMMENTS), max_size=4))
    return f"{' '.join(words)} <{address}>{draw(_CFWS_PARTS)}".strip()


@given(legal())
def test_a_legal_field_is_read_as_others_read_it(field: str) -> None:
    assert author_domain([field]) == CORP
    assert strict(field) == python(field) == {CORP}


_PIECES = st.sampled_from([
    *'ab@.<>(),:;"\\ \t[]=?', "\n ", "\r\n ", "\n", "\r", "\x00", "\x0b", "\x85", "\u00a0", "\u2028", "\udcff",
    "\u00fc",
    f"a@{CORP}", f"<a@{CORP}>", f"b@{OTHER}", f"<b@{OTHER}>", "(x)", '"x"', "[x]", "=?utf-8?q?=40?=", f"@{OTHER}:",
    "=?", "?=",
])  # fmt: skip
_BASES = [
    f"a@{CORP}", f"<a@{CORP}>", f"John <a@{CORP}>", f'"John" <a@{CORP}> (x)', f"a@{CORP} <a@{CORP}>",
    f"Corp: Support <a@{CORP}>", f"[JIRA] Bot <a@{CORP}>", f"John (Sales) <a@{CORP}>", f'"j s"@{CORP}',
    f"a@{CORP} (John (jr) Smith)",
]  # fmt: skip


def changed(base: str, changes: list[tuple[int, int, str]]) -> str:
    for place, cut, piece in changes:
        base = base[:place] + piece + base[place + cut :]
    return base.strip()


@given(st.sampled_from(_BASES), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2), _PIECES), max_size=4))
def test_what_is_read_is_read_by_others_in_no_other_way(base: str, changes: list[tuple[int, int, str]]) -> None:
    field = changed(base, changes)
    domain = author_domain([field])
    if domain:
        assert python(field) | strict(field) == {domain}


@given(st.text(alphabet='ab@.<>(),:;"\\ \n=?[]', max_size=60))
def test_an_author_that_is_read_is_one_that_others_read_too(field: str) -> None:
    domain = author_domain([field])
    if domain:
        assert python(field.strip()) | strict(field.strip()) == {domain}


# -- OpenDMARC ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dmarc() -> Iterator[OpenDmarc]:
    if missing := nsd.unavailable() or opendmarc.unavailable():
        pytest.skip(missing)
    zones = dict.fromkeys((CORP, OTHER), '_dmarc TXT "v=DMARC1; p=none"')
    with Nsd(zones, host=nsd.own_address(), port=53) as server, OpenDmarc(server.host) as running:
        yield running


def fields() -> list[str]:
    """Return fields that we read: each base, changed in every way that a fixed sequence of choices leads to."""
    chance, found = random.Random(5322), dict.fromkeys(_BASES)  # noqa: S311 - the same fields at each run
    pieces = [
        *' \t()<>[]:".,ab@=?',
        "\n ",
        "(x)",
        "(x, y)",
        '"x, (y)"',
        '"x"',
        "[x]",
        f"a@{CORP}",
        f"b@{OTHER}",
        "\u00fc",
    ]
    while len(found) < 600:
        count = chance.randint(1, 4)
        changes = [(chance.randint(0, 40), chance.randint(0, 2), chance.choice(pieces)) for _ in range(count)]
        field = changed(chance.choice(_BASES), changes)
        if author_domain([field]):
            found[field] = None
    return list(found)


@pytest.mark.outside
def test_opendmarc_reads_the_same_domain(dmarc: OpenDmarc) -> None:
    read = fields()
    for place, field in enumerate(read):
        with MilterClient(dmarc.milter) as mta:
            macros = {"i": f"read{place}", "j": "mx.example.net"}
            mta.greet("192.0.2.1", "mail.example", macros=macros)
            mta.deliver("<a@envelope.example>", ["<b@example.net>"], [("From", field)], macros=macros)
            mta.quit()
    theirs = {field: dmarc.assessment(f"read{place}").author for place, field in enumerate(read)}
    assert theirs == {field: author_domain([field]) for field in read}
