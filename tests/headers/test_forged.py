"""Which incoming fields pretend to be ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.edits import Removal
from spfmilter.headers import authserv_id, claims, edits, is_forged, watched
from spfmilter.model import Disposition, Result
from tests.headers.spellings import SETTINGS, Spelling, spellings
from tests.values import action, facts, settings, verdict

OWN = "mx.example.net"


@pytest.mark.parametrize(
    "value",
    [
        "mx.example.net; spf=pass smtp.mailfrom=example.com",
        "mx.example.net;spf=pass",
        "mx.example.net ; spf=pass",
        "mx.example.net 1; spf=pass",  # a version
        "mx.example.net",
        "MX.Example.NET; spf=pass",
        "mx.example.net.; spf=pass",
        "  \t mx.example.net; spf=pass",
        "\n mx.example.net;\n spf=pass",
        "\r\n\tmx.example.net; spf=pass",
        "(a comment) mx.example.net; spf=pass",
        "(one)(two) mx.example.net (three); spf=pass",
        "(nested (comments) here) mx.example.net; spf=pass",
        "(a \\) b) mx.example.net; spf=pass",
        "(a \\( b) mx.example.net; spf=pass",
        "(other.example; spf=fail) mx.example.net; spf=pass",
        "mx(c).example.net; spf=pass",
        "mx . example . net; spf=pass",  # RFC 5322 obs-domain
        "mx.\n example.net; spf=pass",
        '"mx.example.net"; spf=pass',
        '"MX.example.net" 1; spf=pass',
        '"mx\\.example.net"; spf=pass',
        '" mx.example.net "; spf=pass',
        '"mx.example.net; spf=pass',  # never closed
        "(mx.example.net; spf=pass",  # never closed
        "((mx.example.net); spf=pass",
        ") mx.example.net; spf=pass",  # never opened
        "mx.example.net) spf=pass",
    ],
)
def test_what_a_reader_could_take_for_our_id_claims_it(value: str) -> None:
    assert claims(value, OWN)
    assert is_forged("Authentication-Results", value, OWN, settings())


@pytest.mark.parametrize(
    "value",
    [
        "mx.example.net.evil; spf=pass",  # ours is but the beginning of it
        "mx.example.network; spf=pass",
        "mx.example.net-1; spf=pass",
        "amx.example.net; spf=pass",
        "x.mx.example.net; spf=pass",
        "example.net; spf=pass",
        "relay.example.org; spf=pass (mx.example.net) smtp.mailfrom=mx.example.net",
        "relay.example.org (mx.example.net); spf=pass",
        "(mx.example.net) relay.example.org; spf=pass",
        "(mx.example.net; ) relay.example.org; spf=pass",
        "relay.example.org mx.example.net; spf=pass",
        '"relay.example.org"; spf=pass',
        '"mx.example.net.evil"; spf=pass',
        '"a.mx.example.net"; spf=pass',
        "",
        ";",
        "; mx.example.net; spf=pass",
        "()",
        "(",
        '"',
    ],
)
def test_the_results_of_others_are_left_alone(value: str) -> None:
    assert not claims(value, OWN)
    assert not is_forged("Authentication-Results", value, OWN, settings())


@pytest.mark.parametrize("spelling", list(spellings()), ids=str)
def test_of_the_table_of_spellings_just_the_forged_ones_are_removed(spelling: Spelling) -> None:
    assert spelling.removed is (spelling.kind == "forged")
    assert spelling.refused is (spelling.kind == "hidden")


@pytest.mark.parametrize("name", ["Authentication-Results", "ARC-Authentication-Results"])
def test_an_id_behind_more_than_any_honest_writer_puts_before_it_is_forged(name: str) -> None:
    instance = "i=1; " if name.startswith("ARC") else ""
    assert is_forged(name, f"{instance}({'x' * 5000}) mx.example.net; spf=pass", OWN, settings())
    assert not is_forged(name, f"{instance}relay.example.org; spf=pass ({'x' * 50000})", OWN, settings())


def test_the_further_ids_of_a_list_are_ours_as_well_and_the_first_is_written() -> None:
    several = settings("[headers]\nauthserv_id = mx.example.net, mx2.example.net")
    assert authserv_id(facts(), several) == "mx.example.net"
    for own in ("mx.example.net", "mx2.example.net"):
        assert is_forged("Authentication-Results", f"{own}; spf=pass", OWN, several)
        assert is_forged("ARC-Authentication-Results", f"i=1; {own}; spf=pass", OWN, several)
    assert not is_forged("Authentication-Results", "mx3.example.net; spf=pass", OWN, several)
    assert is_forged("Authentication-Results", "mx.example.net; spf=pass", OWN, SETTINGS)


def test_the_id_compared_is_the_one_that_we_write() -> None:
    assert claims("Own.Example; spf=pass", "own.example")
    assert claims("own.example; spf=pass", "Own.Example")


@pytest.mark.parametrize(
    ("name", "forged"),
    [
        ("Received-SPF", True),
        ("received-spf", True),
        ("RECEIVED-SPF", True),
        ("X-SPF-Notice", True),
        ("x-spf-notice", True),
        ("Received", False),
        ("Received-SPF-Results", False),
        ("X-Received-SPF", False),
        ("ARC-Authentication-Results", False),
        ("Subject", False),
    ],
)
def test_received_spf_and_our_notice_are_forged_with_any_content(name: str, forged: bool) -> None:
    assert is_forged(name, "pass", OWN, settings()) is forged


def test_the_notice_is_known_by_its_configured_name() -> None:
    chosen = settings("[headers]\ntag_header = X-Why")
    assert is_forged("x-why", "", OWN, chosen)
    assert not is_forged("X-SPF-Notice", "", OWN, chosen)


def test_with_remove_forged_off_no_field_is_watched() -> None:
    assert watched(settings()) == {
        "arc-authentication-results",
        "authentication-results",
        "received-spf",
        "x-spf-notice",
    }
    assert watched(settings("[headers]\nremove_forged = no")) == set()


def test_removals_go_from_the_highest_index_down() -> None:
    """Each removal moves the fields below it up, for the MTA as for libmilter."""
    forged = [Removal(name="Received-SPF", index=n) for n in (1, 3, 2)]
    found = verdict(Result.PASS, term="mx")
    change = edits(
        action(Disposition.ACCEPT, found),
        [found],
        facts(),
        settings(),
        forged,
        skip=None,
        subject_fields=(),
        content_type="",
        case="",
    )
    assert [removal.index for removal in change.remove] == [3, 2, 1]


@given(st.text(alphabet='mx.example.net();" \\\n\t\r1\0é', max_size=300) | st.text(max_size=300))
def test_no_value_makes_the_reading_fail_and_our_id_before_it_is_always_seen(value: str) -> None:
    claims(value, OWN)
    assert claims(f"{OWN}; {value}", OWN)
    assert claims(f"({OWN}) {OWN} 1; {value}", OWN)
