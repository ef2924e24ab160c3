"""What programs that decode header fields make of a message whose forged fields have been removed.

The table is `spellings.txt`. Each reader is asked about all of it at once.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import nsd, opendmarc, readers
from lab.milterclient import MilterClient
from lab.nsd import Nsd
from lab.opendmarc import OpenDmarc
from spfmilter.headers.forged import claims
from tests.headers.python_reader import decoded, exact, generous, taken
from tests.headers.spellings import OWN, Spelling, content, spellings

pytestmark = pytest.mark.outside

ALL = list(spellings())
# Received-SPF and the notice carry no authserv-id: what is read in these is not the question.
RESULTS = [s for s in ALL if b"Results" in s.name.title() or s.kind == "hidden"]


# -- Python's email package --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [exact, generous])
def test_python_takes_no_field_for_ours_that_we_leave(reader: Callable[[str], bool]) -> None:
    deceived = {str(spelling) for spelling in RESULTS if taken(spelling.message, reader)}
    assert len(deceived) > 25, "the reader is none"
    assert not deceived & {str(spelling) for spelling in RESULTS if not spelling.removed and not spelling.refused}


# -- others ------------------------------------------------------------------------------------------------------------


def left(spelling: Spelling) -> bytes:
    """The message with this field as we hand it on, if we do."""
    return content(spelling.domain) if spelling.removed or spelling.refused else spelling.message


def seen(found: set[str]) -> list[str]:
    """The lines of the table that a reader named."""
    return [str(spelling) for spelling in RESULTS if f"n{spelling.line}" in found]


@pytest.mark.skipif(bool(readers.no_sieve()), reason=readers.no_sieve() or "available")
def test_a_sieve_rule_takes_no_field_for_ours_that_we_leave() -> None:
    words = [f"n{spelling.line}" for spelling in RESULTS]
    whole = b"".join(spelling.field for spelling in RESULTS)
    # The last field shows that all of them have been read.
    end = f"Authentication-Results: {OWN}; spf=pass smtp.mailfrom=end.forged.example\n".encode() + content("a.example")
    before = readers.sieve(whole + end, [*words, "end"])
    assert len(before) > 25, "the reader is none"
    kept = b"".join(spelling.field for spelling in RESULTS if not spelling.removed and not spelling.refused)
    after = readers.sieve(kept + end, [*words, "end"])
    assert "end" in before & after
    assert seen(after) == []


@pytest.mark.skipif(bool(readers.no_spamassassin()), reason=readers.no_spamassassin() or "available")
def test_spamassassin_takes_no_field_for_ours_that_we_leave() -> None:
    before = {f"n{spelling.line}": spelling.message for spelling in RESULTS}
    after = {f"after-n{spelling.line}": left(spelling) for spelling in RESULTS}
    found = readers.spamassassin(before | after)
    assert len(found & before.keys()) > 15, "the reader is none"
    assert seen({name.removeprefix("after-") for name in found & after.keys()}) == []


@pytest.fixture(scope="module")
def dmarc() -> Iterator[OpenDmarc]:
    if missing := nsd.unavailable() or opendmarc.unavailable():
        pytest.skip(missing)
    zone = {"forged.example": "@ TXT v=spf1\n"}
    with Nsd(zone, host=nsd.own_address(), port=53) as server, OpenDmarc(server.host) as running:
        yield running


def test_opendmarc_takes_no_field_for_ours_that_we_leave(dmarc: OpenDmarc) -> None:
    found = set()
    for spelling in RESULTS:
        for name, removed in (("n", False), ("after-n", spelling.removed or spelling.refused)):
            queue_id = f"{name}{spelling.line}"
            fields = [("From", f"a@{spelling.domain}")]
            given_field = (spelling.name.rstrip(b" \t"), spelling.value.removeprefix(b" "))
            with MilterClient(dmarc.milter) as mta:
                macros = {"i": queue_id, "j": OWN}
                mta.greet("192.0.2.1", "mail.example", macros=macros)
                mta.deliver(
                    f"<a@{spelling.domain}>",
                    ["<b@example.net>"],
                    fields if removed else [given_field, *fields],
                    macros=macros,
                )
                mta.quit()
            if dmarc.assessment(queue_id).spf == "pass":
                found.add(queue_id)
    assert len([name for name in found if not name.startswith("after-")]) > 10, "the reader is none"
    assert seen({name.removeprefix("after-") for name in found if name.startswith("after-")}) == []


# -- mutations ---------------------------------------------------------------------------------------------------------

_NOISE = st.sampled_from([
    *" \t().,;:\"\\'/=?<>@[]-_", "\n ", "\r", "\r\n ", "=?utf-8?q?", "?=", "=?utf-8?b?", "=2E", "=0A", "_", "1", "a",
    "()", "(a)", "\u00a0", "\u00ad", "\u200b", "\u200d", "\u2028", "\u3000", "\u3002", "\uff0e", "\uff4d", "\ufeff",
    "\u0301", "\x00", "\x01", "\x0b", "\x1c", "\x7f", "\x85", "\udc85", "\udca0", "\udcff", "relay.example.org", "mx",
    OWN, "i=1;",
])  # fmt: skip
_BASE = st.sampled_from([f"{OWN}; spf=pass", f"relay.example.org; spf=pass ({OWN}; spf=pass)", f'"{OWN}"; spf=pass'])


@given(_BASE, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), _NOISE), max_size=5))
def test_however_a_spelling_is_changed_python_takes_none_for_ours_that_we_leave(
    value: str, changes: list[tuple[int, int, str]]
) -> None:
    for place, cut, noise in changes:
        value = value[:place] + noise + value[place + cut :]
    value = value.lstrip("\r\n ")  # or what follows would be a folded line of the field before, or none
    raw = b"Authentication-Results: " + value.encode("utf-8", "surrogateescape") + b"\n" + content("a.example")
    assert claims(value, OWN) or not (taken(raw, exact) or taken(raw, generous)), decoded(raw)
