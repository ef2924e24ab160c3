"""The boundary around each callback: an error of ours is one line in the log, and what `on_error` says."""

import logging
import sys
from types import SimpleNamespace
from typing import Any

import milter
import pytest

from spfmilter.edits import Edits, HeaderField
from spfmilter.evaluation.engine import Engine
from spfmilter.exemptions.inforce import Exemptions
from spfmilter.message import Outcome
from spfmilter.milter.callbacks import Callbacks
from spfmilter.observe.metrics import Metrics
from spfmilter.reply import Reply
from spfmilter.session import Session
from tests.observe.test_log import transaction
from tests.values import settings


class Forgetful:
    """Deferrals of which nothing is remembered."""

    def since(self, key: str, now: float) -> float:  # noqa: ARG002 - the protocol's
        """The first time."""
        return now


class Context:
    """libmilter's context, as far as a callback sees it."""

    def __init__(self) -> None:
        self.private: Any = None
        self.reply: tuple[str, ...] = ()

    def getpriv(self) -> Any:
        """What setpriv has left."""
        return self.private

    def setpriv(self, value: Any) -> None:
        """Keep it."""
        self.private = value

    def getsymval(self, _name: str) -> str | None:
        """The MTA tells nothing."""
        return None

    def setsymlist(self, _stage: int, _names: str) -> None:
        """As it likes."""

    def setreply(self, *words: str) -> None:
        """Keep it."""
        self.reply = words


INI = "[dns]\nnameservers = 127.0.0.1\n[policy]\nreject_at = {stage}\n[milter]\non_error = {on_error}\n"


