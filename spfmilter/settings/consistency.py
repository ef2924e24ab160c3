"""What can only be said of several sections together: settings that would have no effect, or need another.

Knows which key depends on which; every finding has the line of the setting that would be in vain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from spfmilter.settings.ini import Problem
from spfmilter.settings.schema import ExemptSection, RejectAt

if TYPE_CHECKING:
    from spfmilter.settings import Settings


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Everything that does not go together."""
    policy = settings.policy
    if policy.yield_to_dmarc and policy.reject_at is not RejectAt.MESSAGE:
        yield _problem(
            settings,
            ("policy", "yield_to_dmarc"),
            "the From field is only known when the whole header is: write reject_at = message as well",
        )
    if policy.reject_at is RejectAt.MAIL:
        unknown = "no recipient is known at reject_at = mail: write reject_at = rcpt, or message, in [policy]"
        for pattern in settings.recipients:
            yield _problem(settings, (f"recipient:{pattern}", ""), unknown)
        usual = ExemptSection.model_fields["recipients"].default
        if settings.exempt.recipients and settings.exempt.recipients != usual:
            yield _problem(settings, ("exempt", "recipients"), unknown)


def _problem(settings: Settings, place: tuple[str, str], message: str) -> Problem:
    section, key = place
    return Problem(message=message, line=settings.lines.get(place), section=section, key=key or None)
