"""A message under way, from MAIL FROM to its end: one class for each state in which it can be.

``begin`` makes it. Each step (``mail``, ``recipient``, ``header``, ``end``, ``abandon``) returns an ``Outcome``, which
the shell performs. Knows no libmilter and no clock, and does no I/O.
"""

from spfmilter.message.message import CARRY_ON, Context, FindExtras, Message, Outcome
from spfmilter.message.states import Decided, begin

__all__ = ["CARRY_ON", "Context", "Decided", "FindExtras", "Message", "Outcome", "begin"]
