"""The DMARC record that applies to a domain, and what it asks for: two kept tables, and two filters beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dmarc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import opendmarc
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation import treewalk
from spfmilter.model import DmarcPolicy

MILDEST_FIRST = ("none", "quarantine", "reject")


class World:
    """Answers from a table of TXT records at ``_dmarc``; a domain exists if it is named; counts the questions."""

    def __init__(self, records: Mapping[str, Sequence[str] | None], exist: Sequence[str] = ()) -> None:
        """Args: records: by the domain above ``_dmarc``; None: the lookup fails. exist: domains with an address."""
        self._records, self._exist = records, exist
        self.asked: list[str] = []

    def ask(self, name: str, rdtype: Type) -> Answer:
        """See ``treewalk.Ask``."""
        self.asked.append(f"{name} {rdtype.name}")
        if rdtype is not Type.TXT:
            return Answer(Status.DATA, (b"\xc0\0\2\1",)) if name in self._exist else Answer(Status.NO_NAME)
        texts = self._records.get(name.removeprefix("_dmarc."), ())
        if texts is None:
            return Answer(Status.FAILED, failure="timeout")
        return Answer(Status.DATA, tuple(text.encode() for text in texts)) if texts else Answer(Status.NO_NAME)


def policy(domain: str, records: Mapping[str, Sequence[str] | None], exist: Sequence[str] = ()) -> DmarcPolicy | None:
    return treewalk.policy(domain, World(records, exist).ask)


def said(found: DmarcPolicy | None) -> str:
    return "-" if found is None else found.policy


# -- what a record says ------------------------------------------------------------------------------------------------


def table() -> list[tuple[str, str, str]]:
    """Return the lines of the table: the policy of the domain, those below it, the record."""
    lines = (Path(__file__).parent / "dmarc_records.txt").read_text().splitlines()
    cells = (line.split("|", 2) for line in lines if line and not line.startswith("#"))
    return [(own.strip(), below.strip(), record.strip()) for own, below, record in cells]


@pytest.mark.parametrize(("own", "below", "record"), table())
def test_a_record_asks_for_what_every_filter_does(own: str, below: str, record: str) -> None:
    records = {"example.com": [record]}
    assert said(policy("example.com", records)) == own
    exist = ["news.example.com"]
    assert " ".join(said(policy(f"{name}.example.com", records, exist)) for name in ("news", "gone")) == below


def test_a_record_that_is_too_long_asks_for_nothing() -> None:
    """A tag behind the end could say t=y."""
    long = f"v=DMARC1; p=reject; rua=mailto:{'a' * 5000}@example.com"
    assert policy("example.com", {"example.com": [long]}) == DmarcPolicy(
        domain="example.com", policy="none", reason="its length"
    )


def by_opendmarc(record: str, *, below: bool = False) -> str:
    """Return what OpenDMARC's library does with mail from the domain, or from one below it."""
    return opendmarc.disposition(record, "news.example.com" if below else "example.com", "example.com")


def by_pydmarc(record: str, *, below: bool = False) -> str:
    """Return what the milter of the package dmarc does."""
    try:
        found = dmarc.DMARCPolicy(
            record, "news.example.com" if below else "example.com", "example.com" if below else None
        )
        found.verify(auth_results=[], allow_policy_test_mode=True)
    except dmarc.RecordSyntaxError:
        return "none"
    except dmarc.PolicyNoneError:
        return "none"
    except dmarc.PolicyQuarantineError:
        return "quarantine"
    except dmarc.PolicyRejectError:
        return "reject"
    raise AssertionError(record)


FILTERS = [
    pytest.param(by_pydmarc, id="dmarc"),
    pytest.param(
        by_opendmarc,
        id="OpenDMARC",
        marks=pytest.mark.skipif(bool(opendmarc.no_library()), reason=opendmarc.no_library() or "available"),
    ),
]


def milder_or_equal(ours: str, theirs: str) -> bool:
    return MILDEST_FIRST.index(ours.replace("-", "none")) <= MILDEST_FIRST.index(theirs)


@pytest.mark.parametrize("read", FILTERS)
def test_no_filter_does_less_than_the_table_says(read) -> None:
    for own, below, record in table():
        assert milder_or_equal(own, read(record)), record
        assert milder_or_equal(below.split()[0], read(record, below=True)), record


@pytest.mark.parametrize("read", FILTERS)
def test_a_filter_does_what_the_table_says_where_nothing_is_in_dispute(read) -> None:
    plain = [line for line in table()[:7] if line[0] != "-"]
    assert [read(record) for _, _, record in plain] == [own for own, _, _ in plain]


