"""Read the form with which a refused sender asks the administrator: a sentence and an address, or complaints.

Knows the form's fields and the form of a POST. Does not know how they are shown. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from spfmilter.addresses import written_address
from spfmilter.requests.request import SENTENCE_LIMIT, one_line, read_address
from spfmilter.text import unicode_line
from spfmilter.web.wording import N_

FIELDS = ("sentence", "answer_to")
MAX_BODY = 8 * 1024  # bytes: a sentence of 500 characters has 6 000 at most, each of four octets written as %XX
_CONTENT_TYPE = "application/x-www-form-urlencoded"
_SHOWN = 2 * SENTENCE_LIMIT  # characters of a field that is shown again


class UnreadableError(ValueError):
    """The body is no form of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """The fields, to show them again, and a complaint for each wrong one."""

    values: Mapping[str, str]
    complaints: Mapping[str, str]  # by field: keys of the catalogue


EMPTY = RequestForm(values=dict.fromkeys(FIELDS, ""), complaints={})


def read(content_type: str, body: bytes) -> RequestForm:
    """Return the form that was sent, which is untrusted input.

    Args:
        content_type: the header field.
        body: the whole of it, of ``MAX_BODY`` bytes at most.

    Raises:
        UnreadableError: a browser that shows our form does not send this.
    """
    if content_type.partition(";")[0].strip().lower() != _CONTENT_TYPE:
        raise UnreadableError
    try:
        sent = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError:  # no ASCII, no UTF-8, or too many fields
        raise UnreadableError from None
    values = {name: one_line(sent.get(name, [""])[0]) for name in FIELDS}
    complaints = {}
    if not values["sentence"]:
        complaints["sentence"] = N_("Write a sentence for the administrator.")
    elif len(values["sentence"]) > SENTENCE_LIMIT:
        complaints["sentence"] = N_("Write 500 characters or fewer.")
    try:
        values["answer_to"] = read_address(written_address(values["answer_to"]))
    except ValueError:
        complaints["answer_to"] = N_("Enter an email address, such as name@example.com.")
    return RequestForm(
        values={name: unicode_line(text, _SHOWN) for name, text in values.items()}, complaints=complaints
    )
