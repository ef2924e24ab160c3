"""Requests, made short: fields that a test does not name are unsuspicious."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from spfmilter import caseid
from spfmilter.model import Identity, Result
from spfmilter.requests.request import SenderRequest, State

NOW = 1_780_000_000
DAY = 86_400


def case_id(number: int) -> str:
    """The case id of a number."""
    return caseid.of_bits(number)


def asked(number: int = 1, address: str = "203.0.113.7", **fields: Any) -> SenderRequest:
    """An open request of now, kept for 30 days; `number` makes its case id."""
    values: dict[str, Any] = {
        "case_id": case_id(number),
        "asked": NOW,
        "ends": NOW + 30 * DAY,
        "identity": Identity.MAILFROM,
        "domain": "example.com",
        "result": Result.FAIL,
        "sentence": "I am your dentist.",
        "answer_to": "dentist@example.com",
        "language": "en",
    }
    return SenderRequest(address=ip_address(address), **{**values, **fields})


def granted(one: SenderRequest, until: int = NOW + 7 * DAY, exemption: str = "ABC123") -> SenderRequest:
    """The request with the answer yes."""
    yes = {"state": State.GRANTED, "answered": NOW + 60, "answered_by": "alice", "answer": "Welcome.", "until": until}
    return replace(one, exemption=exemption, **yes)  # type: ignore[arg-type]  # as they are
