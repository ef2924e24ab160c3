"""libmilter's callbacks: each translates one event for the Session, and the Session's outcome for libmilter.

Knows pymilter's C module, its codes and its traps: strings that may not be UTF-8, ``%`` in replies, codes that hang a
session. Has the only error boundary: no exception reaches libmilter. Decides nothing.

The module ``milter`` is used directly, without pymilter's class ``Milter.Base``: its negotiation turns every protocol
step back on when a macro list is set (docs/decisions/0005-pymilter.md).
"""

from __future__ import annotations

import functools
import secrets
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import milter

from spfmilter import caseid, headers, policy
from spfmilter.addresses import parse_address
from spfmilter.edits import Edits
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evidence import ConnectionEvidence
from spfmilter.exemptions.inforce import Exemptions
from spfmilter.helplink.signing import Refusals
from spfmilter.message import Outcome
from spfmilter.milter.macros import macro, macros
from spfmilter.milter.negotiation import ACTIONS, OWN_ADDRESS, RECIPIENT, actions_for, steps_for
from spfmilter.milter.running import AtWork, Running
from spfmilter.model import SkipReason, Transaction
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics
from spfmilter.observe.ratelimited import RateLimitedLog
from spfmilter.reply import Reply, internal_error
from spfmilter.session import Session
from spfmilter.settings import Settings
from spfmilter.state import Deferrals

if TYPE_CHECKING:
    from spfmilter.helplink.token import Signer
    from spfmilter.journal.recorder import Recorder

NAME = "spfmilter"
_P = ParamSpec("_P")
_PERMANENT = 500  # the first code of a refusal for good
_NOREPLY = int(milter.NOREPLY)
_CR, _QUESTION_MARK = b"\r?"  # as numbers: a search for b"?" takes Python twenty times as long
_MAX_NAMES, _MAX_NAME = 1024, 64  # names of header fields that are remembered, and their characters


class _Connection:
    """A Session, with its state towards libmilter."""

    __slots__ = ("at_work", "broken", "evidence", "granted", "inquiry", "session", "silent")

    def __init__(self, session: Session, evidence: ConnectionEvidence, at_work: AtWork) -> None:
        self.session, self.evidence, self.inquiry, self.at_work = session, evidence, evidence.inquiry, at_work
        self.granted = ACTIONS  # what the MTA lets us do to a message
        self.silent = 0  # steps for which the MTA awaits no answer
        self.broken = False  # an event was lost by a fault: ``on_error`` decides about the next message


