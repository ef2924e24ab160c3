"""The policy: which checks a message needs, and what is done with their verdicts. Pure functions of values.

``plan`` says what is to be checked, or why nothing is; ``judge`` and ``treat`` look at verdicts; ``settle`` brings the
recipients together. What only the DNS or the past can tell is asked of an ``Evidence``.
"""

from spfmilter.policy.decide import decide, judge, on_error, treat, with_condition, withhold
from spfmilter.policy.evidence import NOTHING, Evidence, Nothing
from spfmilter.policy.pardons import may_yield
from spfmilter.policy.plan import EXEMPTIONS, awaits_header, exemption, greeting, plan, plan_behind
from spfmilter.policy.recipients import addressee, could_part_ways, downgrade, part_ways, separates, settle, severest
from spfmilter.policy.rows import asks_for

__all__ = [
    "EXEMPTIONS",
    "NOTHING",
    "Evidence",
    "Nothing",
    "addressee",
    "asks_for",
    "awaits_header",
    "could_part_ways",
    "decide",
    "downgrade",
    "exemption",
    "greeting",
    "judge",
    "may_yield",
    "on_error",
    "part_ways",
    "plan",
    "plan_behind",
    "separates",
    "settle",
    "severest",
    "treat",
    "with_condition",
    "withhold",
]
