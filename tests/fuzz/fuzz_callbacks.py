"""In any order of calls, with any arguments of pymilter, no callback fails, and each returns an allowed value.

The context is as strict as the C code: text that is not UTF-8 raises where it decodes, and a reply or a field that
libmilter would refuse is an error. An input is a number of steps with NULs between them; the first octet of each says
which, the rest is its text. The very first octet chooses the settings.
"""

import logging
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any
from unittest import mock

import milter

from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Share
from spfmilter.exemptions.inforce import Exemptions
from spfmilter.milter.callbacks import Callbacks
from spfmilter.model import Check, Verdict
from spfmilter.observe import log, targets
from spfmilter.observe.metrics import Metrics
from spfmilter.settings.schema import LogFormat
from spfmilter.state import Deferrals
from tests.evaluation.world import World
from tests.values import NO_EXTRAS, settings

ALL = 0xFFFFFFFF
HOSTS = {"4": "203.0.113.7", "r": "192.0.2.2", "l": "127.0.0.1", "p": "10.0.0.1"}
HOSTS6 = {"6": "2001:db8::7", "s": "::1", "m": "::ffff:203.0.113.7", "x": "inet6:unknown"}
MACROS = ("i", "j", "{client_addr}", "{auth_authen}", "{mail_addr}", "{rcpt_addr}", "{daemon_addr}")
INI = (
    "[policy]\nreject_at = {stage}\nyield_to_dmarc = {late}\n[policy.mailfrom]\nnone = {odd}\npermerror = {odd}\n"
    "softfail = quarantine\n[relays]\ntrusted = 192.0.2.2\n[headers]\ntag_subject = [垃圾]\nskipped = yes\n"
    "[reply]\nsuggest_services = no\n"
)
ZONE: Mapping[str, list[Any]] = {
    "pass.example": [{"TXT": "v=spf1 ip4:203.0.113.7 -all"}],
    "fail.example": [{"TXT": "v=spf1 -all"}],
    "soft.example": [{"TXT": "v=spf1 ~all"}],
    "dead.example": ["TIMEOUT"],
}


class _Inquiry:
    """Evaluates by a small world in the place of the network."""

    def __init__(self, world: World) -> None:
        self.channel = self.guarded = world
        self.share = Share(3.0)

    def clock(self) -> float:
        """Return the present."""
        return time.monotonic()

    def expect(self, checks: Iterable[Check]) -> None:
        """Send nothing ahead."""

    def evaluate(self, check: Check, *, deadline: float, trace: bool) -> Verdict:  # noqa: ARG002 - no time passes
        """Return the verdict of our own evaluation."""
        return Evaluator().evaluate(check, self.channel)

    def done(self) -> None:
        """Nothing is in flight."""

    def close(self) -> None:
        """Nothing is open."""


class _Engine:
    def inquiry(self) -> _Inquiry:
        """One for each connection."""
        return _Inquiry(World(ZONE))


class _Context:
    """libmilter's context behind pymilter's C code."""

    def __init__(self) -> None:
        self.macros: dict[str, bytes] = {}
        self.private: Any = None
        self.reply: tuple[str, ...] = ()
        self.ending = False

    def getpriv(self) -> Any:
        """What was set last."""
        return self.private

    def setpriv(self, value: Any) -> None:
        """Keep it."""
        self.private = value

    def getsymval(self, name: str) -> str | None:
        """Strict about UTF-8."""
        value = self.macros.get(name)
        return None if value is None else value.decode()

    def setsymlist(self, _stage: int, names: str) -> None:
        """Which macros are wanted."""
        _c_string(names)

    def setreply(self, code: str, status: str, *lines: str) -> None:
        """As smfi_setmlreply takes it."""
        assert re.fullmatch(r"[45]\d\d", code)
        assert re.fullmatch(code[0] + r"\.\d{1,3}\.\d{1,3}", status)
        assert 0 < len(lines) <= 32
        for line in lines:
            octets = _c_string(line)
            assert len(octets) <= 980
            assert line.isprintable()
            assert "%" not in line.replace("%%", "")
        self.reply = (code, status, *lines)

    def addheader(self, name: str, value: str, index: int) -> None:
        """At the end of a message only."""
        assert self.ending
        assert index == 0
        _c_string(name)
        assert all(line.isprintable() for line in _c_string(value).decode().split("\n "))

    def chgheader(self, name: str, index: int, value: str | None) -> None:
        """At the end of a message only; the name is the sender's."""
        assert self.ending
        assert index >= 1
        _c_string(name)
        if value is not None:
            _c_string(value)

    def quarantine(self, reason: str) -> None:
        """At the end of a message only."""
        assert self.ending
        assert _c_string(reason).isascii()


