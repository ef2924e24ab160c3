from contextlib import suppress
from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter import caseid
from spfmilter.helplink.token import Case, Signer, TokenError, TokenProblem, case_in
from spfmilter.model import Identity, Result

NOW = 1_800_000_000
DAY = 86_400
SIGNER = Signer([b"the first secret of all"])
BASE = "https://mx.example.net/spf/"


def case(**other) -> Case:
    usual = {
        "address": ip_address("203.0.113.7"),
        "identity": Identity.MAILFROM,
        "domain": "example.com",
        "result": Result.FAIL,
        "time": NOW,
    }
    return Case(**{**usual, **other})


def read(token: str, signer: Signer = SIGNER, *, now: float = NOW) -> Case:
    return signer.read(token, max_age=30 * DAY, now=now)


def kind(token: str, signer: Signer = SIGNER, *, now: float = NOW) -> TokenProblem:
    with pytest.raises(TokenError) as caught:
        read(token, signer, now=now)
    return caught.value.kind


NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._", min_size=1, max_size=253) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=253
)


@given(
    address=st.ip_addresses(),
    identity=st.sampled_from(Identity),
    domain=NAMES,
    result=st.sampled_from(Result),
    time=st.integers(0, (1 << 32) - 1),
)
def test_a_case_comes_back_as_it_was_in_small_letters(address, identity, domain, result, time) -> None:
    whole = Case(address=address, identity=identity, domain=domain, result=result, time=time)
    found = read(SIGNER.sign(whole), now=time)
    assert (found.address, found.identity, found.result, found.time) == (address, identity, result, time)
    assert found.domain == domain.lower()


@pytest.mark.parametrize(("length", "longest"), [(20, 100), (100, 170), (130, 200), (253, 300)])
def test_a_url_is_short(length, longest) -> None:
    name = ("mail-7." * 40)[: length - 3] + "org"
    token = SIGNER.sign(case(address=IPv6Address("2001:db8:ffff::7"), domain=name))
    assert len(BASE + token) <= longest


@pytest.mark.parametrize("name", ["mail/7." * 36 + "x", "a" * 253, "-" * 253])
@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8:ffff::7"])
def test_the_longest_name_comes_back(name: str, address: str) -> None:
    """Also one that cannot be packed."""
    token = SIGNER.sign(case(address=ip_address(address), domain=name))
    assert read(token).domain == name
    assert len("550-5.7.23 Help and current result (English, Zhongwen): " + BASE + token) < 512


def test_the_last_character_is_no_punctuation() -> None:
    """A program that makes links of plain text would leave it out."""
    assert {SIGNER.sign(case(time=NOW + n))[-1] for n in range(100)} <= set("AQgw")


def test_every_change_is_noticed() -> None:
    token = SIGNER.sign(case())
    for place, old in enumerate(token):
        for new in "A-z9.":
            if new != old:
                changed = token[:place] + new + token[place + 1 :]
                assert kind(changed) in {TokenProblem.FORGED, TokenProblem.MALFORMED}


def test_a_token_that_was_cut_off_is_none() -> None:
    token = SIGNER.sign(case())
    cut = {kind(token[:length]) for length in range(len(token))} | {kind(token[start:]) for start in (1, 2, 3, 4)}
    assert cut == {TokenProblem.MALFORMED, TokenProblem.FORGED}
    assert kind(token[:-1]) is TokenProblem.MALFORMED


def test_a_token_of_another_host_is_forged() -> None:
    assert kind(Signer([b"somebody else's secret"]).sign(case())) is TokenProblem.FORGED


def test_a_token_ends_with_its_time() -> None:
    token = SIGNER.sign(case())
    assert read(token, now=NOW + 30 * DAY) == case()
    assert kind(token, now=NOW + 30 * DAY + 1) is TokenProblem.EXPIRED


def test_a_forged_token_is_not_called_expired() -> None:
    """Of a token that is not ours nothing is believed, its time neither."""
    assert kind(Signer([b"somebody else's secret"]).sign(case(time=0))) is TokenProblem.FORGED


def test_a_host_whose_clock_is_ahead_is_believed() -> None:
    assert read(SIGNER.sign(case(time=NOW + 300))).time == NOW + 300


def test_the_first_secret_signs_and_all_verify() -> None:
    old, new = b"the secret of last year", b"the secret of this year"
    both = Signer([new, old])
    assert read(Signer([old]).sign(case()), both) == case()
    assert read(both.sign(case()), Signer([new])) == case()
    assert kind(both.sign(case()), Signer([old])) is TokenProblem.FORGED


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a" * 100,
        "a" * 10_000 + "." + "A" * 18,
        "\0" * 40,
        "..%2f..%2fetc%2fpasswd",
        "<script>alert(1)</script>",
        "\u202e" * 30,
        "\ud800" * 30,
        "ⅷ" * 30 + "." + "A" * 18,
        "QUJD\nRUZHSElK.AAAAAAAAAAAAAAAAAA",
    ],
)
def test_what_is_no_token_is_malformed(text) -> None:
    assert kind(text) is TokenProblem.MALFORMED


@given(st.text(max_size=400) | st.from_regex(r"[A-Za-z0-9_-]{12,60}\.[A-Za-z0-9_-]{17}[AQgw]", fullmatch=True))
def test_any_text_is_refused_with_a_reason(text) -> None:
    assert kind(text) in {TokenProblem.FORGED, TokenProblem.MALFORMED}


@given(st.binary(min_size=9, max_size=60))
def test_a_signed_payload_of_another_version_is_refused_or_read(payload) -> None:
    """The signature is good, and still nothing but a TokenError may come of it."""
    from itsdangerous.encoding import base64_encode  # noqa: PLC0415 - the only test that needs it

    token = SIGNER._signer.sign(base64_encode(payload)).decode()
    with suppress(TokenError):
        SIGNER.read(token, max_age=1 << 40, now=NOW)


@pytest.mark.parametrize("wrong", [{"domain": ""}, {"domain": "a" * 254}, {"domain": "bücher.example"}, {"time": -1}])
def test_a_case_that_does_not_fit_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="token"):
        SIGNER.sign(case(**wrong))


# -- a token in a text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "around", ["{}", "https://mx.example.net/spf/{}", "<https://mx/?t={}>.", "see {} and ask", "{}&x=1"]
)
def test_the_case_of_a_link_is_found_without_the_secrets(around: str) -> None:
    made = case(id=caseid.of_bits(12345))
    assert case_in(around.format(Signer([b"elsewhere" * 4]).sign(made))) == made


@pytest.mark.parametrize(
    "text", ["", "H1FC-402Z-GPWG", "https://mx.example.net/", "a" * 5000 + ".", "x" * 12 + "." + "y" * 17 + "A"]
)
def test_a_text_without_a_token_has_no_case(text: str) -> None:
    assert case_in(text) is None


@given(st.text(alphabet="abcXYZ019_-.AQgw", max_size=200))
def test_any_text_has_a_case_or_none(text: str) -> None:
    assert case_in(text) is None or text.count(".")
