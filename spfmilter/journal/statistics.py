"""Count the rows of the journal: the database adds up, and only sums come here.

Knows the questions of the report, in the SQL that SQLite and PostgreSQL have in common. What the sums mean is for
others to say. All texts come back sanitized: whoever can write into the database may have written anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, distinct, func, literal_column, not_, or_, select

from spfmilter.journal.rows import NAME_LIMIT
from spfmilter.journal.sums import (
    MINUTES,
    BrokenDomain,
    Count,
    FailingHost,
    RefusedClient,
    RefusedDomain,
    ResolverFailure,
    SenderHost,
    Temperrors,
    UsedOverride,
)
from spfmilter.journal.tables import DECISION
from spfmilter.model import Disposition, OverrideType, ProblemKind, Result, SkipReason
from spfmilter.text import unicode_line

_BATCH = 5000  # rows that are held in memory at a time
_LAST = 2**63 - 1  # the last time; SQLite may keep a text there, which counts as later
_STATEMENT = 600_000  # milliseconds for one statement on PostgreSQL: a large journal takes longer than one case
_D = DECISION.c
_REFUSING = sorted(disposition for disposition in Disposition if disposition.refuses)
_FAILING = (Result.FAIL, Result.SOFTFAIL)
_BROKEN = (*_FAILING, Result.PERMERROR)


class Statistics:
    """The sums of the rows from one time to another."""

    def __init__(self, connection: Connection, since: int, until: int) -> None:
        self._connection = connection
        self._within = and_(_D.time >= since, _D.time < until)
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.text_factory = _decoded  # SQLite takes any bytes for a text
            connection.exec_driver_sql("BEGIN")  # so that all sums are of the same rows
        else:
            connection.execution_options(isolation_level="REPEATABLE READ")
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_STATEMENT}")

    def ends(self) -> tuple[int, int] | None:
        """Return the times of the oldest and of the newest row of all; None: there is none."""
        oldest, newest = (
            self._connection.execute(select(end(_D.time)).where(_D.time <= _LAST)).scalar()
            for end in (func.min, func.max)
        )
        return (int(oldest), int(newest)) if oldest is not None and newest is not None else None

    def counts(self, since: int, until: int, length: int, offset: int) -> Iterator[Count]:
        """Yield how many messages were alike, by steps of local time.

        Args:
            since: the first millisecond.
            until: the first one after it.
            length: of a step, in milliseconds.
            offset: of local time to UTC, in milliseconds.
        """
        # Numbers of our own, not parameters: PostgreSQL would take two of them for two expressions.
        step: ColumnElement[int] = literal_column(f"((decision.time + {int(offset)}) / {int(length)})")
        alike = (_D.host, _D.mailfrom_result, _D.helo_result, _D.decided_by, _D.action, _D.would, _D.skip, _D.override)
        query = (
            select(step.label("step"), *alike, func.count())
            .where(_D.time >= since, _D.time < until)
            .group_by(literal_column("step"), *alike)
        )
        for number, *row in self._rows(query):
            yield Count(max(since, int(number) * length - offset), *row)

    # -- what was refused ----------------------------------------------------------------------------------------------

    def refused_domains(self, *, monitor: bool, limit: int) -> Sequence[RefusedDomain]:
        """Return the domains for which most messages were refused, or would have been by monitor mode."""
        by_helo = _D.decided_by == "helo"
        result = case((by_helo, _D.helo_result), else_=_D.mailfrom_result)
        kinds = [_sum(result == kind) for kind in Result]
        number = func.count()
        query = (
            select(_judged(), number, func.count(distinct(_D.client)), func.max(_D.time), *kinds)
            .where(self._within, _refused(monitor=monitor))
            .group_by("judged")
            .order_by(number.desc(), "judged")
            .limit(limit)
        )
        return [
            RefusedDomain(domain, messages, clients, last, _not_zero(results))
            for domain, messages, clients, last, *results in self._rows(query)
        ]

    def refused_clients(self, *, monitor: bool) -> Iterator[RefusedClient]:
        """Yield the clients whose messages were refused, or would have been: IPv4 by networks of /24."""
        query = (
            select(
                _network(), func.count(), func.count(distinct(_D.client)), func.max(_D.client_name), func.max(_D.client)
            )
            .where(self._within, _D.client.is_not(None), _refused(monitor=monitor))
            .group_by("network")
        )
        for _, messages, clients, name, client in self._rows(query):
            yield RefusedClient(client, messages, clients, name)

    # -- forwarders ----------------------------------------------------------------------------------------------------

    def failing_hosts(self) -> Iterator[FailingHost]:
        """Yield the clients with messages that fail, and that no override let in."""
        either = or_(_D.action.in_(_REFUSING), _D.would.in_(_REFUSING))
        query = (
            select(
                _D.client,
                _D.client_name,
                func.count(),
                _sum(either),
                _sum(_D.helo_result == Result.PASS),
                func.max(case((_D.helo_result == Result.PASS, _D.helo))),
                func.count(distinct(_D.sender_domain)),
                func.min(_D.time),
                func.max(_D.time),
            )
            .where(self._failing())
            .group_by(_D.client, _D.client_name)
        )
        yield from (FailingHost(*row) for row in self._rows(query))

    def failing_senders(self, clients: Sequence[str], limit: int) -> Iterator[tuple[str, str, int]]:
        """Yield client, domain and the number of messages that fail, for some clients, the most first."""
        number = func.count()
        query = (
            select(_D.client, _D.sender_domain, number)
            .where(self._failing(), _D.client.in_(clients))
            .group_by(_D.client, _D.sender_domain)
            .order_by(number.desc(), _D.sender_domain)
            .limit(limit)
        )
        yield from ((str(client), str(domain), messages) for client, domain, messages in self._rows(query))

    def passes(self, clients: Sequence[str]) -> dict[str, int]:
        """Return how many messages of some clients have passed."""
        query = (
            select(_D.client, func.count())
            .where(self._within, _D.mailfrom_result == Result.PASS, _D.client.in_(clients))
            .group_by(_D.client)
        )
        return {str(client): messages for client, messages in self._rows(query)}

    def _failing(self) -> ColumnElement[bool]:
        return and_(
            self._within,
            _D.mailfrom_result.in_(_FAILING),
            _D.client.is_not(None),
            _D.sender_domain.is_not(None),
            _D.override.is_(None),
        )

    # -- partners ------------------------------------------------------------------------------------------------------

    def broken_domains(self, least: int, limit: int) -> Sequence[BrokenDomain]:
        """Return the domains that passed and failed, those with the most failures first.

        Args:
            least: how many failures are too few.
            limit: how many domains at most.
        """
        passes, failures = _sum(_D.mailfrom_result == Result.PASS), _sum(_D.mailfrom_result.in_(_BROKEN))
        query = (
            select(_D.sender_domain, passes, failures)
            .where(self._within, _D.sender_domain.is_not(None), _D.mailfrom_result.in_((Result.PASS, *_BROKEN)))
            .group_by(_D.sender_domain)
            .having(and_(passes > 0, failures >= least))
            .order_by(failures.desc(), _D.sender_domain)
            .limit(limit)
        )
        return [BrokenDomain(*row) for row in self._rows(query)]

    def sender_hosts(self, domains: Sequence[str], least: int, limit: int) -> Iterator[SenderHost]:
        """Yield the clients that failed for some domains at least ``least`` times, those with most failures first."""
        fails = _D.mailfrom_result.in_(_BROKEN)
        failures = _sum(fails)
        either = or_(_D.action.in_(_REFUSING), _D.would.in_(_REFUSING))
        hour: ColumnElement[int] = literal_column("(decision.time / 3600000)")
        query = (
            select(
                _D.client,
                _D.sender_domain,
                _sum(_D.mailfrom_result == Result.PASS),
                failures,
                _sum(and_(fails, either)),
                func.min(case((fails, _D.time))),
                func.max(case((fails, _D.time))),
                func.max(case((_D.mailfrom_result == Result.PASS, _D.time))),
                func.count(distinct(case((fails, hour)))),
            )
            .where(self._within, _D.client.is_not(None), _D.sender_domain.in_(domains))
            .group_by(_D.client, _D.sender_domain)
            .having(failures >= least)
            .order_by(failures.desc(), _D.client)
            .limit(limit)
        )
        yield from (SenderHost(*row) for row in self._rows(query))

    # -- the DNS -------------------------------------------------------------------------------------------------------

    def temperrors(self, limit: int) -> Sequence[Temperrors]:
        """Return the domains with most temperrors that were theirs."""
        ours, late = ProblemKind.OWN_RESOLVER, ProblemKind.TIME_LIMIT
        of_mailfrom = _D.mailfrom_result == Result.TEMPERROR
        problem = case((of_mailfrom, _D.mailfrom_problem), else_=_D.helo_problem)
        domain = case((of_mailfrom, func.coalesce(_D.sender_domain, _D.helo)), else_=_D.helo)
        number = func.count()
        query = (
            select(
                domain.label("judged"),
                number,
                _sum(problem == late),
                _sum(_D.action == Disposition.DEFER),
                func.max(_D.time),
            )
            .where(
                self._within,
                or_(of_mailfrom, _D.helo_result == Result.TEMPERROR),
                func.coalesce(problem, "") != ours,
            )
            .group_by("judged")
            .order_by(number.desc(), "judged")
            .limit(limit)
        )
        return [Temperrors(*row) for row in self._rows(query)]

    def resolver_failures(self, limit: int) -> Iterator[ResolverFailure]:
        """Yield when none of our own nameservers answered, the newest first."""
        slot: ColumnElement[int] = literal_column(f"(decision.time / {MINUTES})")
        ours = ProblemKind.OWN_RESOLVER
        query = (
            select(slot.label("slot"), _D.host, func.count())
            .where(self._within, or_(_D.mailfrom_problem == ours, _D.helo_problem == ours))
            .group_by(literal_column("slot"), _D.host)
            .order_by(literal_column("slot").desc())
            .limit(limit)
        )
        for number, host, messages in self._rows(query):
            yield ResolverFailure(int(number) * MINUTES, host, messages)

    # -- exceptions ----------------------------------------------------------------------------------------------------

    def overrides(self) -> Iterator[UsedOverride]:
        """Yield the overrides that were the reason. Those for DMARC are one: there are as many as domains."""
        by = case((_D.override == OverrideType.DMARC, None), else_=_D.override_by)
        query = (
            select(_D.override, by.label("named"), func.max(_D.rule), func.count(), func.max(_D.time))
            .where(self._within, _D.override.is_not(None))
            .group_by(_D.override, "named", literal_column("substr(decision.rule, 1, 20)"))
        )
        yield from (UsedOverride(*row) for row in self._rows(query))

    def skipped_clients(self) -> Iterator[str]:
        """Yield the clients that ``[exempt] networks`` exempts."""
        wanted = and_(self._within, _D.skip == SkipReason.NETWORK, _D.client.is_not(None))
        yield from (str(client) for (client,) in self._rows(select(_D.client).where(wanted).distinct()))

    def skipped_senders(self) -> Iterator[tuple[str, str | None]]:
        """Yield the domains that ``[exempt] senders`` exempts without a check, with their clients."""
        wanted = and_(self._within, _D.skip == SkipReason.SENDER, _D.sender_domain.is_not(None))
        for domain, client in self._rows(select(_D.sender_domain, _D.client).where(wanted).distinct()):
            yield str(domain), client

    # -- one case ------------------------------------------------------------------------------------------------------

    def newest_case(self, *, time: int, domain: str | None = None, client: str | None = None) -> str | None:
        """Return the case id of a row of one millisecond, for a domain or a client; None: it has none."""
        tests = [_D.time == time, _D.case_id.is_not(None)]
        tests += [or_(_D.sender_domain == domain, _D.helo == domain)] if domain is not None else []
        tests += [_D.client == client] if client is not None else []
        found = self._connection.execute(select(_D.case_id).where(and_(*tests)).limit(1)).scalar()
        return str(_plain(found)) if found is not None else None

    def _rows(self, query: Select[Any]) -> Iterator[list[Any]]:
        """Yield the rows of an answer, sanitized. They are read in batches."""
        with self._connection.execute(query.execution_options(stream_results=True, yield_per=_BATCH)) as rows:
            for row in rows:
                yield [cell if cell is None or type(cell) is int else _plain(cell) for cell in row]


def _not_zero(counts: Sequence[int]) -> Mapping[str, int]:
    return {str(result): count for result, count in zip(Result, counts, strict=True) if count}


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _plain(cell: object) -> str | int:
    """Return a value as an integer or as one harmless line. SQLite keeps values of any type in any column."""
    if isinstance(cell, (str, bytes)):
        text = _decoded(cell) if isinstance(cell, bytes) else cell
        return unicode_line(text, NAME_LIMIT)
    return int(cell) if isinstance(cell, (int, float)) or hasattr(cell, "__int__") else unicode_line(str(cell))


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


def _refused(*, monitor: bool) -> ColumnElement[bool]:
    return _D.would.in_(_REFUSING) if monitor else _D.action.in_(_REFUSING)


def _judged() -> ColumnElement[Any]:
    """Return the domain of the check that decided."""
    return case((_D.decided_by == "helo", _D.helo), else_=func.coalesce(_D.sender_domain, _D.helo)).label("judged")


def _network() -> ColumnElement[Any]:
    """Return what an IPv4 address has in common with its /24; of another address, all."""
    is_ip4 = not_(_D.client.contains(":"))
    return case((is_ip4, func.rtrim(_D.client, "0123456789")), else_=_D.client).label("network")
