"""Header fields: those that we write, those that pretend to be ours, and the subject's prefix."""

from spfmilter.headers.fields import (
    MOST_FORGED,
    NotRemoved,
    authserv_id,
    edits,
    notice_field,
    result_fields,
    skipped_fields,
)
from spfmilter.headers.forged import (
    AUTHENTICATION_RESULTS,
    RECEIVED_SPF,
    claims,
    forgeable,
    hides,
    is_forged,
    may_hide,
    watched,
)

__all__ = [
    "AUTHENTICATION_RESULTS",
    "MOST_FORGED",
    "RECEIVED_SPF",
    "NotRemoved",
    "authserv_id",
    "claims",
    "edits",
    "forgeable",
    "hides",
    "is_forged",
    "may_hide",
    "notice_field",
    "result_fields",
    "skipped_fields",
    "watched",
]