def _boundary(step: int, *, decides: bool) -> Callable[..., Callable[..., int]]:
    """Let no exception out of a callback.

    Args:
        step: the ``P_NR_`` flag of the callback; 0 if it has none.
        decides: whether the callback's answer decides about the message. After a fault in another callback, or in one
            whose answer is not awaited, the next callback that decides follows ``on_error``.
    """

    def wrap(
        method: Callable[Concatenate[Callbacks, Any, _P], int],
    ) -> Callable[Concatenate[Callbacks, Any, _P], int]:
        @functools.wraps(method)
        def call(self: Callbacks, ctx: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> int:
            try:
                code = method(self, ctx, *args, **kwargs)
            except BaseException:  # noqa: BLE001 - also SystemExit: it would leave the session hanging for ever
                code = self._failed(ctx, method.__name__, decides=decides and not _silent(ctx, step))
            return _NOREPLY if _silent(ctx, step) else code

        return call

    return wrap


def _new_case() -> str:
    """Return a case id: random, so that it is unique over hosts and restarts."""
    return caseid.of_bits(secrets.randbits(caseid.BITS))


def _silent(ctx: Any, step: int) -> bool:
    """Return whether the MTA awaits no answer to this step of this connection."""
    if not step:
        return False
    connection = ctx.getpriv()
    return isinstance(connection, _Connection) and bool(connection.silent & step)


class Callbacks:
    """The callbacks of one process, all with the same settings and evaluator."""

    def __init__(  # noqa: PLR0913 - what a worker has for all its sessions
        self,
        settings: Settings,
        engine: Engine,
        hostname: str,
        metrics: Metrics,
        *,
        deferrals: Deferrals,
        exemptions: Callable[[], Exemptions],
        signer: Signer | None = None,
        journal: Recorder | None = None,
    ) -> None:
        self._settings, self._engine, self._hostname, self._metrics = settings, engine, hostname, metrics
        self._deferrals, self._exemptions = deferrals, exemptions
        self._refusals, self._journal = Refusals(settings, signer), journal
        self._unused, self._silent, self._macros = steps_for(settings)
        self._actions = actions_for(settings)
        self._at_worst = int(milter.TEMPFAIL if policy.on_error(settings)[0].refuses else milter.ACCEPT)
        self._rate_limited = RateLimitedLog()
        self._watched = headers.watched(settings)
        self._all_silent = True  # every MTA so far awaits no answer to a header field
        self._passed: set[str] = set()  # names of header fields, as they were written, that are not watched
        self.running = Running()  # those that evaluate
        self.sessions: set[_Connection] = set()  # that are open

    def register(self) -> None:
        """Register the callbacks with libmilter. Call this once in a process, before its socket is opened."""
        milter.set_flags(self._actions)
        # If pymilter cannot call us (a name that is not UTF-8), libmilter continues: the Session works without the
        # missing event.
        milter.set_exception_policy(milter.CONTINUE)
        sys.excepthook = self._lost  # pymilter reports it here; by default it would print a traceback
        milter.set_connect_callback(self.connect)
        milter.set_helo_callback(self.helo)
        milter.set_envfrom_callback(self.envfrom)
        if not self._unused & milter.P_NORCPT:
            milter.set_envrcpt_callback(self.envrcpt)
        milter.set_header_callback(self.header)
        milter.set_eom_callback(self.eom)
        milter.set_abort_callback(self.abort)
        milter.set_close_callback(self.close)
        milter.register(NAME, negotiate=self.negotiate)

    def _lost(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Log that pymilter could not pass an event to us."""
        if issubclass(kind, UnicodeDecodeError):
            self._rate_limited.unreadable(str(error))
        else:
            log.fault("pymilter", "".join(traceback.format_exception(kind, error, trace)))

    # -- the connection ----------------------------------------------------------------------------------------------

    @_boundary(0, decides=False)
    def negotiate(self, ctx: Any, options: list[int]) -> int:
        """Ask the MTA for only those steps, macros and rights that we need."""
        connection = self._open(ctx, negotiated=True)
        offered_actions, offered_steps = options[0], options[1]
        options[0] = connection.granted = offered_actions & self._actions
        options[1] = offered_steps & (self._unused | self._silent)
        options[2] = options[3] = 0
        connection.silent = options[1] & self._silent
        if not connection.silent & milter.P_NR_HDR:
            self._all_silent = False
        if offered_actions & milter.SETSYMLIST:
            for stage, names in self._macros.items():
                ctx.setsymlist(stage, names)
        return int(milter.CONTINUE)

    def _open(self, ctx: Any, *, negotiated: bool = False) -> _Connection:
        connection = ctx.getpriv()
        if not isinstance(connection, _Connection):
            self._all_silent = self._all_silent and negotiated
            inquiry, own = self._engine.inquiry(), self._settings.policy.own_addresses
            evidence = ConnectionEvidence(
                inquiry, own_addresses=own, deferred_since=self._deferrals.since, exemptions=self._exemptions
            )
            extras = functools.partial(self._refusals.extras, inquiry)
            session = Session(self._settings, self._hostname, evidence, extras=extras, new_case=_new_case)
            connection = _Connection(session, evidence, AtWork(self.running, evidence.budget))
            ctx.setpriv(connection)
            self.sessions.add(connection)
            self._metrics.session(1)
        return connection

    @_boundary(milter.P_NR_CONN, decides=False)
    def connect(self, ctx: Any, name: str, _family: int, hostaddr: object) -> int:
        """Take the client's name and address."""
        connection = self._open(ctx)
        connection.session.connect(name, hostaddr)
        if OWN_ADDRESS in self._macros[milter.M_CONNECT]:
            connection.evidence.own_address = parse_address(macro(ctx, OWN_ADDRESS))
        return int(milter.CONTINUE)

    @_boundary(milter.P_NR_HELO, decides=False)
    def helo(self, ctx: Any, name: str) -> int:
        """Take HELO or EHLO. Send its lookups now; MAIL FROM reads their answers."""
        connection = self._open(ctx)
        connection.session.hello(name)
        connection.inquiry.done()
        connection.inquiry.expect(connection.session.expected())
        return int(milter.CONTINUE)

    @_boundary(0, decides=False)
    def close(self, ctx: Any) -> int:
        """Close the connection."""
        connection = ctx.getpriv()
        ctx.setpriv(None)
        if isinstance(connection, _Connection):
            self.sessions.discard(connection)
            self._metrics.session(-1)
            connection.inquiry.close()
            self._record(connection.session.abandon().ended)
        return int(milter.CONTINUE)

    # -- the message -------------------------------------------------------------------------------------------------

    @_boundary(0, decides=True)
    def envfrom(self, ctx: Any, sender: bytes, *parameters: bytes) -> int:
        """Take MAIL FROM: evaluate, decide, and refuse the message if the policy says so."""
        connection = self._open(ctx)
        if connection.broken:
            connection.broken = False
            return self._on_error(ctx)
        self._abandon(connection)  # an MTA may begin a new message without RSET
        session, inquiry = connection.session, connection.inquiry
        connection.evidence.budget.start(self._settings.dns.timeout.seconds)
        try:
            with connection.at_work:
                outcome = session.mail(_text(sender), [_text(p) for p in parameters], macros(ctx))
        finally:
            if not session.undecided:
                inquiry.done()
        return self._perform(ctx, outcome)

    @_boundary(milter.P_NR_RCPT, decides=True)
    def envrcpt(self, ctx: Any, recipient: bytes, *_parameters: bytes) -> int:
        """Take RCPT TO: refuse this recipient if the policy says so."""
        connection = self._open(ctx)
        with connection.at_work:
            outcome = connection.session.recipient(_text(recipient), macro(ctx, RECIPIENT))
        return self._perform(ctx, outcome)

    def header(self, ctx: Any, name: str, value: bytes) -> int:
        """Take a header field. Fast path: no answer is awaited, and we watch neither this name nor this value."""
        if self._all_silent:
            # A known name, and neither octet that ``may_hide`` looks for. Not a function: a call costs twice as much.
            if name in self._passed and _CR not in value and _QUESTION_MARK not in value:
                return _NOREPLY
            if name.rstrip(" \t").lower() not in self._watched and not headers.may_hide(value):
                self._passed |= {name} if len(self._passed) < _MAX_NAMES and len(name) <= _MAX_NAME else set()
                return _NOREPLY
        return self._watched_header(ctx, name, value)

    @_boundary(milter.P_NR_HDR, decides=False)
    def _watched_header(self, ctx: Any, name: str, value: bytes) -> int:
        self._open(ctx).session.header(name, _text(value))
        return int(milter.CONTINUE)

    @_boundary(0, decides=True)
    def eom(self, ctx: Any) -> int:
        """Take the end of the message, and change the message as decided."""
        connection = self._open(ctx)
        session, queue_id = connection.session, macro(ctx, "i")
        if not session.undecided:
            outcome = session.end_of_message(queue_id)
        elif connection.broken:
            outcome = session.abandon()
        else:
            with connection.at_work:
                outcome = session.end_of_message(queue_id)
            connection.inquiry.done()
        if connection.broken:
            connection.broken = False
            self._record(outcome.ended)
            return self._on_error(ctx)
        return self._change(ctx, connection, outcome)

    def _change(self, ctx: Any, connection: _Connection, outcome: Outcome) -> int:
        """Change a message, which the protocol allows only at its end. Then record it and answer.

        libmilter does not say why a change has failed. A change that fails while the MTA is connected is a bug of ours.
        If the MTA has disconnected, the message is recorded as abandoned.
        """
        try:
            _apply(ctx, outcome.edits, connection.granted)
        except Exception as error:
            gone = isinstance(error, milter.error) and not _is_there(ctx)
            self._record(replace(outcome.ended, ended="abandoned") if outcome.ended and gone else outcome.ended)
            if not gone:
                raise
            return int(milter.TEMPFAIL)  # the MTA does not get it
        return self._perform(ctx, outcome)

    def _perform(self, ctx: Any, outcome: Outcome) -> int:
        """Record the transaction, if the message ends with this step, and answer the MTA."""
        self._record(outcome.ended)
        return _answer(ctx, outcome.reply)

    @_boundary(0, decides=False)
    def abort(self, ctx: Any) -> int:
        """Give up the message. The connection may continue."""
        self._abandon(self._open(ctx))
        return int(milter.CONTINUE)

    def _abandon(self, connection: _Connection) -> None:
        if connection.session.undecided:
            connection.inquiry.done()
        self._record(connection.session.abandon().ended)

    # -- records and faults ------------------------------------------------------------------------------------------

    def _record(self, ended: Transaction | None) -> None:
        if ended is None:
            return
        log.transaction(ended)
        self._metrics.transaction(ended)
        if self._journal is not None:
            self._journal.record(ended)
        for verdict in ended.verdicts:
            if verdict.fault is not None:
                self._metrics.fault()
        if ended.plan.skip is SkipReason.PRIVATE:
            self._rate_limited.private_client(str(ended.facts.client.address))

    def _failed(self, ctx: Any, where: str, *, decides: bool) -> int:
        """Log a fault, and follow ``on_error``: now, or at the next callback that decides."""
        try:
            connection = ctx.getpriv()
            if not decides and isinstance(connection, _Connection):
                connection.broken = where != "close"  # first: the rest may fail, too, for lack of memory
            log.fault(where, traceback.format_exc())
            self._metrics.fault()
            if decides:
                return self._on_error(ctx)
        except BaseException:  # noqa: BLE001 - the boundary itself must hold, e.g. when memory has run out
            return self._at_worst if decides else int(milter.CONTINUE)
        return int(milter.CONTINUE)

    def _on_error(self, ctx: Any) -> int:
        disposition, _ = policy.on_error(self._settings)
        # ACCEPT and not CONTINUE: the MTA sends us no more of a message that we cannot handle.
        return _answer(ctx, internal_error()) if disposition.refuses else int(milter.ACCEPT)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _answer(ctx: Any, reply: Reply | None) -> int:
    """Answer the MTA. No other function sets a reply. libmilter refuses a ``%`` that is not doubled."""
    if reply is None:
        return int(milter.CONTINUE)
    ctx.setreply(str(reply.code), reply.status, *(line.replace("%", "%%") for line in reply.lines))
    return int(milter.REJECT if reply.code >= _PERMANENT else milter.TEMPFAIL)


def _is_there(ctx: Any) -> bool:
    """Return whether the MTA is still connected: try to report progress, which changes nothing."""
    try:
        ctx.progress()
    except milter.error:
        return False
    return True


def _apply(ctx: Any, edits: Edits, granted: int) -> None:
    """Change a message: remove forged fields, then insert ours on top, in reading order. No other function changes it.

    Changes that the MTA does not allow are left out: libmilter would refuse them, and the message must not fail.
    """
    for removal in edits.remove if granted & milter.CHGHDRS else ():
        ctx.chgheader(removal.name, removal.index, None)
    for change in edits.replace if granted & milter.CHGHDRS else ():
        ctx.chgheader(change.name, change.index, change.value)
    for field in reversed(edits.insert) if granted & milter.ADDHDRS else ():
        ctx.addheader(field.name, field.value, 0)
    if edits.quarantine is not None and granted & milter.QUARANTINE:
        ctx.quarantine(edits.quarantine)
