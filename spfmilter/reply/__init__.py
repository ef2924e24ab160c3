"""What a refused sender is told, and what stands in the header field of a tagged message.

``advice`` decides what can be done about a verdict, ``texts`` has the words, ``notice`` makes the lines of a case, and
``reply`` the SMTP reply. No I/O, no clock; the catalogues of other languages are loaded by ``spfmilter.language``.
"""

from spfmilter.reply.advice import Advice, Audience, Remedy, Situation, advice, audience_of
from spfmilter.reply.notice import Extras, flaw_text, notice, notice_language, problem_text, sentences
from spfmilter.reply.reply import Reply, forged_fields, internal_error, reply_for, separate_message

__all__ = [
    "Advice",
    "Audience",
    "Extras",
    "Remedy",
    "Reply",
    "Situation",
    "advice",
    "audience_of",
    "flaw_text",
    "forged_fields",
    "internal_error",
    "notice",
    "notice_language",
    "problem_text",
    "reply_for",
    "sentences",
    "separate_message",
]
