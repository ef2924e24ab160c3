"""The check of a case, as the help page and the daemon evaluate it again."""

from __future__ import annotations

from spfmilter.helplink.token import Case
from spfmilter.model import Check, Identity
from spfmilter.spf.checks import domain_check, helo_check


def check_of(case: Case) -> Check:
    """Return the check of a case, which has no local part."""
    if case.identity is Identity.HELO:
        return helo_check(case.address, case.domain)
    return domain_check(case.address, case.domain, helo=case.helo, record="")
