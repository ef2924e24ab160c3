"""The policy: which checks a message needs, and what to do with their verdicts. Pure functions of values.

``plan`` returns the checks, or the reason to make none. ``decide_at_mail`` and ``decide_for`` decide by verdicts.
``combine_recipients`` combines the recipients' actions. ``Evidence`` answers questions about the DNS and the past.
"""

from spfmilter.policy.decide import apply_mode, decide, decide_at_mail, decide_for, on_error
from spfmilter.policy.evidence import NO_EVIDENCE, Evidence, NoEvidence
from spfmilter.policy.overrides import forwarder_check, may_yield
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
    "forwarder_check",
    "helo_checks",
    "may_yield",
    "on_error",
    "part_ways",
    "plan",
    "plan_behind",
    "separates",
    "severest",
]
