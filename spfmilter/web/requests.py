"""Keep what refused senders ask the administrator, and say what became of it.

Knows the store, and that it may be slow or away: it has a thread of its own, and a page never waits for long. Without
the store, the page has no form. Does not know HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from spfmilter.helplink.token import Case
from spfmilter.model import Result
from spfmilter.observe import log
from spfmilter.requests.opening import open_store
from spfmilter.requests.request import KEPT, SenderRequest, request_of
from spfmilter.requests.store import AskOutcome, RequestStore, ask
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError
from spfmilter.web.ratelimit import RateLimit
from spfmilter.web.requestform import EMPTY, RequestForm

_RATE = "5/hour"  # requests from one network of visitors
_PATIENCE = 2.0  # seconds that a page waits for what became of a request
_PATIENCE_TO_KEEP = 10.0  # seconds that a sender waits who has asked
_MAX_WAITING = 8  # questions to the store at a time
_PAUSE = 5.0  # seconds for which a store is left alone that has failed
_CLEANING = 3600.0  # seconds between two times at which old requests are forgotten
_T = TypeVar("_T")


class Stage(StrEnum):
    """What the page shows of a request."""

    FORM = "form"
    FULL = "full"  # no more requests are taken at present
    OPEN = "open"
    GRANTED = "granted"
    OVER = "over"  # what was granted has ended
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """Everything that the page shows of a request."""

    stage: Stage
    form: RequestForm = EMPTY
    ends: int = 0  # Unix seconds: until when it is kept, or would be
    asked: int = 0
    until: int = 0  # Unix seconds: of what was granted
    answer: str = ""


class _UnavailableError(Exception):
    """The store has not answered in time, or cannot be used."""


class Requests:
    """The requests as the page uses them: one question to the store at a time, each within a time limit."""

    def __init__(self, settings: Settings, store: RequestStore) -> None:
        self._store, self._lifetime = store, round(settings.web.token_lifetime.seconds)
        self._rate_limit = RateLimit(_RATE)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="requests")
        self._waiting = 0
        self._ready = False  # the store was prepared
        self._failed = False
        self._not_before = 0.0  # of the monotonic clock
        self._cleaned = float("-inf")  # of the monotonic clock
        self._thread.submit(self._begin)

    def close(self) -> None:
        """Let go of the store, after what it is asked now. This does not wait for it."""
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def look(self, case: Case, *, patient: bool = False) -> RequestView | None:
        """Return what the page of a case shows; None: nothing, as the store cannot be used.

        Args:
            case: of a valid link.
            patient: the sender has sent the form, and waits for longer.
        """
        if not _may_ask(case):
            return None
        try:
            row = await self._in_thread(lambda: self._find(case.id), _PATIENCE_TO_KEEP if patient else _PATIENCE)
        except _UnavailableError:
            return None
        if row is None:
            return RequestView(stage=Stage.FORM, ends=self._ends(case))
        return _view(row)

    async def keep(self, case: Case, form: RequestForm, host: str, language: str) -> RequestView | None:
        """Keep a request. Return what the page shows then; None: the store cannot be used.

        Args:
            case: of a valid link, refused and not fixed.
            form: without complaints.
            host: the visitor's address.
            language: the tag of the page's language.
        """
        if not _may_ask(case):
            return None
        if self._rate_limit.wait(host) is not None:
            return RequestView(stage=Stage.FULL)
        request = SenderRequest(
            case_id=case.id,
            asked=int(time.time()),
            ends=self._ends(case),
            address=case.address,
            identity=case.identity,
            domain=case.domain,
            result=case.result,
            sentence=form.values["sentence"],
            answer_to=form.values["answer_to"],
            language=language,
        )
        try:
            outcome = await self._in_thread(lambda: ask(self._store, request), _PATIENCE_TO_KEEP)
        except _UnavailableError:
            return None
        fields = {"client": str(case.address), "domain": case.domain, "outcome": outcome.name.lower()}
        log.info("request asked", case=case.id, **fields)
        return RequestView(stage=Stage.FULL) if outcome is AskOutcome.TOO_MANY else _view(request)

    def _ends(self, case: Case) -> int:
        """Return when a request is forgotten: when the link of its case expires."""
        return max(case.time + self._lifetime, int(time.time()) + KEPT)

    def _find(self, case_id: str) -> SenderRequest | None:
        self._prepare()  # a form is shown only where a request can be kept
        now = time.monotonic()
        if now - self._cleaned >= _CLEANING:
            self._store.forget(int(time.time()))
            self._cleaned = now
        row = self._store.find(case_id)
        try:
            return request_of(row) if row is not None else None
        except ValueError:  # ``spfmilter requests`` says so; all other cases can ask
            raise _UnavailableError from None

    async def _in_thread(self, question: Callable[[], _T], patience: float) -> _T:
        """Ask the store.

        Raises:
            _UnavailableError: no answer in time, or the store cannot be used.
        """
        if self._waiting >= _MAX_WAITING or time.monotonic() < self._not_before:
            raise _UnavailableError
        future = self._thread.submit(question)
        self._waiting += 1
        waiter = asyncio.wrap_future(future)
        waiter.add_done_callback(self._done)
        try:
            answer = await asyncio.wait_for(asyncio.shield(waiter), patience)
        except (StoreError, TimeoutError) as error:
            self._not_before = time.monotonic() + _PAUSE
            self._note_failure(str(error) or f"no answer within {patience:.0f} s")
            raise _UnavailableError from None
        if self._failed:
            log.info("requests can be kept again")
        self._failed = False
        return answer

    def _begin(self) -> None:
        """Prepare the store at the start, so that the first sender need not wait. A failure is tried again later."""
        try:
            self._prepare()
        except StoreError as error:
            self._note_failure(str(error))

    def _prepare(self) -> None:
        if not self._ready:
            self._store.prepare()
            self._ready = True

    def _note_failure(self, reason: str) -> None:
        if not self._failed:
            log.error("requests cannot be kept", reason=reason, fix="see docs/help-page.md#requests")
        self._failed = True

    def _done(self, waiter: asyncio.Future[_T]) -> None:
        self._waiting -= 1
        if not waiter.cancelled():
            waiter.exception()  # the visitor has gone: asyncio would complain that it was never looked at


def _may_ask(case: Case) -> bool:
    """Return whether the link is one of a refusal that has a name: links of older versions have no case id."""
    return bool(case.id) and case.result is not Result.PASS


def _view(request: SenderRequest) -> RequestView:
    stage = Stage(request.state.value)
    if stage is Stage.GRANTED and request.until <= time.time():
        stage = Stage.OVER
    return RequestView(stage=stage, ends=request.ends, asked=request.asked, until=request.until, answer=request.answer)


def open_requests(settings: Settings) -> Requests | None:
    """Return the requests; None if the settings want none, or the store cannot be opened, which the log then says."""
    if not settings.web.requests:
        return None
    try:
        return Requests(settings, open_store(settings))
    except StoreError as error:
        log.error("requests cannot be kept", reason=str(error), fix="see docs/help-page.md#requests")
        return None
