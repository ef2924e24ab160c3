"""libmilter's callbacks: each translates one event for the Session, and what the Session says back for libmilter.

Knows pymilter's C module, its codes and its traps (strings that may not be UTF-8, ``%`` in replies, codes that hang a
session), and holds the one error boundary: nothing is raised into libmilter, whatever happens. Decides nothing.

The module ``milter`` is used directly, without pymilter's class ``Milter.Base``: its negotiation turns every protocol
step back on when a macro list is set (docs/decisions/0005-pymilter.md).
"""

from __future__ import annotations

import functools
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import milter

from spfmilter import headers, policy
from spfmilter.evaluation.engine import Engine, Inquiry
from spfmilter.milter.session import Macros, Session
from spfmilter.model import Disposition, Edits, SkipReason, Transaction
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics
from spfmilter.refusal import Refusals
from spfmilter.reply import Reply, internal_error
from spfmilter.settings import Settings

if TYPE_CHECKING:
    from spfmilter.token import Signer

NAME = "spfmilter"
_P = ParamSpec("_P")
# What we may do to a message; asked for when libmilter registers, and again of each MTA.
_ACTIONS = milter.ADDHDRS | milter.CHGHDRS | milter.QUARANTINE | milter.SETSYMLIST
# Steps that we do not need at all, and those that need no answer: a message costs four round trips instead of thirty.
_UNUSED = milter.P_NORCPT | milter.P_NODATA | milter.P_NOEOH | milter.P_NOBODY | milter.P_NOUNKNOWN
_SILENT = milter.P_NR_CONN | milter.P_NR_HELO | milter.P_NR_HDR
_MACROS = {
    milter.M_CONNECT: "j {client_addr}",
    milter.M_ENVFROM: "i {auth_authen} {mail_addr}",
    milter.M_EOM: "i",
}
_NOREPLY = int(milter.NOREPLY)
_CODES = {
    Disposition.ACCEPT: milter.CONTINUE,
    Disposition.TAG: milter.CONTINUE,
    Disposition.QUARANTINE: milter.CONTINUE,
    Disposition.DEFER: milter.TEMPFAIL,
    Disposition.REJECT: milter.REJECT,
}


class _Connection:
    """A Session with what libmilter needs to know beside it."""

    __slots__ = ("broken", "granted", "inquiry", "session", "silent")

    def __init__(self, session: Session, inquiry: Inquiry) -> None:
        self.session, self.inquiry = session, inquiry
        self.granted = _ACTIONS  # what the MTA lets us do to a message
        self.silent = 0  # steps for which the MTA awaits no answer
        self.broken = False  # an event was lost to our own error: the next message follows on_error


def _boundary(step: int, *, decides: bool) -> Callable[..., Callable[..., int]]:
    """Let no exception out of a callback.

    Args:
        step: the ``P_NR_`` flag of the callback, 0 where it has none.
        decides: whether the callback's answer settles the message; others carry on and leave it to the one that does.
    """

    def wrap(
        method: Callable[Concatenate[Callbacks, Any, _P], int],
    ) -> Callable[Concatenate[Callbacks, Any, _P], int]:
        @functools.wraps(method)
        def call(self: Callbacks, ctx: Any, /, *args: _P.args, **kwargs: _P.kwargs) -> int:
            try:
                code = method(self, ctx, *args, **kwargs)
            except BaseException:  # noqa: BLE001 - also SystemExit: it would leave the session hanging for ever
                code = self._failed(ctx, method.__name__, decides=decides)
            connection = ctx.getpriv()
            silent = connection.silent if isinstance(connection, _Connection) else 0
            return _NOREPLY if silent & step else code

        return call

    return wrap


