"""The notice's texts in English, which are the keys of the translations.

Knows which texts an advice needs, and the few that stand around them. Does not know the values of the placeholders in a
case (``notice``).
"""

from __future__ import annotations

from spfmilter.model import Disposition
from spfmilter.reply.advice import Advice
from spfmilter.reply.catalogue import _, all_texts, is_ascii, template
from spfmilter.reply.firstlines import BEFORE, REFUSED, first_line
from spfmilter.reply.problemtexts import clause
from spfmilter.reply.remedytexts import remedy_lines

__all__ = [
    "BEFORE",
    "CASE",
    "EXPLANATION",
    "FORGED",
    "HELP",
    "HIDDEN",
    "INTERNAL",
    "REFUSED",
    "SENTENCE",
    "SEPARATE",
    "all_texts",
    "clause",
    "is_ascii",
    "template",
    "texts_of",
]

EXPLANATION = _('{record_domain} says: "{explanation}"')
HELP = _("Help and current result ({languages}): {url}")
CASE = _("Case: {case}")
SENTENCE = _("{sentence}.")
FORGED = _(
    "The message has far too many header fields that only the receiving server may write, such as Received-SPF; "
    "please remove them and send the message again"
)
HIDDEN = _(
    "One header field of the message hides another one that only the receiving server may write, such as "
    "Authentication-Results; please remove it and send the message again"
)
SEPARATE = _(
    "Not accepted yet: this recipient has other rules than the recipients before; "
    "your mail server will send the message to them separately by itself"
)
INTERNAL = _(
    "Not accepted yet: the receiving server has an error and cannot check the sender; "
    "your mail server will try again by itself"
)


def texts_of(advice: Advice, disposition: Disposition) -> tuple[str, ...]:
    """Return the lines for an advice, in English: what happened, and who can do what about it.

    Args:
        advice: what to say.
        disposition: what becomes of the message: who is told to send again depends on it.
    """
    return (first_line(advice), *remedy_lines(advice, disposition))
