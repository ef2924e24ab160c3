"""No untrusted input makes a reader see another result than ours in the fields that we write.

HELO, the sender's address and what a record holds stand in them. An attacker needs no message of its own for that, so
the gatekeeper, which looks at what comes in, is of no use here.
"""

import base64
import re
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lab import readers
from spfmilter.addresses import dns_domain
from spfmilter.headers import edits
from spfmilter.model import Disposition, Facts, Identity, Problem, ProblemKind, Result, SkipReason, Verdict
from tests.headers.spellings import OWN
from tests.values import action, check, facts, settings, verdict

BELIEVED = "spf=pass smtp.mailfrom=bank.example"


def encoded(text: str, begin: str = "=?utf-8?q?") -> str:
    """One encoded word, in which all that an address could not hold is encoded."""
    return begin + "".join(c if c.isalnum() or c in "-." else f"={ord(c):02X}" for c in text) + "?="


FIELD = f"\nAuthentication-Results: {OWN}; {BELIEVED}\nX:"
NAMES = [
    encoded(FIELD),
    encoded(FIELD, "?utf-8?q?"),  # behind the = of "helo="
    encoded(FIELD, "=\x80utf-8\x80q\x80"),  # a character that is shown as ?
    encoded(FIELD, "=?utf-8*en?Q?") + ".evil.example",
    f"=?utf-8?b?{base64.b64encode(FIELD.encode()).decode()}?=",
    encoded(f") smtp.mailfrom=b.example; {BELIEVED} ("),
    encoded(f") smtp.mailfrom=b.example; {BELIEVED} (") + ".evil.example",
    encoded(f'"; {BELIEVED} reason="'),
    encoded(f'"; {BELIEVED} reason="') + ".evil.example",
    "a);spf=pass;.evil.example",
    "a);spf=pass(.evil.example",
    'a);spf=pass;x="',
    'a\\);smtp.helo=x;spf=pass smtp.helo="',
    'a";spf=pass;x="b.example',
    ";spf=pass;.evil.example",
    "spf=pass.evil.example",
]
PLACES = ["helo", "helo of a bounce", "domain", "local part", "term", "problem", "explanation"]


def transaction(place: str, name: str) -> tuple[Facts, Verdict]:
    """A message with the attacker's name at one place; its result is not pass."""
    about, checked, more = facts(), check(), dict[str, object]()
    result = Result.SOFTFAIL
    if place == "helo":
        about = facts(helo=name)
    elif place == "helo of a bounce":
        about, result = facts("<>", helo=name), Result.NONE
        checked = check(Identity.HELO, domain=dns_domain(name), as_sent=name)
    elif place == "domain":
        about, checked = facts(f"<u@{name}>"), check(domain=dns_domain(name), as_sent=f"u@{name}")
    elif place == "local part":
        about, checked = facts(f"<{name}@evil.example>"), check(local=name, as_sent=f"{name}@evil.example")
    elif place == "term":
        more["term"] = f"?exists:{name}"
    elif place == "problem":
        result = Result.PERMERROR
        more["problem"] = Problem(kind=ProblemKind.SYNTAX, text=f'no "{name}"', term=name, domain="evil.example")
    else:
        result, more["explanation"] = Result.FAIL, name
    return about, verdict(result, checked.identity, check=checked, **more)


def message(place: str, name: str) -> bytes:
    """All that we write about such a message, above what came in."""
    about, found = transaction(place, name)
    chosen = settings(f"[headers]\nauthserv_id = {OWN}\nskipped = yes")
    change = edits(
        action(Disposition.TAG, found),
        [found],
        about,
        chosen,
        (),
        skip=None,
        subject_fields=(),
        content_type="",
        case="",
    )
    skipped = edits(
        action(Disposition.ACCEPT),
        [],
        about,
        chosen,
        (),
        skip=SkipReason.AUTHENTICATED,
        subject_fields=(),
        content_type="",
        case="",
    )
    fields = "".join(f"{field.name}: {field.value}\n" for field in (*change.insert, *skipped.insert))
    return fields.encode() + b"From: a@evil.example\nSubject: Greetings\n\nHello.\n"


def segments(raw: bytes) -> Iterator[str]:
    """What simple programs see between the semicolons: they decode, and leave comments out in one way or another."""
    for value in message_from_bytes(raw, policy=policy.default).get_all("Authentication-Results", []):
        text = str(value)
        yield from text.split(";")
        yield from re.sub(r"\([^()]*\)", "", text).split(";")
        yield from re.sub(r'"[^"]*"', "", re.sub(r"\([^)]*\)", "", text)).split(";")


def is_harmless(raw: bytes) -> bool:
    """Whether nothing in these fields can be decoded, and no segment is a pass."""
    return b"=?" not in raw and not any(re.match(r"\s*(spf|dkim|dmarc)\s*=\s*pass", part) for part in segments(raw))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_no_name_has_simple_readers_see_a_pass(place: str, name: str) -> None:
    assert is_harmless(message(place, name))


_PIECES = [
    *'=?()\\";, .@_-',
    "=?utf-8?q?",
    "?=",
    "=3D",
    "=0A",
    "spf=pass",
    "dkim=pass",
    "exp=",
    "redirect=",
    "\x80",
    "é",
    "mx.example.net",
]


@given(st.sampled_from(PLACES), st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
@example("helo", "?utf-8?q?spf=3Dpass?=")
def test_no_pieces_of_names_do_either(place: str, name: str) -> None:
    assert is_harmless(message(place, name))


@pytest.mark.outside
@pytest.mark.skipif(bool(readers.no_spamassassin()), reason=readers.no_spamassassin() or "available")
def test_spamassassin_sees_no_pass() -> None:
    cases = [(place, name) for place in PLACES for name in NAMES]
    asked = {f"n{number}": message(*case) for number, case in enumerate(cases)}
    asked["control"] = f"Authentication-Results: {OWN}; {BELIEVED}\n".encode() + asked["n0"]
    assert {cases[int(name[1:])] if name != "control" else name for name in readers.spamassassin(asked)} == {"control"}


def test_honest_names_are_written_as_they_are() -> None:
    raw = message("local part", "bounces+u=example.org").decode().replace("\n ", " ")
    assert 'envelope-from="bounces+u=example.org@evil.example"' in raw
    raw = message("problem", "redirect=_spf.example.com").decode().replace("\n ", " ")
    assert raw.count("redirect=_spf.example.com") > 2
