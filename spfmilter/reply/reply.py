"""The SMTP reply of a refusal: code, enhanced status and lines, as they go over the wire.

Knows the reply codes (RFC 7208 section 8, RFC 7372) and what a line of SMTP can carry; a reply that cannot be sent
cannot be built.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from spfmilter.model import Action, Condition, Disposition, Facts, Result
from spfmilter.reply import texts
from spfmilter.reply.notice import MAX_LINE, Extras, case_line, notice, notice_language
from spfmilter.settings import Settings

_MAX_LINES = 32  # what libmilter takes
_STATUS = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A refusal as it goes over the wire; a wrong one cannot be built.

    Raises:
        ValueError: code and status are not of one class, or a line cannot be sent.
    """

    code: int  # 4xx or 5xx
    status: str  # enhanced status code (RFC 3463)
    lines: tuple[str, ...]
    utf8: bool = False  # for a client that has said SMTPUTF8: lines need not be ASCII (RFC 6531 section 3.7.4.2)

    def __post_init__(self) -> None:
        if self.code // 100 not in {4, 5} or _STATUS.fullmatch(self.status) is None:
            raise ValueError(f"{self.code} {self.status} is no refusal")
        if str(self.code)[0] != self.status[0]:
            raise ValueError(f"{self.code} and {self.status} contradict each other")
        if not 0 < len(self.lines) <= _MAX_LINES:
            raise ValueError(f"a reply of {len(self.lines)} lines")
        for line in self.lines:
            # Nothing that is printable is a surrogate, so that every line that is left has an encoding.
            if not (line and line.isprintable() and (self.utf8 or line.isascii())) or len(line.encode()) > MAX_LINE:
                raise ValueError(f"{line!r} is not a line of a reply")

    def __str__(self) -> str:
        last = len(self.lines) - 1
        return "\n".join(
            f"{self.code}{' ' if n == last else '-'}{self.status} {line}" for n, line in enumerate(self.lines)
        )


_INTERNAL = Reply(code=451, status="4.3.0", lines=(texts.INTERNAL,))


def reply_for(action: Action, facts: Facts, settings: Settings, extras: Extras) -> Reply | None:
    """Return the reply of a refusal; None: the message is accepted."""
    if not action.disposition.refuses:
        return None
    if action.verdict is None or action.verdict.fault is not None:
        return replace(_INTERNAL, lines=_with_case(_INTERNAL.lines, facts, settings, extras.case))
    code, status = _codes(action.disposition, action.verdict.result, action.condition)
    lines = notice(action.verdict, facts, settings, extras, disposition=action.disposition, condition=action.condition)
    return Reply(code=code, status=status, lines=lines, utf8=facts.smtputf8)


def internal_error() -> Reply:
    """Return the reply where spfmilter itself fails and ``on_error`` is tempfail."""
    return _INTERNAL


def forged_fields(facts: Facts, settings: Settings, *, hidden: bool, case: str) -> Reply:
    """Return the reply for a message with forged fields that are not removed (RFC 8601 section 5).

    They are too many, or ``hidden`` in another field. The status is that of security in general (RFC 3463 section 3.8):
    the sender may write here, but not this.
    """
    language = notice_language(facts, settings)
    sentence = texts.template(texts.HIDDEN if hidden else texts.FORGED, language).fill({})
    line = texts.template(texts.REFUSED, language).fill({"sentence": sentence})
    lines = _with_case((line,), facts, settings, case)
    return Reply(code=550, status="5.7.0", lines=lines, utf8=facts.smtputf8)


def separate_message(facts: Facts, settings: Settings) -> Reply:
    """Return the reply for a recipient that needs a message of its own.

    The code is that for too many recipients (RFC 5321 section 4.5.3.1.10, RFC 3463 section 3.6): the client delivers to
    the accepted recipients, and sends to the others again.
    """
    line = texts.template(texts.SEPARATE, notice_language(facts, settings)).fill({})
    return Reply(code=452, status="4.5.3", lines=(line,), utf8=facts.smtputf8)


def _with_case(lines: tuple[str, ...], facts: Facts, settings: Settings, case: str) -> tuple[str, ...]:
    return (*lines, case_line(case, notice_language(facts, settings))) if case else lines


def _codes(disposition: Disposition, result: Result, condition: Condition | None) -> tuple[int, str]:
    """Return reply code and enhanced status (RFC 7372 section 3.2): 7.23 for what SPF says, 7.24 for what it cannot.

    A pass that is refused is 7.24 as well, because senders' tools take 7.1 for an entry on a block list.
    A domain that can receive no mail is a bad sender address (RFC 3463 section 3.2).
    """
    code = 550 if disposition is Disposition.REJECT else 451
    match result:
        case Result.PERMERROR | Result.TEMPERROR | Result.PASS:
            detail = "7.24"
        case Result.NONE if condition is Condition.UNREACHABLE:
            detail = "1.8"
        case _:
            detail = "7.23"
    return code, f"{code // 100}.{detail}"
