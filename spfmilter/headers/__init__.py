"""Header fields: the result fields, forged fields, the prefix of the subject, and the author's domain."""

from spfmilter.headers.author import author_domain
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
    "author_domain",
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
