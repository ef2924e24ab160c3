"""The report for programs: JSON, in a form that stays. docs/report.md describes it. Pure.

Keys are added, but none changes its meaning without a new number in ``FORMAT``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from spfmilter.report.findings import Pointer
from spfmilter.report.summary import ACTIONS, RESULTS, MailReport, TopRefused

FORMAT = 1


def as_json(report: MailReport, pointers: Sequence[Pointer]) -> str:
    """Return the report as JSON text. Times are RFC 3339 with the local offset."""
    period, totals = report.period, report.totals
    whole: dict[str, Any] = {
        "format": FORMAT,
        "made": period.iso(report.made),
        "since": period.iso(report.asked),
        "until": period.iso(period.until),
        "journal": {"oldest": _time(report, report.oldest), "newest": _time(report, report.newest)},
        "mode": "monitor" if report.monitor else "enforce",
        "hosts": [{"host": host, "messages": messages} for host, messages in totals.hosts.most_common(20)],
        "totals": {
            "messages": totals.messages,
            "refused": totals.refused,
            "would_refuse": totals.would_refuse,
            "actions": _ordered(totals.actions, ACTIONS),
            "would": _ordered(totals.would, ACTIONS),
            "mailfrom": _ordered(totals.mailfrom, RESULTS),
            "helo": _ordered(totals.helo, RESULTS),
            "skips": dict(totals.skips.most_common()),
            "decided": [
                {"action": action, "identity": identity, "result": result or None, "messages": messages}
                for (action, identity, result), messages in totals.decided.most_common()
            ],
        },
        "trend": {
            "step": period.unit.word,
            "steps": [
                {
                    "start": period.iso(step.start),
                    "messages": step.messages,
                    "actions": _ordered(step.actions, ACTIONS),
                    "would": _ordered(step.would, ACTIONS),
                }
                for step in report.trend
            ],
        },
        "refused": _refusals(report, report.refused),
        "would_refuse": _refusals(report, report.would),
        "findings": [
            {
                "kind": one.kind,
                "title": one.title,
                "facts": list(one.facts),
                "steps": [{"kind": step.kind, "purpose": step.purpose, "text": step.text} for step in one.steps],
            }
            for one in pointers
        ],
        "temperrors": [
            {
                "domain": one.domain,
                "messages": one.messages,
                "timeouts": one.timeouts,
                "deferred": one.deferred,
                "last": period.iso(one.last),
            }
            for one in report.temperrors
        ],
        "resolver": [
            {"host": one.host, "start": period.iso(one.start), "end": period.iso(one.end), "messages": one.messages}
            for one in report.outages
        ],
        "overrides": [
            {"type": one.type, "by": one.by, "messages": one.messages, "last": period.iso(one.last)}
            for one in report.overrides
        ],
        "exceptions": [{"text": one.text, "used": one.used, "ends": _time(report, one.ends)} for one in report.entries],
    }
    return json.dumps(whole, indent=2)


def _time(report: MailReport, time: int | None) -> str | None:
    return report.period.iso(time) if time is not None else None


def _ordered(counts: Counter[str], known: Sequence[str]) -> dict[str, int]:
    """Return the counts of all known words, and then of what else the journal holds."""
    return {**{word: counts[word] for word in known}, **{word: counts[word] for word in counts if word not in known}}


def _refusals(report: MailReport, refusals: TopRefused) -> dict[str, Any]:
    return {
        "domains": [
            {
                "domain": one.domain,
                "messages": one.messages,
                "clients": one.clients,
                "results": dict(one.results),
                "last": report.period.iso(one.last),
                "case": case,
            }
            for one, case in zip(refusals.domains, refusals.cases, strict=True)
        ],
        "networks": [
            {"network": one.network, "messages": one.messages, "clients": one.clients, "name": one.name or None}
            for one in refusals.networks
        ],
    }
