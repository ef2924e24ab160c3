"""What a refusal's notice holds beyond the verdict."""

from pathlib import Path
from typing import Any, cast

import pytest

from spfmilter.evaluation.engine import Inquiry
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import Refusals, open_signer
from spfmilter.helplink.token import Signer
from spfmilter.model import Identity, Result
from tests.values import CASE, check, facts, settings, verdict

LINKING = "[reply]\nsuggest_services = no\nhelp_url = https://mx.example.net/spf/{token}\n"
NO_INQUIRY = cast("Inquiry", None)  # asked for nothing
SIGNER = Signer([b"a secret of twenty characters or more"])


def link(ini: str = LINKING, signer: Signer | None = SIGNER, **about: Any) -> str:
    """The link for a fail."""
    found = verdict(Result.FAIL, check=check(**about))
    return Refusals(settings(ini), signer).extras(NO_INQUIRY, found, facts(), CASE).link


@pytest.mark.parametrize("identity", list(Identity))
@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_the_link_is_of_the_case(identity: Identity, address: str) -> None:
    token = link(identity=identity, address=address).removeprefix("https://mx.example.net/spf/")
    case = SIGNER.read(token, max_age=60, now=0)
    assert (str(case.address), case.identity, case.result, case.id) == (address, identity, Result.FAIL, CASE)
    assert case.domain == ("example.com" if identity is Identity.MAILFROM else "mail.example.com")


def test_it_has_200_characters_at_most_for_the_longest_url_and_usual_names() -> None:
    base = "https://" + "m" * 48 + "/xy/"
    ini = f"[reply]\nsuggest_services = no\nhelp_url = {base}{{token}}\n"
    assert len(base) == 60
    assert len(link(ini, domain=f"{'m' * 36}.{'n' * 37}.example.com", address="2001:db8:1:2:3:4:5:6")) <= 200


@pytest.mark.parametrize(
    ("ini", "signer", "domain"),
    [
        ("[reply]\nsuggest_services = no\n", SIGNER, "example.com"),
        (LINKING, None, "example.com"),
        (LINKING, SIGNER, ""),
    ],
    ids=["no-page", "no-secret", "no-domain"],
)
def test_there_is_none_where_there_is_nothing_to_link_to(ini: str, signer: Signer | None, domain: str) -> None:
    assert not link(ini, signer, domain=domain)


def test_of_a_pass_the_page_would_only_say_that_all_is_well() -> None:
    found = verdict(Result.PASS)
    assert not Refusals(settings(LINKING), SIGNER).extras(NO_INQUIRY, found, facts(), CASE).link


def test_a_record_of_our_own_is_not_what_the_page_would_show() -> None:
    assert not link(record="v=spf1 -all")


def test_without_a_page_no_signer_and_no_secret_are_made(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert open_signer(settings(f"[web]\nsecret_file = {path}\n")) is None
    assert not path.exists()
    assert open_signer(settings(f"{LINKING}[web]\nsecret_file = {path}\n")) is not None
    assert path.exists()


def test_a_secret_that_cannot_be_had_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="nowhere"):
        open_signer(settings(f"{LINKING}[web]\nsecret_file = {tmp_path}/nowhere/secret\n"))
