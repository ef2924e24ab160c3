"""What a refusal's notice holds beyond the verdict."""

from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from spfmilter.addresses import dns_domain
from spfmilter.evaluation.engine import Inquiry
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import Refusals, open_signer
from spfmilter.helplink.token import Case, Signer
from spfmilter.model import Identity, Result
from spfmilter.spf.clues import Clues
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
    assert case.helo == "mail.example.com"


def test_it_holds_the_clients_name_if_that_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Clues(client_name="smtp30.bulk.example")
    monkeypatch.setattr("spfmilter.helplink.signing.clues_of", lambda *_, **_other: known)
    found = Refusals(settings(LINKING.replace("= no", "= yes")), SIGNER).extras(
        NO_INQUIRY, verdict(Result.FAIL), facts(), CASE
    )
    assert found.clues is known
    case = SIGNER.read(found.link.removeprefix("https://mx.example.net/spf/"), max_age=60, now=0)
    assert (case.client_name, case.helo) == ("smtp30.bulk.example", "mail.example.com")


LONGEST = "https://" + "m" * 48 + "/xy/"
OUTLOOK = "mail-eastus2azon11010011.outbound.protection.outlook.com", "EUR05-DB8-obe.outbound.protection.outlook.com"


@pytest.mark.parametrize(
    ("base", "domain", "name", "helo", "most"),
    [
        (LONGEST, "example.com", "mail.example.com", "mail.example.com", 140),
        (LONGEST, "wine-and-cheese.example.com", "smtp30.bulk.example", "smtp30.bulk.example", 170),
        (LONGEST, "wine-and-cheese.example.com", "203-0-113-7.dyn.isp.example", "[203.0.113.7]", 180),
        (LONGEST, "example.com", "a8-31.smtp-out.amazonses.com", "a8-31.smtp-out.amazonses.com", 160),
        (LONGEST, f"{'m' * 20}.example.com", f"{'n' * 20}.example.net", f"{'h' * 14}.example.org", 200),
        ("https://mx.example.net/spf/", "wine-and-cheese.example.com", *OUTLOOK, 210),
    ],
)
def test_usual_names_make_a_link_of_200_characters_at_most(
    base: str, domain: str, name: str, helo: str, most: int
) -> None:
    """For the longest URL and an IPv6 client. Two long names that differ make a few more (docs/decisions/0065)."""
    case = Case(
        address=ip_address("2001:db8:1:2:3:4:5:6"), identity=Identity.MAILFROM, domain=domain, result=Result.FAIL,
        time=1_800_000_000, id=CASE, client_name=name, helo=dns_domain(helo) or "unknown",
    )  # fmt: skip
    url = base + SIGNER.sign(case)
    found = SIGNER.read(url.removeprefix(base), max_age=60, now=0)
    assert (found.client_name, found.helo) == (name, (dns_domain(helo) or "unknown").lower())
    assert most - 15 <= len(url) <= most


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


def test_a_link_that_would_fill_the_whole_line_of_a_reply_is_left_out() -> None:
    """The words before it have 120 bytes, in every language."""
    longest = link(LINKING.replace("https://mx.example.net/spf/", LONGEST), domain="a" * 253, address="2001:db8::7")
    assert 330 < len(longest) <= 360
    assert not link(LINKING.replace("https://mx.example.net/spf/", LONGEST), domain="!" * 253, address="2001:db8::7")


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
