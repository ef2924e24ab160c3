"""Which rules are a recipient's: its own section, and whether it is exempt."""

import pytest

from spfmilter.policy import addressee
from tests.values import settings

SECTIONS = settings(
    "[policy]\nreject_at = rcpt\n"
    "[recipient:bob@example.net]\nfail = tag\n[recipient:@example.net]\nfail = tag\n[recipient:bob@]\nfail = tag\n"
)


@pytest.mark.parametrize(
    ("written", "understood", "section"),
    [
        ("<bob@example.net>", "", "bob@example.net"),
        ("<BOB@Example.NET.>", "", "bob@example.net"),
        ('<"b\\ob"@example.net>', "", "bob@example.net"),
        ("<eve@example.net>", "", "@example.net"),
        ("<bob@example.org>", "", "bob@"),
        ("<eve@sub.example.net>", "", ""),
        ("<bob>", "", "bob@"),
        # What the MTA makes of it, which is all of an address with Postfix, and with Sendmail often a user's name.
        ("<bob%example.net>", "bob@example.net", "bob@example.net"),
        ("<example.net!eve>", "eve@example.net", "@example.net"),
        ("<bob@example.net>", "bob", "bob@example.net"),
        ("<sales@example.net>", "bob@example.org", "@example.net"),
        ("<sales@example.org>", "bob@example.net", "bob@example.net"),
    ],
)
def test_the_most_particular_section_for_the_address_as_written_or_as_understood(
    written: str, understood: str, section: str
) -> None:
    assert addressee(written, SECTIONS, understood).section == section


@pytest.mark.parametrize(
    ("written", "understood", "exempt"),
    [
        ("<postmaster@example.net>", "", True),
        ("<Postmaster>", "", True),
        ("<abuse%example.net>", "abuse@example.net", True),
        ("<postmaster@example.net>", "root@mx.example.net", True),
        ("<not-postmaster@example.net>", "", False),
        ("<bob@postmaster>", "", False),
    ],
)
def test_the_exempt_are_those_who_must_be_reachable(written: str, understood: str, exempt: bool) -> None:
    assert addressee(written, settings("[policy]\nreject_at = rcpt\n"), understood).exempt is exempt