class Callbacks:
    """The callbacks of one process, all with the same settings and evaluator."""

    def __init__(
        self, settings: Settings, engine: Engine, hostname: str, metrics: Metrics, *, signer: Signer | None = None
    ) -> None:
        self._settings, self._engine, self._hostname, self._metrics = settings, engine, hostname, metrics
        self._refusals = Refusals(settings, signer)
        self._seldom = log.Seldom()
        self._watched = headers.watched(settings)
        self._all_silent = True  # every MTA so far awaits no answer to a header field
        self._running: dict[int, float] = {}  # the MAIL FROMs being judged: when each began

    def register(self) -> None:
        """Tell libmilter of the callbacks; once in a process, before its socket is opened."""
        milter.set_flags(_ACTIONS)
        # What libmilter does when pymilter itself cannot call us (a name that is not UTF-8): carry on; the Session
        # copes with events that never came.
        milter.set_exception_policy(milter.CONTINUE)
        sys.excepthook = self._lost  # where pymilter reports it; by default as bare lines in our log
        milter.set_connect_callback(self.connect)
        milter.set_helo_callback(self.helo)
        milter.set_envfrom_callback(self.envfrom)
        milter.set_header_callback(self.header)
        milter.set_eom_callback(self.eom)
        milter.set_abort_callback(self.abort)
        milter.set_close_callback(self.close)
        milter.register(NAME, negotiate=self.negotiate)

    def _lost(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """An event that pymilter could not hand to us."""
        if issubclass(kind, UnicodeDecodeError):
            self._seldom.unreadable(str(error))
        else:
            log.fault("pymilter", "".join(traceback.format_exception(kind, error, trace)))

    def longest_running(self) -> float:
        """Seconds that the oldest MAIL FROM at work has taken so far."""
        return time.monotonic() - min(list(self._running.values()), default=time.monotonic())

    # -- the connection ----------------------------------------------------------------------------------------------

    @_boundary(0, decides=False)
    def negotiate(self, ctx: Any, options: list[int]) -> int:
        """Ask the MTA for just the steps, macros and rights that we need."""
        connection = self._open(ctx, negotiated=True)
        offered_actions, offered_steps = options[0], options[1]
        unused = _UNUSED if self._settings.headers.remove_forged else _UNUSED | milter.P_NOHDRS
        options[0] = connection.granted = offered_actions & _ACTIONS
        options[1] = offered_steps & (unused | _SILENT)
        options[2] = options[3] = 0
        connection.silent = options[1] & _SILENT
        if not connection.silent & milter.P_NR_HDR:
            self._all_silent = False
        if offered_actions & milter.SETSYMLIST:
            for stage, names in _MACROS.items():
                ctx.setsymlist(stage, names)
        return int(milter.CONTINUE)

    def _open(self, ctx: Any, *, negotiated: bool = False) -> _Connection:
        connection = ctx.getpriv()
        if not isinstance(connection, _Connection):
            self._all_silent = self._all_silent and negotiated
            inquiry = self._engine.inquiry()
            extras = functools.partial(self._refusals.extras, inquiry)
            connection = _Connection(Session(self._settings, self._hostname, extras=extras), inquiry)
            ctx.setpriv(connection)
            self._metrics.session(1)
        return connection

    @_boundary(milter.P_NR_CONN, decides=False)
    def connect(self, ctx: Any, name: str, _family: int, hostaddr: object) -> int:
        """The client's name and address."""
        self._open(ctx).session.connect(name, hostaddr)
        return int(milter.CONTINUE)

    @_boundary(milter.P_NR_HELO, decides=False)
    def helo(self, ctx: Any, name: str) -> int:
        """HELO or EHLO: its lookups go out now, and are read when MAIL FROM comes."""
        connection = self._open(ctx)
        connection.session.hello(name)
        connection.inquiry.done()
        connection.inquiry.expect(connection.session.expected())
        return int(milter.CONTINUE)

    @_boundary(0, decides=False)
    def close(self, ctx: Any) -> int:
        """The connection is gone."""
        connection = ctx.getpriv()
        ctx.setpriv(None)
        if isinstance(connection, _Connection):
            self._metrics.session(-1)
            connection.inquiry.close()
            self._record(connection.session.abandon())
        return int(milter.CONTINUE)

    # -- the message -------------------------------------------------------------------------------------------------

    @_boundary(0, decides=True)
    def envfrom(self, ctx: Any, sender: bytes, *parameters: bytes) -> int:
        """MAIL FROM: evaluate, decide, and refuse where the policy says so."""
        connection = self._open(ctx)
        if connection.broken:
            connection.broken = False
            return self._on_error(ctx)
        self._record(connection.session.abandon())  # an MTA that begins anew without saying RSET
        inquiry, key, start = connection.inquiry, id(connection), time.monotonic()
        deadline = start + self._settings.dns.timeout.seconds
        self._running[key] = start
        try:
            action, reply, ended = connection.session.mail(
                _text(sender),
                [_text(parameter) for parameter in parameters],
                _macros(ctx),
                lambda check: inquiry.evaluate(check, deadline=deadline),
                inquiry.expect,
            )
        finally:
            del self._running[key]
            inquiry.done()
        self._record(ended)
        if reply is not None:
            _say(ctx, reply)
        return int(_CODES[action.disposition])

    def header(self, ctx: Any, name: str, value: bytes) -> int:
        """A header field; most are nobody's business, and are let through before anything else is done."""
        if self._all_silent and name.rstrip().lower() not in self._watched:
            return _NOREPLY
        return self._watched_header(ctx, name, value)

    @_boundary(milter.P_NR_HDR, decides=False)
    def _watched_header(self, ctx: Any, name: str, value: bytes) -> int:
        self._open(ctx).session.header(name, _text(value))
        return int(milter.CONTINUE)

    @_boundary(0, decides=True)
    def eom(self, ctx: Any) -> int:
        """The end of the message: change it as decided."""
        connection = self._open(ctx)
        edits, ended = connection.session.end_of_message(_macro(ctx, "i"))
        self._record(ended)
        if connection.broken:
            connection.broken = False
            return self._on_error(ctx)
        _apply(ctx, edits, connection.granted)
        return int(milter.CONTINUE)

    @_boundary(0, decides=False)
    def abort(self, ctx: Any) -> int:
        """The message ends early; the connection may go on."""
        self._record(self._open(ctx).session.abandon())
        return int(milter.CONTINUE)

    # -- trouble and records -----------------------------------------------------------------------------------------

    def _record(self, ended: Transaction | None) -> None:
        if ended is None:
            return
        log.transaction(ended)
        self._metrics.transaction(ended)
        for verdict in ended.verdicts:
            if verdict.fault is not None:
                self._metrics.fault()
        if ended.plan.skip is SkipReason.PRIVATE:
            self._seldom.private_client(str(ended.facts.client.address))

    def _failed(self, ctx: Any, where: str, *, decides: bool) -> int:
        """Our own error: one log line, and what ``on_error`` says, now or at the callback that decides."""
        try:
            log.fault(where, traceback.format_exc())
            self._metrics.fault()
            if decides:
                return self._on_error(ctx)
            connection = ctx.getpriv()
            if isinstance(connection, _Connection):
                connection.broken = where != "close"
        except BaseException:  # noqa: BLE001 - the boundary itself must hold, e.g. when memory has run out
            return int(milter.TEMPFAIL if decides else milter.CONTINUE)
        return int(milter.CONTINUE)

    def _on_error(self, ctx: Any) -> int:
        disposition, _ = policy.on_error(self._settings)
        if disposition.refuses:
            _say(ctx, internal_error())
        # ACCEPT and not CONTINUE: nothing more is asked of us about a message that we are not fit to handle.
        return int(_CODES[disposition]) if disposition.refuses else int(milter.ACCEPT)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _macro(ctx: Any, name: str, unreadable: str = "") -> str:
    """A macro's value, empty where the MTA has none; ``unreadable`` where it is not UTF-8 (pymilter is strict)."""
    try:
        return ctx.getsymval(name) or ""
    except UnicodeDecodeError:
        return unreadable


def _macros(ctx: Any) -> Macros:
    return Macros(
        queue_id=_macro(ctx, "i"),
        authenticated=_macro(ctx, "{auth_authen}", unreadable="?"),
        hostname=_macro(ctx, "j"),
        client_address=_macro(ctx, "{client_addr}"),
        mail_address=_macro(ctx, "{mail_addr}"),
    )


def _say(ctx: Any, reply: Reply) -> None:
    """The only place where a reply is given; libmilter refuses a ``%`` that is not doubled."""
    ctx.setreply(str(reply.code), reply.status, *(line.replace("%", "%%") for line in reply.lines))


def _apply(ctx: Any, edits: Edits, granted: int) -> None:
    """The only place where a message is changed: forged fields go first, then ours come, in reading order on top.

    What the MTA does not let us do is left undone: libmilter would refuse it, and the message must not suffer for that.
    """
    for removal in edits.remove if granted & milter.CHGHDRS else ():
        ctx.chgheader(removal.name, removal.index, None)
    for field in reversed(edits.insert) if granted & milter.ADDHDRS else ():
        ctx.addheader(field.name, field.value, 0)
    if edits.quarantine is not None and granted & milter.QUARANTINE:
        ctx.quarantine(edits.quarantine)
