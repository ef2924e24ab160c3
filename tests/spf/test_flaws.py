"""Records as people publish them: what is wrong, what to write instead, and that no correction breaks a record."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spfmilter.model import Result
from spfmilter.spf import flaws, record
from spfmilter.spf.flaws import Flaw, FlawKind, Seen, flaws_of, meant_record, mended
from tests.cost import ALLOWED, cpu
from tests.evaluation.world import check, ours

DOMAIN = "e.example"
ADD = Seen(adds=("ip4:192.0.2.1",))
NBSP, ZERO_WIDTH = "\u00a0", "\u200b"


def told(text: str, seen: Seen = flaws.NOTHING_SEEN) -> list[tuple[str, str, str]]:
    return [(flaw.kind.value, flaw.term, flaw.instead) for flaw in flaws_of(text, DOMAIN, seen)]


# The text, the kind of its first flaw, what is wrong, what to write instead, and the record as it is meant, where a
# single replacement does not make it.
MISSPELLED: list[tuple[str, ...]] = [
    # the address or domain is apart from its name
    ("v=spf1 ip4: 192.0.2.1 -all", "near-miss", "ip4: 192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ip4 192.0.2.1 -all", "near-miss", "ip4 192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 +ip4 192.0.2.1 ~all", "near-miss", "+ip4 192.0.2.1", "+ip4:192.0.2.1"),
    ("v=spf1 ip4 : 192.0.2.1 -all", "near-miss", "ip4 : 192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ip4:192.0.2.0 /24 -all", "near-miss", "ip4:192.0.2.0 /24", "ip4:192.0.2.0/24"),
    ("v=spf1 ip4:192.0.2.0/ 24 -all", "near-miss", "ip4:192.0.2.0/ 24", "ip4:192.0.2.0/24"),
    ("v=spf1 include: a.example -all", "near-miss", "include: a.example", "include:a.example"),
    ("v=spf1 include a.example -all", "near-miss", "include a.example", "include:a.example"),
    ("v=spf1 mx - all", "near-miss", "- all", "-all"),
    ("v=spf1 redirect =a.example", "near-miss", "redirect =a.example", "redirect=a.example"),
    # another name
    ("v=spf1 ip:192.0.2.1 -all", "near-miss", "ip:192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ipv4:192.0.2.1 -all", "near-miss", "ipv4:192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ip:2001:db8::1 -all", "near-miss", "ip:2001:db8::1", "ip6:2001:db8::1"),
    ("v=spf1 ip4:2001:db8::1 -all", "near-miss", "ip4:2001:db8::1", "ip6:2001:db8::1"),
    ("v=spf1 ip6:192.0.2.1 -all", "near-miss", "ip6:192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 a:192.0.2.1 -all", "near-miss", "a:192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 192.0.2.1 -all", "near-miss", "192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ip4:mail.a.example -all", "near-miss", "ip4:mail.a.example", "a:mail.a.example"),
    ("v=spf1 _spf.a.example -all", "near-miss", "_spf.a.example", "include:_spf.a.example"),
    ("v=spf1 inlcude:a.example -all", "near-miss", "inlcude:a.example", "include:a.example"),
    ("v=spf1 mx -al", "near-miss", "-al", "-all"),
    ("v=spf1 redirect:a.example", "near-miss", "redirect:a.example", "redirect=a.example"),
    ("v=spf1 include:https://a.example -all", "near-miss", "include:https://a.example", "include:a.example"),
    ("v=spf1 include:include:a.example -all", "near-miss", "include:include:a.example", "include:a.example"),
    ("v=spf1 ip4:192.0.2.0/255.255.255.0 -all", "near-miss", "ip4:192.0.2.0/255.255.255.0", "ip4:192.0.2.0/24"),
    ("v=spf1 ip4:192.0.2.001 -all", "near-miss", "ip4:192.0.2.001", "ip4:192.0.2.1"),
    ("v=spf1 mx --all", "near-miss", "--all", "-all"),
    # a character too many
    ("v=spf1 mx ~all;", "near-miss", "~all;", "~all"),
    ("v=spf1 include:a.example, -all", "near-miss", "include:a.example,", "include:a.example"),
    ("v=spf1 mx -all.", "near-miss", "-all.", "-all"),
    ('v=spf1 mx -all"', "near-miss", '-all"', "-all"),
    ("v=spf1 v=spf1 mx -all", "near-miss", "v=spf1 v=spf1", "v=spf1"),
    # characters that are not ASCII
    ("v=spf1 mx\u00a0-all", "characters", "mx\u00a0-all", "mx -all"),
    ("v=spf1 ip4:192.0.2.1\u200b -all", "characters", "ip4:192.0.2.1\u200b", "ip4:192.0.2.1"),
    ("v=spf1 mx –all", "characters", "–all", "-all"),
    ("v=spf1 ip4：192.0.2.1 ～all", "characters", "ip4：192.0.2.1", "ip4:192.0.2.1", "v=spf1 ip4:192.0.2.1 ~all"),
    ("v=spf1 mx -all”", "characters", "-all”", "-all"),
    ("v=spf1 mx\t-all", "characters", "mx\t-all", "mx -all"),
    ("v=spf1 mx \x96all", "characters", "\x96all", "-all"),
    ("v=spf1 include:müller.example -all", "characters", "include:müller.example", "include:xn--mller-kva.example"),
    # a blank too few
    (
        "v=spf1 ip4:192.0.2.1include:a.example -all", "joined",
        "ip4:192.0.2.1include:a.example", "ip4:192.0.2.1 include:a.example",
    ),
    (
        "v=spf1 include:a.exampleinclude:b.example -all", "joined",
        "include:a.exampleinclude:b.example", "include:a.example include:b.example",
    ),
    ("v=spf1 include:a.example-all", "joined", "include:a.example-all", "include:a.example -all"),
    ("v=spf1 ip4:192.0.2.1a mx -all", "joined", "ip4:192.0.2.1a", "ip4:192.0.2.1 a"),
    ("v=spf1 ip4:192.0.2.1,192.0.2.2 -all", "joined", "ip4:192.0.2.1,192.0.2.2", "ip4:192.0.2.1 ip4:192.0.2.2"),
    # nothing behind the name
    ("v=spf1 ip4: -all", "incomplete", "ip4:", ""),
    ("v=spf1 ip4:/24 -all", "incomplete", "ip4:/24", ""),
    ("v=spf1 include: -all", "incomplete", "include:", ""),
    ("v=spf1 mx redirect=", "incomplete", "redirect=", ""),
    # an unknown modifier
    ("v=spf1 ip4=192.0.2.1 -all", "unknown-modifier", "ip4=192.0.2.1", "ip4:192.0.2.1"),
    ("v=spf1 ip6=::1 -all", "unknown-modifier", "ip6=::1", "ip6:::1"),
    ("v=spf1 include=a.example -all", "unknown-modifier", "include=a.example", "include:a.example"),
    ("v=spf1 a=a.example -all", "unknown-modifier", "a=a.example", "a:a.example"),
    ("v=spf1 mx=a.example -all", "unknown-modifier", "mx=a.example", "mx:a.example"),
    ("v=spf1 exists=%{i}.a.example -all", "unknown-modifier", "exists=%{i}.a.example", "exists:%{i}.a.example"),
    # another record
    (
        "v=spf1 mx -all v=DMARC1; p=none; rua=mailto:a@b.example", "dmarc",
        "v=DMARC1; p=none; rua=mailto:a@b.example", "",
    ),
    ("v=spf1 mx -all v=spf1 a ~all", "two-records", "v=spf1", "", "v=spf1 mx a -all"),
    ("v=spf1 mx -allv=spf1 a ~all", "two-records", "-allv=spf1", "-all", "v=spf1 mx a -all"),
    ("v=spf1 mx include:e.example -all", "itself", "include:e.example", ""),
    # no effect
    (
        "v=spf1 mx -all ip4:192.0.2.1", "behind-all",
        "ip4:192.0.2.1", "ip4:192.0.2.1 -all", "v=spf1 mx ip4:192.0.2.1 -all",
    ),
    (
        "v=spf1 -all include:a.example mx", "behind-all",
        "include:a.example mx", "include:a.example mx -all", "v=spf1 include:a.example mx -all",
    ),
    ("v=spf1 redirect=a.example -all", "redirect-beside-all", "-all", ""),
    ("v=spf1 mx -all ~all", "second-all", "~all", ""),
    # the beginning
    ("v=spf1; mx -all", "version", "v=spf1;", "v=spf1"),
    ("v=spf1, mx -all", "version", "v=spf1,", "v=spf1"),
    ("v=spf1;", "version", "v=spf1;", "v=spf1"),
    (" v=spf1 mx -all", "version", " v=spf1", "v=spf1"),
    ('"v=spf1 mx -all"', "version", '"v=spf1', "v=spf1", "v=spf1 mx -all"),
    ("“v=spf1 mx -all”", "version", "“v=spf1", "v=spf1", "v=spf1 mx -all"),
    ("\ufeffv=spf1 mx -all", "version", "\ufeffv=spf1", "v=spf1"),
    ("v=spf1\u00a0mx -all", "version", "v=spf1\u00a0", "v=spf1", "v=spf1 mx -all"),
    ("v = spf1 mx -all", "version", "v = spf1", "v=spf1"),
    ("spf1 mx -all", "version", "spf1", "v=spf1"),
    ("v=spf2 mx -all", "version", "v=spf2", "v=spf1"),
    ("v=spf mx -all", "version", "v=spf", "v=spf1"),
    ('a.example. IN TXT "v=spf1 mx -all"', "version", 'a.example. IN TXT "v=spf1', "v=spf1", "v=spf1 mx -all"),
    ("v=spf1include:a.example -all", "version", "v=spf1include:a.example", "v=spf1 include:a.example"),
    ("v=spf1-all", "version", "v=spf1-all", "v=spf1 -all"),
]  # fmt: skip


@pytest.mark.parametrize("case", MISSPELLED, ids=lambda case: ascii(case[0]))
def test_the_one_thing_that_is_wrong_and_what_to_write_instead(case) -> None:
    text, kind, term, instead, *others = case
    (whole,) = others or (re.sub(" +", " ", text.replace(term, instead, 1)).strip(),)
    assert told(text)[0] == (kind, term, instead)
    assert mended(text, DOMAIN) == whole
    assert not flaws_of(whole, DOMAIN)


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1",
        "v=spf1 -all",
        "v=spf1 mx  a ip4:192.0.2.0/24 ip6:2001:db8::/32 include:_spf.a.example exists:%{i}._spf.%{d} ptr ?all ",
        "V=SPF1 A:Mail.Example/24//64 mx/24 redirect=%{d}.a.example exp=why.a.example foo=bar",
        "v=spf1 exists:%{l1r-}.%{o,}.a.example -all exp=why.example",
        "v=spf1 mx:a/b.example/8 include:a.example. ip6:::1 -all",
        "v=spf1 +all ip4:192.0.2.1",  # a wide open record: what stands behind it changes nothing
        # in error, but what is meant is not certain
        "v=spf1 nonsense -all",
        "v=spf1 mx -all moo",
        "v=spf1 ip4:192.0.2.300 -all",
        "v=spf1 ip4:192.0.2.1/33 -all",
        "v=spf1 -+all",
        "v=spf1 公司 -all",
        # no SPF records
        "",
        "spf",
        "mx",
        "spf2.0/pra mx -all",
        "google-site-verification=v_spf1",
        "v=DMARC1; p=none",
        "v=DKIM1; k=rsa; p=AAAA",
        "this domain has v=spf1 mx -all",
    ],
)
def test_nothing_is_found_where_nothing_is_wrong_for_certain(text) -> None:
    assert not flaws_of(text, DOMAIN, ADD)
    assert not mended(text, DOMAIN)


def test_all_flaws_are_found_and_those_come_first_that_keep_the_client_out() -> None:
    text = "v=spf1 mx; include=a.example ip4=192.0.2.1 -all a"
    assert [term for _, term, _ in told(text)] == ["mx;", "include=a.example", "ip4=192.0.2.1", "a"]
    assert [(flaw.term, flaw.present) for flaw in flaws_of(text, DOMAIN, ADD)] == [
        ("ip4=192.0.2.1", True), ("mx;", False), ("include=a.example", False), ("a", False),
    ]  # fmt: skip
    assert mended(text, DOMAIN) == "v=spf1 mx include:a.example ip4:192.0.2.1 a -all"


@pytest.mark.parametrize(
    ("text", "seen", "flaw"),
    [
        # the term that would be added is there already
        (
            "v=spf1 a -all ip4:192.0.2.0/24 mx",
            ADD,
            Flaw(
                kind=FlawKind.BEHIND_ALL,
                term="ip4:192.0.2.0/24",
                instead="ip4:192.0.2.0/24 -all",
                cause="-all",
                domain=DOMAIN,
                present=True,
            ),
        ),
        (
            "v=spf1 ?ip4:192.0.2.1 -all",
            Seen(adds=("ip4:192.0.2.1",), term="?ip4:192.0.2.1"),
            Flaw(kind=FlawKind.QUALIFIER, term="?ip4:192.0.2.1", instead="ip4:192.0.2.1", domain=DOMAIN, present=True),
        ),
        (
            "v=spf1 -exists:%{i}.bl.example include:a.example -all",
            Seen(adds=("include:a.example",), term="-exists:%{i}.bl.example"),
            Flaw(
                kind=FlawKind.PRESENT,
                term="include:a.example",
                cause="-exists:%{i}.bl.example",
                domain=DOMAIN,
                present=True,
            ),
        ),
        (
            "v=spf1 include:a.example include:b.example ip4:192.0.2.1 -all",  # the lookups end at b.example
            Seen(adds=("ip4:192.0.2.1",), term="include:b.example"),
            Flaw(kind=FlawKind.PRESENT, term="ip4:192.0.2.1", cause="include:b.example", domain=DOMAIN, present=True),
        ),
        (
            '"v=spf1 ip4:192.0.2.1 -all',
            ADD,
            Flaw(kind=FlawKind.VERSION, term='"v=spf1', instead="v=spf1", domain=DOMAIN, present=True),
        ),
        # names that the DNS does not know
        (
            "v=spf1 a:gone.example include:a.example mx:Old.example -all",
            Seen(void=frozenset({"gone.example", "old.example"})),
            Flaw(kind=FlawKind.VOID, term="a:gone.example mx:Old.example", domain=DOMAIN),
        ),
        (
            "v=spf1 include:%{d}._spf.a.example mx -all",
            Seen(void=frozenset({"e.example._spf.a.example"})),
            Flaw(kind=FlawKind.MACRO_VOID, term="include:%{d}._spf.a.example", cause="_spf.a.example", domain=DOMAIN),
        ),
    ],
)
def test_what_the_evaluation_has_shown_tells_more(text, seen, flaw) -> None:
    assert flaws_of(text, DOMAIN, seen)[:1] == (flaw,)


@pytest.mark.parametrize(("network", "told"), [("192.0.2.0/24", True), ("192.0.2.0/23", False), ("0.0.0.0/0", False)])
def test_a_wide_network_that_a_record_does_not_allow_is_not_to_be_allowed(network: str, *, told: bool) -> None:
    """The owner of one server in it may not own the others: "-ip4:0.0.0.0/0" is everyone."""
    term = f"-ip4:{network}"
    found = flaws_of(f"v=spf1 a {term} -all", DOMAIN, Seen(adds=("ip4:192.0.2.1",), term=term))
    assert [flaw.kind for flaw in found] == [FlawKind.QUALIFIER] * told


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1 ip4=0.0.0.0/0 -all",
        "v=spf1 a -all ip4:0.0.0.0/0",
        "v=spf1 ip4: 128.0.0.0/1 -all",
        "v=spf1 -all ip6:2000::/3",
        "v=spf1; ip4:0.0.0.0/0 -all",
    ],
)
def test_a_slip_that_keeps_a_domain_from_allowing_everyone_is_not_corrected(text: str) -> None:
    assert (told(text, ADD), mended(text, DOMAIN)) == ([], "")
    private = text.replace("0.0.0.0/0", "10.0.0.0/8").replace("128.0.0.0/1", "17.0.0.0/8").replace("::/3", "::/16")
    assert mended(private, DOMAIN)


def test_a_name_of_the_clients_choice_is_never_to_be_removed() -> None:
    seen = Seen(void=frozenset({"192.0.2.1._spf.a.example"}))
    assert not flaws_of("v=spf1 exists:%{i}._spf.a.example a:%{h} -all", DOMAIN, seen)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([b"v=spf1 mx -all", b'"v=spf1 a -all"'], "v=spf1 mx -all"),
        ([b"v=DMARC1; p=none", b'"v=spf1 a -all"'], '"v=spf1 a -all"'),
        ([b"v=spf1 mx -all", b"v=spf1 a -all"], ""),
        ([b"v=spf1 mx -all", b"v=spf1 mx -all"], "v=spf1 mx -all"),
        ([b"v=spf1 mx \x96all"], "v=spf1 mx –all"),
        ([b"google-site-verification=1"], ""),
        ([], ""),
    ],
)
def test_of_the_strings_of_a_domain_the_record_counts_or_what_is_nearly_one(texts, found) -> None:
    assert meant_record(texts) == found


# -- no correction breaks a record -------------------------------------------------------------------------------------

HOSTILE = [
    '"', "ip4: ", "include:e.example ", "ip4=1.2.3.4 ", ZERO_WIDTH, 'a"', "%{i}", "0", "ip4:", "- ", "v=spf1 ",
    "all ", "~all;", "/24 ", "x@", "ip4:1.2.3.4a", "include:include:", ",", "inlcude:a.b ", "ｉ", "TXT ", "v ",
    "\x00", "a:é.x ", "ip4:1.2.3.4,", "redirect=x.y ", "a=", "ip4:1.2.3.0/255.255.255.0 ", "http://", "(",
    "ip4:1.2.3.4 ", "foo=bar ", "e.example._spf.",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("size", [record.MAX_RECORD, 64 * 1024])
def test_a_hostile_text_costs_little(piece, size) -> None:
    seen = Seen(adds=("ip4:1.2.3.4",), term="a", void=frozenset({"x"}))
    for head in ("v=spf1 ", '"v=spf1 ', "v=spf1", ""):
        text = (head + piece * size)[:size]
        assert cpu(lambda text=text: (flaws_of(text, DOMAIN, seen), mended(text, DOMAIN))) < ALLOWED


WORDS = st.sampled_from([
    "v=spf1", "mx", "a", "-all", "~all", "?all", "+all", "all", "ip4:192.0.2.1", "ip4:", "192.0.2.1",
    "ip4=192.0.2.1", "/24", "include:a.example", "include=a.example", "include:e.example", "redirect=a.example",
    "redirect:b.example", "exp=a.example", "exists:%{i}.a.example", "a:a.example", "mx:a.example",
    "ip6:2001:db8::1", "ip4:2001:db8::1", "~all;", '"', "“", "v=DMARC1;", "p=none",
    "include:a.exampleredirect=b.example", "ip4:192.0.2.1include:a.example", "nonsense", "-", ":", "=", "foo=bar",
    f"mx{NBSP}a", "–all", "ip:192.0.2.1", "ptr", "ip4:192.0.2.0/255.255.255.0", "include", "-allv=spf1",
])  # fmt: skip
TEXTS = st.one_of(
    st.lists(WORDS, max_size=14).map(lambda words: " ".join(["v=spf1", *words])),
    st.lists(WORDS, max_size=14).map("".join),
    st.text(max_size=60).map(lambda text: "v=spf1 " + text),
    st.text(alphabet='v=spf1 :;,"+-~?al\\ip46/0.2xinclude%{}d\u00a0–', max_size=60),
)
# A world in which each name of the records exists, and each record of an include allows nothing.
ZONE = {
    name: [{"TXT": "v=spf1 ?all"}, {"A": "198.51.100.7"}, {"MX": [10, name]}] for name in ("a.example", "b.example")
}


def evaluated(text: str) -> Result:
    zone = {**ZONE, DOMAIN: [{"TXT": text}, {"A": "198.51.100.7"}, {"MX": [10, DOMAIN]}]}
    verdict = ours(zone, check())
    return verdict.result


@example("v=spf1include:e.example -all")
@given(TEXTS)
def test_a_mended_record_is_valid_and_nothing_is_wrong_with_it(text) -> None:
    whole = mended(text, DOMAIN)
    if whole:
        record.parse(whole)
        assert record.VERSION.match(whole.encode())
        assert whole.isascii()
        assert not flaws_of(whole, DOMAIN)


@given(TEXTS)
def test_a_single_correction_leaves_a_valid_record_valid(text) -> None:
    if record.VERSION.match(text.encode(errors="replace")) is None or not record.is_valid(text):
        return
    for flaw in flaws_of(text, DOMAIN, ADD):
        corrected = f" {text} ".replace(f" {flaw.term} ", f" {flaw.instead} ", 1)
        record.parse(corrected.strip())


@example("v=spf1include:e.example")
@given(TEXTS)
def test_a_mended_record_is_no_error_unless_the_published_one_was(text) -> None:
    whole = mended(text, DOMAIN)
    if whole and text.isascii() and evaluated(text) is not Result.PERMERROR:
        assert evaluated(whole) is not Result.PERMERROR


@given(TEXTS)
def test_no_correction_lets_every_host_send(text) -> None:
    whole = mended(text, DOMAIN)
    if whole and not re.search(r"(?<![-~?+a-z:.])\+?all", text, re.IGNORECASE):
        assert not {"all", "+all"} & set(whole.lower().split(" "))


@given(st.binary(max_size=80))
def test_any_bytes_are_read(text) -> None:
    flaws_of(meant_record([text, b"v=spf1 " + text]), DOMAIN, ADD)
