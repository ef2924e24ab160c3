"""With any untrusted input, the fields that we write are whole, and those that pretend to be ours are known."""

import re

from spfmilter import headers
from spfmilter.addresses import parse_reverse_path
from spfmilter.headers import subjects
from spfmilter.model import Client, Facts, Identity, Problem, ProblemKind, Result
from spfmilter.text import comment, dot_atom_or_quoted, log_value, quoted_string
from tests.values import check, settings, verdict

SETTINGS = settings()
OWN = "mx.example.net"


def one_input(data: bytes) -> None:
    """A choice of result and SMTPUTF8; then HELO, MAIL FROM, term, problem and an incoming field, NULs between them."""
    choice = data[0] if data else 0
    texts = data[1:].decode("utf-8", "surrogateescape").split("\0", 4)
    helo, sender, term, problem, incoming = (*texts, *[""] * (5 - len(texts)))
    result, utf8 = list(Result)[choice % len(Result)], bool(choice & 0x80)
    facts = Facts(
        client=Client(address=check().address),
        helo=helo,
        reverse_path=parse_reverse_path(sender),
        smtputf8=utf8,
        hostname=OWN,
    )
    trouble = Problem(kind=ProblemKind.SYNTAX, text=problem) if choice & 0x40 else None
    verdicts = [
        verdict(result, check=check(identity, as_sent=said, domain=said[:20]), term=term, problem=trouble)
        for identity, said in ((Identity.HELO, helo), (Identity.MAILFROM, sender))
    ]
    for field in headers.result_fields(verdicts, facts, SETTINGS):
        _whole(field.value, utf8=utf8)
        if field.name == headers.AUTHENTICATION_RESULTS:
            assert headers.claims(field.value, OWN)
    assert isinstance(headers.claims(incoming, OWN), bool)
    assert headers.claims(f"{OWN}; {incoming}", OWN)
    for prefix in ("[SPF]", "[垃圾]"):
        for content_type in (incoming, "text/plain; charset=gbk", "text/plain; charset=iso-8859-1"):
            for change in subjects.tagged([(1, incoming)], prefix, content_type)[0]:
                change.value.encode()
                assert subjects.tagged([(1, change.value)], prefix, content_type) == ((), 0)
    for text in (helo, sender, term):
        for made in (comment(text), quoted_string(text), dot_atom_or_quoted(text), log_value(text)):
            assert made.isprintable()
        quoted_string(text, utf8=True).encode()


def _whole(value: str, *, utf8: bool) -> None:
    """Folded lines of a field: nothing ends it early, and its comments and strings end where they should."""
    value.encode("utf-8" if utf8 else "ascii")
    lines = value.split("\n ")
    assert all(line.isprintable() and line.strip() for line in lines)
    assert all(len(line.encode()) < 998 for line in lines)
    flat = re.sub(r"\\.", "", " ".join(lines))
    depth, quoted = 0, False
    for c in flat:
        if c == '"' and not depth:
            quoted = not quoted
        elif not quoted:
            depth += (c == "(") - (c == ")")
            assert 0 <= depth <= 1
    assert (depth, quoted) == (0, False)
