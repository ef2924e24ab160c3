"""What we ask of an MTA before its first connection: protocol steps, rights and macros.

Knows which of them the settings need. An unneeded step is not sent to us; a step that needs no answer costs no round
trip.
"""

from __future__ import annotations

import milter

from spfmilter import headers, policy
from spfmilter.model import Condition
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode, RejectAt

# How we may change a message: requested when libmilter registers, and again from each MTA.
_ADDING = milter.ADDHDRS | milter.SETSYMLIST
ACTIONS = _ADDING | milter.CHGHDRS | milter.QUARANTINE
# Steps that we do not need at all, and those that need no answer: a message costs four round trips instead of thirty.
# Only some settings need RCPT and the header: see ``steps_for``.
_UNUSED = milter.P_NODATA | milter.P_NOEOH | milter.P_NOBODY | milter.P_NOUNKNOWN
_SILENT = milter.P_NR_CONN | milter.P_NR_HELO | milter.P_NR_HDR
_MACROS = {
    milter.M_CONNECT: "j {client_addr}",
    milter.M_ENVFROM: "i {auth_authen} {mail_addr}",
    milter.M_EOM: "i",
}
OWN_ADDRESS, RECIPIENT = "{daemon_addr}", "{rcpt_addr}"


def actions_for(settings: Settings) -> int:
    """Return how these settings may change a message: monitor mode only adds fields."""
    return int(ACTIONS if settings.policy.mode is Mode.ENFORCE else _ADDING)


def steps_for(settings: Settings) -> tuple[int, int, dict[int, str]]:
    """Return the steps that these settings do not need, those that need no answer, and the macros of each stage."""
    unused, silent, wanted = _UNUSED, _SILENT, dict(_MACROS)
    if settings.policy.reject_at is RejectAt.MAIL:
        unused |= milter.P_NORCPT
    elif settings.policy.reject_at is RejectAt.MESSAGE and not policy.separates(settings):
        silent |= milter.P_NR_RCPT
    if not unused & milter.P_NORCPT:
        wanted[milter.M_ENVRCPT] = RECIPIENT
    if not headers.watched(settings):
        unused |= milter.P_NOHDRS
    if policy.asks_for(Condition.WIDE_OPEN, settings) and not settings.policy.own_addresses:
        wanted[milter.M_CONNECT] += f" {OWN_ADDRESS}"
    return unused, silent, wanted
