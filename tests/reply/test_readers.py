"""Nine refused senders: what each is told first, and what none of them may be told.

The clues are those that the daemon finds in such a case. The texts are those of every language.
"""

from dataclasses import dataclass
from typing import Any

import pytest

from spfmilter.language import available
from spfmilter.model import Condition, Disposition, Result, Verdict
from spfmilter.reply import Extras, Remedy, advice, notice
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from tests.values import check, facts, settings, verdict

LINK = "https://mx.example.net/spf/AbCd"
CASE = "H1FC-402Z-GPWG"
SES, GOOGLE = (next(s for s in SERVICES if s.include == name) for name in ("amazonses.com", "_spf.google.com"))
MICROSOFT = next(s for s in SERVICES if s.include == "spf.protection.outlook.com")
ADDRESS = "ip4:203.0.113.7"


def fail(domain: str, term: str = "-all", **other: Any) -> Verdict:
    """A fail of a domain, decided by its own record."""
    return verdict(Result.FAIL, check=check(domain=domain), term=term, term_domain=domain, **other)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One refused sender."""

    verdict: Verdict
    clues: Clues
    first: Remedy
    told: tuple[str, ...]  # in every language
    not_told: tuple[str, ...] = ()


READERS = {
    "a user of webmail, whose provider has forgotten its server": Reader(
        verdict=fail("163.com"),
        clues=Clues(client_name="mail-m973.netease.com"),
        first=Remedy.TELL_PROVIDER,
        told=("mail-m973.netease.com", "163.com"),
        not_told=(ADDRESS, "smtp.163.com"),
    ),
    "a phone that sends over a hotel": Reader(
        verdict=fail("company.example"),
        clues=Clues(client_name="smtp.hotel.example", listed=(MICROSOFT,)),
        first=Remedy.SUBMIT,
        told=("Microsoft 365", "hotel.example"),
    ),
    "a newsletter of a company, by a bulk mailer": Reader(
        verdict=fail("company.example"),
        clues=Clues(client_name="smtp30.bulk.example"),
        first=Remedy.SUBMIT,
        told=("smtp30.bulk.example", "bulk.example", "include:"),
    ),
    "the same, by Amazon SES": Reader(
        verdict=fail("company.example"),
        clues=Clues(client_name="a8-31.smtp-out.amazonses.com", service=SES),
        first=Remedy.ADD,
        told=("include:amazonses.com", "Amazon SES"),
        not_told=(ADDRESS,),
    ),
    "a copier of a school": Reader(
        verdict=fail("school.example"),
        clues=Clues(client_name="copier.school.example"),
        first=Remedy.ADD,
        told=("copier.school.example", ADDRESS),
    ),
    "a customer of a bank, whose mail a university has forwarded": Reader(
        verdict=fail("bank.example"),
        clues=Clues(client_name="mx.university.example"),
        first=Remedy.SUBMIT,
        told=("university.example", "SRS"),
    ),
    "a web form with the visitor's address as the sender": Reader(
        verdict=fail("gmail.com"),
        clues=Clues(client_name="www.shop.example"),
        first=Remedy.USE_PROVIDER,
        told=("smtp.gmail.com", "465", "shop.example"),
        not_told=(ADDRESS,),
    ),
    "a company's address in Gmail (send as)": Reader(
        verdict=fail("company.example"),
        clues=Clues(client_name="mail-yw1-f41.google.com", service=GOOGLE, listed=(MICROSOFT,)),
        first=Remedy.SUBMIT,
        told=("Microsoft 365", "include:_spf.google.com"),
        not_told=(ADDRESS,),
    ),
    "a Gmail address over a provider of internet access": Reader(
        verdict=fail("gmail.com"),
        clues=Clues(client_name="relay.isp.example"),
        first=Remedy.USE_PROVIDER,
        told=("smtp.gmail.com", "465"),
        not_told=(ADDRESS, "include:"),
    ),
    "a stranger who writes as a domain that sends no mail": Reader(
        verdict=fail("parked.example", condition=Condition.NO_MAIL),
        clues=Clues(client_name="smtp30.bulk.example"),
        first=Remedy.OTHER_SENDER,
        told=("parked.example",),
        not_told=(ADDRESS, "include:", "bulk.example"),
    ),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_each_is_told_first_what_helps_them_most(reader: Reader) -> None:
    assert advice(reader.verdict, reader.clues).remedies[0] is reader.first


@pytest.mark.parametrize("tag", available())
@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_notice_says_so_and_nothing_wrong(reader: Reader, tag: str) -> None:
    lines = notice(
        reader.verdict,
        facts(smtputf8=True),
        settings(f"[reply]\nlanguages = {tag}\n"),
        Extras(clues=reader.clues, link=LINK, case=CASE),
        disposition=Disposition.REJECT,
        condition=None,
    )
    text = "\n".join(lines)
    assert "SPF check: fail" in lines[0]
    assert reader.verdict.check.domain in lines[0]
    assert LINK in lines[1], "the help page is the only way to their own language"
    assert CASE in lines[-1]
    for part in reader.told:
        assert part in text
    for part in reader.not_told:
        assert part not in text
    assert len(text.encode()) + 12 * len(lines) <= 2048, "Postfix keeps no more of a reply for the bounce"


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_an_address_is_offered_only_with_the_condition_that_the_server_is_theirs(reader: Reader) -> None:
    lines = notice(
        reader.verdict,
        facts(),
        settings(),
        Extras(clues=reader.clues),
        disposition=Disposition.REJECT,
        condition=None,
    )
    for line in lines:
        if ADDRESS in line:
            assert "only if" in line.lower() or "is one of school.example itself" in line