_WORDS = st.sampled_from(["none", "quarantine", "reject", "Reject", "maybe", "", "n", "r"])
_TAGS = st.one_of(
    st.tuples(st.sampled_from(["p", "P", "sp", "np"]), _WORDS),
    st.tuples(st.sampled_from(["t", "psd", "T"]), st.sampled_from(["y", "n", "u", "Y", "", "yes"])),
    st.tuples(st.just("pct"), st.sampled_from(["0", "00", "1", "100", "0100", "50%", "-1", "+0", "abc", "", "1000"])),
    st.tuples(
        st.sampled_from(["adkim", "aspf", "fo", "rf", "ri", "rua", "ruf", "x"]),
        st.sampled_from(["r", "s", "1", "0:d", "afrf", "iodef", "mailto:a@example.com", "3600", "", "?", "v=DMARC1"]),
    ),
)
_PARTS = st.one_of(
    _TAGS.map("=".join),
    st.tuples(_TAGS, st.sampled_from(["{} = {}", " {}={} ", "{}\t=\t{}", "{}=={}", "{}", "={}"])).map(
        lambda both: both[1].format(*both[0])
    ),
    st.sampled_from(["", " ", "junk", "v=DMARC1"]),
)


@given(
    st.sampled_from(["v=DMARC1", "v = DMARC1", "V=DMARC1", " v=DMARC1 ", "v=DMARC1 "]),
    st.lists(_PARTS, max_size=6),
    st.sampled_from(["; ", ";", " ; "]),
    st.sampled_from(["", ";", " ; "]),
)
def test_no_filter_does_less_than_we_expect_whatever_the_record(
    version: str, parts: list[str], between: str, end: str
) -> None:
    record = between.join([version, *parts]) + end
    for below in (False, True):
        ours = said(policy("news.example.com" if below else "example.com", {"example.com": [record]}))
        assert milder_or_equal(ours, by_pydmarc(record, below=below))
        if not opendmarc.no_library():
            assert milder_or_equal(ours, by_opendmarc(record, below=below))


@given(st.binary(max_size=200))
def test_any_bytes_are_read(text: bytes) -> None:
    for record in (text, b"v=DMARC1;" + text, b"v=DMARC1; p=reject; " + text):
        found = treewalk.parse(record)
        assert found is None or {found.p, found.sp, found.np} <= set(MILDEST_FIRST)


# -- where it is -------------------------------------------------------------------------------------------------------

REJECT, NONE = "v=DMARC1; p=reject", "v=DMARC1; p=none"
PUBLIC = "v=DMARC1; p=reject; psd=y"
OWNER = "v=DMARC1; p=reject; psd=n"


@pytest.mark.parametrize(
    ("domain", "names"),
    [
        ("com", "com"),
        ("example.com", "example.com com"),
        ("a.b.example.com", "a.b.example.com b.example.com example.com com"),
        # RFC 9989 section 4.10: eight labels are walked one by one; of more, the last seven after the name itself
        (
            "a.b.c.d.e.f.g.com",
            "a.b.c.d.e.f.g.com b.c.d.e.f.g.com c.d.e.f.g.com d.e.f.g.com e.f.g.com f.g.com g.com com",
        ),
        (
            "z.a.b.c.d.e.f.com",
            "z.a.b.c.d.e.f.com a.b.c.d.e.f.com b.c.d.e.f.com c.d.e.f.com d.e.f.com e.f.com f.com com",
        ),
        (
            "y.z.a.b.c.d.e.f.com",
            "y.z.a.b.c.d.e.f.com a.b.c.d.e.f.com b.c.d.e.f.com c.d.e.f.com d.e.f.com e.f.com f.com com",
        ),
    ],
)
def test_the_walk_has_eight_names_at_most(domain: str, names: str) -> None:
    assert treewalk.walk(domain) == tuple(names.split())
    assert len(treewalk.walk(f"{'x.' * 100}{domain}")) == 8