def callbacks(stage: str, on_error: str) -> Callbacks:
    chosen = settings(INI.format(stage=stage, on_error=on_error))
    return Callbacks(
        chosen, Engine(chosen.dns), "mx.example.net", Metrics(), deferrals=Forgetful(), exemptions=Exemptions
    )


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step of a session that decides has a bug."""

    def fail(*_: object) -> None:
        raise SystemExit("a bug")

    for step in ("mail", "recipient", "end_of_message"):
        monkeypatch.setattr(Session, step, fail)
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize(("on_error", "code"), [("tempfail", milter.TEMPFAIL), ("accept", milter.ACCEPT)])
@pytest.mark.parametrize(
    ("callback", "arguments"),
    [("envfrom", (b"<u@example.com>",)), ("envrcpt", (b"<r@example.net>",)), ("eom", ())],
)
def test_a_callback_that_decides_follows_on_error(
    caplog: pytest.LogCaptureFixture, callback: str, arguments: tuple[bytes, ...], on_error: str, code: int
) -> None:
    context = Context()
    assert getattr(callbacks("rcpt", on_error), callback)(context, *arguments) == code
    assert context.reply[:2] == (("451", "4.3.0") if on_error == "tempfail" else ())
    assert [record.message for record in caplog.records] == ["internal error"]


@pytest.mark.usefixtures("_broken")
@pytest.mark.parametrize(
    ("on_error", "code"),
    [
        ("tempfail", milter.TEMPFAIL),
        ("accept", milter.ACCEPT),
        ("tempfail\n[policy]\nmode = monitor", milter.ACCEPT),
    ],
)
def test_the_boundary_itself_follows_on_error_where_it_fails(
    monkeypatch: pytest.MonkeyPatch, on_error: str, code: int
) -> None:
    """As without memory. Monitor mode refuses nothing then, either."""
    chosen = settings(f"[dns]\nnameservers = 127.0.0.1\n[milter]\non_error = {on_error}\n")
    called = Callbacks(
        chosen, Engine(chosen.dns), "mx.example.net", Metrics(), deferrals=Forgetful(), exemptions=Exemptions
    )

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("spfmilter.observe.log.fault", fail)
    assert called.envfrom(Context(), b"<u@example.com>") == code


@pytest.mark.parametrize(("mode", "may_change"), [("enforce", milter.CHGHDRS | milter.QUARANTINE), ("monitor", 0)])
def test_monitor_mode_registers_no_right_to_change_a_message(
    mode: str, may_change: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags: list[int] = []
    monkeypatch.setattr(milter, "set_flags", flags.append)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # which it replaces
    callbacks(f"rcpt\nmode = {mode}", "tempfail").register()
    assert flags == [milter.ADDHDRS | milter.SETSYMLIST | may_change]


ALL = 0xFFFFFFFF  # all that an MTA can do, and leave out


@pytest.mark.parametrize(("on_error", "code"), [("tempfail", milter.TEMPFAIL), ("accept", milter.ACCEPT)])
def test_an_error_at_a_step_that_awaits_no_answer_is_followed_at_the_end(
    monkeypatch: pytest.MonkeyPatch, on_error: str, code: int
) -> None:
    """At reject_at = message the MTA goes on after RCPT TO without us: a code that we gave there would be lost.

    It does where no recipient has rules of its own.
    """
    context, called = Context(), callbacks("message", f"{on_error}\n[exempt]\nrecipients =")
    assert called.negotiate(context, [ALL, ALL, 0, 0]) == milter.CONTINUE
    assert called.envfrom(context, b"<u@example.com>") == milter.CONTINUE
    with monkeypatch.context() as broken:
        broken.setattr(Session, "recipient", None)
        assert called.envrcpt(context, b"<r@example.net>") == milter.NOREPLY
    assert context.reply == ()
    assert called.eom(context) == code
    assert context.reply[:2] == (("451", "4.3.0") if on_error == "tempfail" else ())


class Refusing(Context):
    """Does not change the message; the MTA is there, or gone."""

    def __init__(self, *, gone: bool) -> None:
        super().__init__()
        self._gone = gone

    def addheader(self, *_: object) -> None:
        """As for a bad argument, or for a peer that is gone."""
        raise milter.error("cannot add header")

    def progress(self) -> None:
        """A packet to the MTA."""
        if self._gone:
            raise milter.error("cannot notify progress")


@pytest.mark.parametrize("gone", [False, True])
def test_a_change_that_fails_is_our_error_only_where_the_mta_is_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    caplog.set_level(logging.INFO, logger="spfmilter")
    context, called = Refusing(gone=gone), callbacks("mail", "accept")
    ending = Outcome(edits=Edits(insert=(HeaderField(name="X-Test", value="x"),)), ended=transaction())
    monkeypatch.setattr(Session, "end_of_message", lambda *_: ending)
    assert called.eom(context) == (milter.TEMPFAIL if gone else milter.ACCEPT)
    events = [record.message for record in caplog.records if record.levelno != logging.WARNING]
    assert events == (["message"] if gone else ["message", "internal error"])
    (ended,) = [record.__dict__["fields"].get("ended") for record in caplog.records if record.message == "message"]
    assert ended == ("abandoned" if gone else None)


def test_a_reply_that_libmilter_does_not_take_is_our_error_also_where_the_mta_is_gone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written for it."""
    context, called = Refusing(gone=True), callbacks("mail", "accept")
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    refusal = Outcome(reply=Reply(code=550, status="5.7.23", lines=("no",)))
    monkeypatch.setattr(Session, "end_of_message", lambda *_: refusal)

    def refuse(*_: object) -> None:
        raise milter.error("cannot set reply")

    monkeypatch.setattr(context, "setreply", refuse)
    assert called.eom(context) == milter.ACCEPT
    assert [record.message for record in caplog.records] == ["internal error"]


def test_a_field_whose_name_is_known_to_be_harmless_is_looked_at_all_the_same() -> None:
    called, ctx = callbacks("mail", "tempfail"), Context()
    called.negotiate(ctx, [0x1FF, 0x1FFFFF, 0, 0])
    connection = ctx.getpriv()
    seen: list[str] = []
    connection.session = SimpleNamespace(header=lambda name, _value: seen.append(name))
    for value in (
        b"plain",
        b"plain",
        b"a question?",
        b"one\rAuthentication-Results: two",
        b"=?utf-8?q?=0A?=",
        b"plain",
    ):
        called.header(ctx, "X-Field", value)
    called.header(ctx, "Received-SPF", b"pass")
    assert seen == ["X-Field", "X-Field", "Received-SPF"]


def test_no_more_names_of_fields_are_remembered_than_fit() -> None:
    called, ctx = callbacks("mail", "tempfail"), Context()
    called.negotiate(ctx, [0x1FF, 0x1FFFFF, 0, 0])
    for number in range(3000):
        called.header(ctx, f"X-{number}", b"plain")
    called.header(ctx, "X" * 5000, b"plain")
    assert len(called._passed) == 1024
    assert max(map(len, called._passed)) < 100