def _c_string(text: str) -> bytes:
    octets = text.encode()
    assert b"\0" not in octets
    return octets


class _Checked(logging.Handler):
    """Formats each event, and throws it away."""

    def __init__(self) -> None:
        super().__init__()
        self._forms = [targets._Formatter(form, targets._utc) for form in LogFormat]

    def emit(self, record: logging.LogRecord) -> None:
        for form in self._forms:
            assert form.format(record).isprintable()


@cache
def _callbacks(choice: int) -> Callbacks:
    stage = ("mail", "rcpt", "message", "message")[choice % 4]
    late, odd = ("yes" if choice % 4 == 3 else "no"), ("tag", "reject", "defer", "quarantine")[choice // 4 % 4]
    chosen = settings(INI.format(stage=stage, late=late, odd=odd))
    engine: Any = _Engine()
    deferrals: Deferrals = mock.Mock()
    called = Callbacks(chosen, engine, "mx.example.net", Metrics(), deferrals=deferrals, exemptions=Exemptions)
    called._refusals.extras = lambda *_: NO_EXTRAS  # type: ignore[method-assign]  # it asks the network
    return called


def one_input(data: bytes) -> None:
    """Settings, then steps."""
    logger, handler = logging.getLogger("spfmilter"), _Checked()
    level, logger.propagate = logger.level, False
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    faults: list[str] = []
    try:
        with mock.patch.object(log, "fault", lambda where, trace: faults.append(f"{where}: {trace}")):
            _play(_callbacks(data[0] if data else 0), data[1:].split(b"\0")[:200])
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True
    assert not faults, faults[0]


def _play(called: Callbacks, steps: list[bytes]) -> None:
    context = _Context()
    for step in steps:
        kind, text = step[:1], step[1:]
        take = _STEPS.get(kind)
        context.reply, context.ending = (), kind == b"E"
        if take is None:
            continue
        try:
            code = take(called, context, text)
        except UnicodeDecodeError:  # pymilter's, in place of the call
            continue
        assert code in {milter.CONTINUE, milter.NOREPLY, milter.REJECT, milter.TEMPFAIL}
        refused = {"5": milter.REJECT, "4": milter.TEMPFAIL}.get(context.reply[0][0] if context.reply else "")
        assert code == refused or (refused is None and code in {milter.CONTINUE, milter.NOREPLY})
    context.ending = False
    called.close(context)


def _negotiate(called: Callbacks, context: _Context, text: bytes) -> int:
    options = [int.from_bytes(text[:4]) if text else ALL, int.from_bytes(text[4:8]) if text[4:] else ALL, 0, 0]
    offered = options[:2]
    code = called.negotiate(context, options)
    assert options[0] & ~offered[0] == options[1] & ~offered[1] == 0
    return code


def _connect(called: Callbacks, context: _Context, text: bytes) -> int:
    kind, name = text[:1].decode("latin-1"), text[1:].decode()
    if kind == "U":
        return called.connect(context, name, 0, None)
    if kind == "L":
        return called.connect(context, name, socket.AF_UNIX, name)
    if kind in HOSTS6:
        return called.connect(context, name, socket.AF_INET6, (HOSTS6[kind], 25, 0, 0))
    return called.connect(context, name, socket.AF_INET, (HOSTS.get(kind, "203.0.113.7"), 25))


def _macro(_called: Callbacks, context: _Context, text: bytes) -> int:
    if text:
        context.macros[MACROS[text[0] % len(MACROS)]] = text[1:]
    return int(milter.CONTINUE)


def _header(called: Callbacks, context: _Context, text: bytes) -> int:
    name, _, value = text.partition(b":")
    return called.header(context, name.decode(), value)


_STEPS: Mapping[bytes, Callable[[Callbacks, _Context, bytes], int]] = {
    b"O": _negotiate,
    b"C": _connect,
    b"D": _macro,
    b"H": lambda called, context, text: called.helo(context, text.decode()),
    b"M": lambda called, context, text: called.envfrom(context, *text.split(b" ")),
    b"R": lambda called, context, text: called.envrcpt(context, *text.split(b" ")),
    b"L": _header,
    b"E": lambda called, context, _text: called.eom(context),
    b"A": lambda called, context, _text: called.abort(context),
    b"Q": lambda called, context, _text: called.close(context),
}