@pytest.mark.parametrize(
    ("domain", "records", "found"),
    [
        # The domain's own record counts, whatever is above it.
        ("a.example.com", {"a.example.com": [REJECT], "example.com": [NONE]}, "a.example.com reject"),
        ("a.example.com", {"a.example.com": [NONE], "example.com": [REJECT]}, "a.example.com none"),
        ("bank", {"bank": [PUBLIC]}, "bank reject"),
        # Above it, the one with the fewest labels.
        ("a.b.example.com", {"example.com": [REJECT]}, "example.com reject"),
        ("a.b.example.com", {"b.example.com": [REJECT]}, "b.example.com reject"),
        ("a.b.example.com", {"b.example.com": [NONE], "example.com": [REJECT]}, "example.com reject"),
        ("a.b.example.com", {"b.example.com": [REJECT], "example.com": [NONE]}, "example.com none"),
        ("z.a.b.c.d.e.f.example.com", {"a.b.c.d.e.f.example.com": [REJECT]}, "-"),  # not on the walk
        ("z.a.b.c.d.e.f.example.com", {"b.c.d.e.f.example.com": [REJECT]}, "b.c.d.e.f.example.com reject"),
        # psd=y: the domain below it is the organizational one.
        ("a.b.example.bank", {"bank": [PUBLIC], "example.bank": [REJECT]}, "example.bank reject"),
        ("a.b.example.bank", {"bank": [PUBLIC], "example.bank": [NONE]}, "example.bank none"),
        ("a.b.example.co.uk", {"uk": [REJECT], "co.uk": [PUBLIC], "example.co.uk": [REJECT]}, "example.co.uk reject"),
        # The record of a public suffix: filters of RFC 7489 do not look for it.
        ("example.bank", {"bank": [PUBLIC]}, "bank none"),
        ("a.b.example.bank", {"bank": [PUBLIC], "b.example.bank": [REJECT]}, "bank none"),
        ("a.example.com", {"com": [REJECT]}, "com none"),
        ("a.example.com", {"com": [NONE], "example.com": [REJECT]}, "com none"),
        # psd=n: this is the organizational domain. To filters of RFC 7489 it is the one above it.
        ("a.b.example.com", {"b.example.com": [OWNER]}, "b.example.com reject"),
        ("a.b.example.com", {"b.example.com": [OWNER], "example.com": [REJECT]}, "b.example.com reject"),
        ("a.b.example.com", {"b.example.com": [OWNER], "example.com": [NONE]}, "example.com none"),
        ("a.example.co.uk", {"example.co.uk": [OWNER], "uk": [NONE]}, "example.co.uk reject"),
        # Several records are none by RFC 9989, and the end by RFC 7489.
        ("example.com", {"example.com": [REJECT, REJECT]}, "example.com none"),
        ("a.example.com", {"a.example.com": [REJECT, NONE], "example.com": [REJECT]}, "a.example.com none"),
        ("a.example.com", {"example.com": [REJECT, NONE]}, "example.com none"),
        ("a.example.com", {"example.com": [REJECT, "hello"]}, "example.com reject"),
        # A lookup that fails could have brought the record that counts.
        ("a.b.example.com", {"b.example.com": None, "example.com": [REJECT]}, "-"),
        ("a.b.example.com", {"com": None, "example.com": [REJECT]}, "-"),
        ("a.example.com", {"a.example.com": [REJECT], "example.com": None}, "a.example.com reject"),
        ("a.example.com", {}, "-"),
    ],
)  # fmt: skip
def test_the_record_is_that_of_the_domain_or_of_its_organizational_domain(
    domain: str, records: Mapping[str, Sequence[str] | None], found: str
) -> None:
    result = policy(domain, records, [domain])
    assert (f"{result.domain} {result.policy}" if result is not None else "-") == found


def test_whether_the_domain_exists_is_asked_only_where_np_is_milder() -> None:
    for record, questions in (
        (REJECT, 3),
        (f"{REJECT}; np=reject", 3),
        ("v=DMARC1; p=none; np=reject", 3),
        (f"{REJECT}; np=none", 6),
    ):
        world = World({"example.com": [record]})
        treewalk.policy("a.example.com", world.ask)
        assert len(world.asked) == questions, world.asked


_NAMES = ["e.d.c.b.a", "d.c.b.a", "c.b.a", "b.a", "a"]
_RECORDS = st.sampled_from([REJECT, NONE, PUBLIC, OWNER, f"{NONE}; psd=y", f"{NONE}; psd=n", "v=DMARC1; p=quarantine"])


@given(st.dictionaries(st.sampled_from(_NAMES[1:]), st.lists(_RECORDS, min_size=1, max_size=1), max_size=4))
def test_a_policy_is_never_stricter_than_that_of_either_standard(records: dict[str, list[str]]) -> None:
    """Both are written down here once more, as straight as the RFCs have them; any name can be on the suffix list."""
    world = World(records)
    found = treewalk.policy(_NAMES[0], world.ask)
    assert len(world.asked) <= 8 + 3
    assert MILDEST_FIRST.index(said(found).replace("-", "none")) <= MILDEST_FIRST.index(by_the_walk(records))
    if found is not None and found.policy != "none":
        assert found.domain in records


def by_the_walk(records: Mapping[str, list[str]]) -> str:
    """Return the policy for the longest name by RFC 9989 sections 4.10.1 and 4.10.2."""
    at = {name: records[name][0] for name in _NAMES if name in records}
    organization, suffix = "", ""
    for place, name in enumerate(_NAMES):
        if "psd=n" in at.get(name, ""):
            organization = name
            break
        if "psd=y" in at.get(name, ""):
            organization, suffix = _NAMES[place - 1], name
            break
    else:
        organization = min(at, key=len, default="")
    record = at.get(organization, at.get(suffix, "p=none"))
    return record.partition("p=")[2].partition(";")[0]


@pytest.mark.parametrize(
    ("domain", "records", "owner"),
    [
        ("mail.example.com", {"example.com": [NONE]}, "example.com"),
        ("mail.example.com", {}, "mail.example.com"),
        ("mail.example.com", {"mail.example.com": [NONE]}, "mail.example.com"),
        ("mail.example.com", {"com": None}, "mail.example.com"),
        ("mail.example.com", {"com": [NONE]}, "mail.example.com"),  # a registry that does not say psd=y
        ("mail.example.com", {"com": [PUBLIC]}, "example.com"),
        ("a.shop.co.uk", {"co.uk": [PUBLIC]}, "shop.co.uk"),
        ("a.b.example.com", {"b.example.com": [OWNER], "example.com": [NONE]}, "b.example.com"),
    ],
)
def test_the_organizational_domain(domain: str, records: Mapping[str, Sequence[str] | None], owner: str) -> None:
    assert treewalk.organizational(domain, World(records).ask) == owner
