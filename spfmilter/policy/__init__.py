"""The policy: which checks a message needs, and what is done with their verdicts. Pure functions of values.

``plan`` says what is to be checked, or why nothing is. ``decide_at_mail`` and ``decide_for`` look at verdicts,
``combine_recipients`` brings the recipients together. An ``Evidence`` answers what only the DNS or the past can tell.
"""

from spfmilter.policy.decide import apply_mode, decide, decide_at_mail, decide_for, on_error
from spfmilter.policy.evidence import NO_EVIDENCE, Evidence, NoEvidence
from spfmilter.policy.overrides import may_yield
from spfmilter.policy.plan import EXEMPTIONS, awaits_header, exemption, helo_checks, plan, plan_behind
from spfmilter.policy.recipients import (
    addressee,
    combine_recipients,
    could_part_ways,
    downgrade,
    part_ways,
    separates,
    severest,
)
from spfmilter.policy.rules import asks_for

__all__ = [
    "EXEMPTIONS",
    "NO_EVIDENCE",
    "Evidence",
    "NoEvidence",
    "addressee",
    "apply_mode",
    "asks_for",
    "awaits_header",
    "combine_recipients",
    "could_part_ways",
    "decide",
    "decide_at_mail",
    "decide_for",
    "downgrade",
    "exemption",
    "helo_checks",
    "may_yield",
    "on_error",
    "part_ways",
    "plan",
    "plan_behind",
    "separates",
    "severest",
]
