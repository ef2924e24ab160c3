"""Header fields: the result fields, forged fields, and the prefix of the subject."""

from spfmilter.headers.fields import (
    MAX_FORGED,
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
    "MAX_FORGED",
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
