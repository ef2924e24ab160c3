"""Make a report: ask the journal for sums, the DNS for the names of likely forwarders, and put all together.

Knows the order of the questions and their bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from spfmilter.exemptions.exemption import Exemption
from spfmilter.journal.reader import Journal
from spfmilter.journal.statistics import Statistics
from spfmilter.model import Result
from spfmilter.report import exceptions, forwarders, partners
from spfmilter.report.forwarders import Forwarder
from spfmilter.report.period import Period, WantedSpan
from spfmilter.report.resolver import outages
from spfmilter.report.summary import MailReport, TopRefused, networks, tallied
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode

TOP = 10  # lines of a list
_GROUPS = 60  # groups of hosts that are looked at more closely
_PAIRS = 20_000  # clients and domains of them together
_SLOTS = 5_000  # ten minutes each in which our own resolver failed: more than a month
_OVERRIDES = 5_000

Confirm = Callable[[Sequence[Forwarder]], Sequence[Forwarder]]


def gather(
    journal: Journal,
    settings: Settings,
    asked: WantedSpan,
    *,
    confirm: Confirm | None = None,
    exemptions: Sequence[Exemption] = (),
) -> MailReport:
    """Return the report on a span of time.

    Args:
        journal: open, and not yet asked for anything.
        settings: those of the INI file: the mode, and the exceptions.
        asked: the span.
        confirm: asks the DNS for the names of likely forwarders; None: do not ask.
        exemptions: the temporary ones, as the store has them.

    Raises:
        SQLAlchemyError: the journal cannot be read; ``reading`` makes a ``JournalError`` of it.
    """
    since, until, now, zone = asked
    sums = journal.statistics(since, until)
    ends = sums.ends()
    oldest, newest = ends if ends is not None else (None, None)
    # The trend does not show the time before the first row.
    period = Period(min(max(since, oldest or since), until - 1), until, zone)
    counts = (
        count
        for start, end, offset in period.segments()
        for count in sums.counts(start, end, period.unit.length, offset)
    )
    totals, trend = tallied(counts, period)
    # Each question reads all rows of the span, so none is asked whose answer is known.
    fails = totals.mailfrom[Result.FAIL] + totals.mailfrom[Result.SOFTFAIL]
    found = _forwarders(sums) if fails else []
    if confirm is not None and found:
        found = list(confirm(found))
    broken = []
    if fails + totals.mailfrom[Result.PERMERROR]:
        broken = _partners(sums, {host for forwarder in found for host in forwarder.hosts})
    used = list(islice(sums.overrides(), _OVERRIDES)) if totals.overrides else []
    failed_dns = totals.mailfrom[Result.TEMPERROR] + totals.helo[Result.TEMPERROR]
    return MailReport(
        period=period,
        made=now,
        monitor=settings.policy.mode is Mode.MONITOR,
        asked=since,
        oldest=oldest,
        newest=newest,
        totals=totals,
        trend=trend,
        refused=_refusals(sums, monitor=False) if totals.refused else TopRefused(),
        would=_refusals(sums, monitor=True) if totals.would_refuse else TopRefused(),
        forwarders=found,
        forwarder_cases=[sums.newest_case(time=one.last, client=one.last_client) for one in found],
        partners=broken,
        partner_cases=[sums.newest_case(time=one.last, domain=one.domain) for one in broken],
        asked_dns=confirm is not None,
        temperrors=sums.temperrors(TOP) if failed_dns else [],
        outages=outages(sums.resolver_failures(_SLOTS)) if failed_dns else [],
        overrides=sorted(used, key=lambda one: (-one.messages, one.type or "", one.by or "")),
        entries=[
            *exceptions.of_settings(settings, used, sums.skipped_clients, sums.skipped_senders),
            *exceptions.of_exemptions(exemptions, used, now, since),
        ],
    )


def _forwarders(sums: Statistics) -> list[Forwarder]:
    groups = forwarders.grouped(sums.failing_hosts(), _GROUPS)
    clients = list(forwarders.addresses(groups))
    if not clients:
        return []
    return forwarders.found(groups, sums.failing_senders(clients, _PAIRS), sums.passes(clients), TOP)


def _partners(sums: Statistics, strangers: set[str]) -> list[partners.Partner]:
    domains = sums.broken_domains(partners.LEAST_FAILURES, 200)
    names = [domain.domain for domain in domains if domain.domain is not None]
    if not names:
        return []
    return partners.found(domains, sums.sender_hosts(names, partners.LEAST_FAILURES, 5_000), strangers, TOP)


def _refusals(sums: Statistics, *, monitor: bool) -> TopRefused:
    domains = sums.refused_domains(monitor=monitor, limit=TOP)
    if not domains:
        return TopRefused()
    cases = [sums.newest_case(time=one.last, domain=one.domain) for one in domains]
    return TopRefused(domains, networks(sums.refused_clients(monitor=monitor), TOP), cases)
