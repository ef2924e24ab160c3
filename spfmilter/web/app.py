"""Answer requests with pages.

Knows HTTP, and which page belongs to which address. Other modules know tokens, checks, rates, texts and layout.

====================  ===============================================================
``/spf/{token}``      the case of a refusal; by POST, a request to the administrator
``/spf/``             the form; with the form's fields, the check by hand
``/spf/style.css``    the style sheet; the icon is beside it
``/healthz``          a health check: the process serves
====================  ===============================================================
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from spfmilter.helplink.check import check_of
from spfmilter.helplink.token import Case, Signer, TokenError
from spfmilter.model import Check, Identity, Result
from spfmilter.settings import Settings
from spfmilter.text import is_dot_atom
from spfmilter.web import form, languages, requestform
from spfmilter.web.case import CaseView, OriginalResult, build_view
from spfmilter.web.checker import BusyError, Checker
from spfmilter.web.errors import ErrorPage
from spfmilter.web.languages import PageLanguage
from spfmilter.web.ratelimit import RateLimit, network_of
from spfmilter.web.render import render
from spfmilter.web.requests import Requests, RequestView, Stage, open_requests
from spfmilter.web.security import SecurityHeaders

_STATIC = Path(__file__).parent / "static"
_FILES = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"  # the address of a static file changes with its content
_COMPRESSION = 6  # zlib's own default
_SOON = 5  # seconds after which a visitor should try a busy server again


class _Stop(Exception):  # noqa: N818 - it ends a request early, with a page that says why
    def __init__(self, page: ErrorPage, *, retry_after: int | None = None, case: Case | None = None) -> None:
        self.page, self.retry_after, self.case = page, retry_after, case


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """The contact that a visitor can ask."""

    text: str
    address: bool  # whether the text is an email address, which becomes a link

    @classmethod
    def of(cls, text: str) -> Contact:
        """Return the contact for a text from the settings."""
        local, at, domain = text.rpartition("@")
        return cls(text=text, address=bool(at) and is_dot_atom(local) and is_dot_atom(domain) and "%" not in text)


class _Pages:
    """Hold the endpoints and what they share."""

    def __init__(
        self, settings: Settings, signer: Signer, checker: Checker, hostname: str, requests: Requests | None
    ) -> None:
        self._web, self._longest_ttl = settings.web, settings.dns.cache_max_ttl.seconds
        self._signer, self._checker, self._requests = signer, checker, requests
        self._rate_limit = RateLimit(settings.web.rate)
        self._hostname, self._owns = hostname, settings.reply.owns
        self._contact = Contact.of(settings.web.contact or settings.reply.contact.fill({"hostname": hostname}))
        self._name, self._help_url = settings.web.name or hostname, settings.reply.help_url
        self._limit, self._nat64 = settings.dns.lookup_limit, settings.policy.nat64_prefixes
        self._files = {name: (_STATIC / name).read_bytes() for name in _FILES}
        self._versions = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self._files.items()}

    async def case(self, request: Request) -> Response:
        """Return the page of a token."""
        case = self._case(request)
        view = await self._case_view(request, case)
        asked = await self._requests.look(case) if self._requests is not None else None
        return self._case_page(request, case, view, asked)

    async def ask(self, request: Request) -> Response:
        """Keep a request to the administrator, and return to the page of its case.

        The token is proof that the sender has the notice, and so that no other site has made the browser send this.
        """
        assert self._requests is not None  # noqa: S101 - the route is there only then
        case = self._case(request)
        entered = await _sent(request)
        view = await self._case_view(request, case)
        if view.fixed:
            return _back(request)
        asked = await self._requests.look(case, patient=True)
        if asked is not None and asked.stage is Stage.FORM:
            if entered.complaints:
                asked = replace(asked, form=entered)
                return self._case_page(request, case, view, asked, status=HTTPStatus.BAD_REQUEST)
            host = request.client.host if request.client else ""
            asked = await self._requests.keep(case, entered, host, _language(request).tag)
        if asked is None:
            raise _Stop(ErrorPage.BUSY, retry_after=_SOON)
        if asked.stage is Stage.FULL:
            return self._case_page(request, case, view, asked, status=HTTPStatus.TOO_MANY_REQUESTS)
        return _back(request)

    def _case(self, request: Request) -> Case:
        """Return the case of the link.

        Raises:
            _Stop: the link is none of ours, or has expired.
        """
        token = request.path_params["token"]
        try:
            return self._signer.read(token, max_age=self._web.token_lifetime.seconds, now=time.time())
        except TokenError as error:
            raise _Stop(ErrorPage(error.kind), case=error.case) from None

    async def _case_view(self, request: Request, case: Case) -> CaseView:
        then = OriginalResult(result=case.result, time=case.time, case=case.id, helo=case.helo)
        refused = request.path_params["token"] if case.result is not Result.PASS else ""
        return await self._view(request, check_of(case), then, name=case.client_name, refused=refused)

    def _case_page(
        self, request: Request, case: Case, view: CaseView, asked: RequestView | None, *, status: int = HTTPStatus.OK
    ) -> Response:
        own_link = self._help_url.fill({"token": request.path_params["token"]}) if self._help_url is not None else ""
        return self._page(request, "case.html", case, status=status, view=view, asked=asked, own_link=own_link)

    async def by_hand(self, request: Request) -> Response:
        """Return the form, and the result of the check if its fields are filled in."""
        entered = form.read(request.query_params, self._nat64)
        if entered.check is None:
            status = HTTPStatus.BAD_REQUEST if entered.complaints else HTTPStatus.OK
            return self._page(request, "form.html", status=status, form=entered)
        view = await self._view(request, entered.check)
        return self._page(request, "case.html", form=entered, view=view, asked=None)

    async def _view(
        self, request: Request, check: Check, then: OriginalResult | None = None, *, name: str = "", refused: str = ""
    ) -> CaseView:
        """Evaluate a check now. ``name`` and ``refused``: see ``Checker.evaluate``.

        Raises:
            _Stop: the visitor's network has used up its rate, or the server is busy.
            RuntimeError: the evaluation met an internal error.
        """
        host = request.client.host if request.client else ""
        wait = self._rate_limit.wait(host)
        if wait is not None:
            raise _Stop(ErrorPage.TOO_MANY, retry_after=wait)
        try:
            outcome = await self._checker.evaluate(check, network_of(host), name=name, refused=refused)
        except BusyError:
            raise _Stop(ErrorPage.BUSY, retry_after=_SOON) from None
        if outcome.verdict.fault is not None:
            raise RuntimeError(outcome.verdict.fault)
        own = self._owns(outcome.verdict.check.domain, self._hostname)
        return build_view(
            outcome.verdict,
            outcome.clues,
            own=own,
            then=then,
            longest_ttl=self._longest_ttl,
            refreshed=outcome.refreshed,
            delegation=outcome.delegation,
        )

    async def file(self, request: Request) -> Response:
        """Return the style sheet or the icon."""
        name = request.url.path.rpartition("/")[2]
        return Response(self._files[name], media_type=_FILES[name], headers={"Cache-Control": _FOREVER})

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - an endpoint's form
        """Answer a health check, without any lookup."""
        return PlainTextResponse("ok\n")

    async def to_form(self, request: Request) -> Response:  # noqa: ARG002 - an endpoint's form
        """Redirect an address without its last part to the form."""
        return RedirectResponse("spf/")

    async def stopped(self, request: Request, error: Exception) -> Response:
        """Return a page that says why the requested one cannot be shown."""
        assert isinstance(error, _Stop)  # noqa: S101 - it is registered for this
        return self._error_page(request, error.page, error.case, retry_after=error.retry_after)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Return a page for a request that Starlette refuses: an unknown address, or a method other than GET."""
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this
        wrong_method = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
        response = self._error_page(request, ErrorPage.METHOD if wrong_method else ErrorPage.MISSING)
        response.headers.update(error.headers or {})
        return response

    async def failed(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 - it is in the log
        """Return the page for an internal error."""
        return self._error_page(request, ErrorPage.FAULT)

    def _error_page(
        self, request: Request, page: ErrorPage, case: Case | None = None, *, retry_after: int | None = None
    ) -> Response:
        response = self._page(request, "error.html", case, status=page.status, page=page, seconds=retry_after)
        if retry_after is not None:
            response.headers["Retry-After"] = str(retry_after)
        return response

    def _page(
        self,
        request: Request,
        template: str,
        case: Case | None = None,
        *,
        status: int = HTTPStatus.OK,
        **values: object,
    ) -> Response:
        """Return a page, which links to the form. The form is filled in for a case."""
        asked = request.query_params.get("lang")
        language = _language(request)
        wanted = language.tag if asked == language.tag else ""
        root = _root(request.url.path)
        html = render(
            template,
            language,
            **values,
            hostname=self._hostname,
            site_name=self._name,
            contact=self._contact,
            limit=self._limit,
            versions=self._versions,
            wanted=wanted,
            switch=_switch(request.query_params),
            root=root,
            form_link=root + _form_query(case, wanted),
        )
        headers = {"Content-Language": language.tag, "Vary": "Accept-Language"}
        return HTMLResponse(html, status, headers=headers)


def _form_query(case: Case | None, wanted: str) -> str:
    """Return the query that fills in the form for a case, in the language of the switch, if one was chosen."""
    fields = [("lang", wanted)] if wanted else []
    if case is not None and case.identity is Identity.HELO:
        fields = [("ip", str(case.address)), ("helo", case.domain), *fields]
    elif case is not None:
        helo = [("helo", case.helo)] if case.helo else []
        fields = [("ip", str(case.address)), ("mail_from", case.domain), *helo, *fields]
    return "?" + urlencode(fields) if fields else ""


def _language(request: Request) -> PageLanguage:
    return languages.choose(request.query_params.get("lang"), request.headers.get("accept-language"))


async def _sent(request: Request) -> requestform.RequestForm:
    """Return the form that was sent. Read no more of a body than a form can have.

    Raises:
        _Stop: it is none, or the visitor has gone.
    """
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > requestform.MAX_BODY:
                raise _Stop(ErrorPage.UNREADABLE)
        return requestform.read(request.headers.get("content-type", ""), bytes(body))
    except (requestform.UnreadableError, ClientDisconnect):
        raise _Stop(ErrorPage.UNREADABLE) from None


def _back(request: Request) -> Response:
    """Return to the page of the case, so that a reload sends nothing again. The address is relative, as all are."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.path_params['token']}{query}#request", HTTPStatus.SEE_OTHER)


def _switch(parameters: Mapping[str, str]) -> Callable[[PageLanguage], str]:
    """Return a function that gives the relative address of the same page in another language."""
    fields = [(name, parameters[name]) for name in form.FIELDS if name in parameters]
    return lambda language: "?" + urlencode([*fields, ("lang", language.tag)])


def _root(path: str) -> str:
    """Return the relative path from a page to the form's folder, so a proxy may serve it under any other path."""
    return "spf/" if path.count("/") < 2 else "../" * (path.count("/") - 2) or "./"


def build(
    settings: Settings,
    secrets: Sequence[bytes],
    hostname: str,
    *,
    checker: Checker | None = None,
) -> ASGIApp:
    """Return the application.

    Args:
        settings: the sections web, dns, reply and service are read, and ``[policy] nat64_prefixes``; with ``[web]
            requests`` also those that name the store.
        secrets: for the tokens, see ``Signer``.
        hostname: the mail server's name, to show to people.
        checker: evaluates the checks; None: a new one.
    """
    checker = checker or Checker(
        settings.dns,
        settings.web.nameservers,
        suggest=settings.reply.suggest_services,
        services=settings.own_services,
        folder=settings.state.folder,
    )
    requests = open_requests(settings)
    pages = _Pages(settings, Signer(secrets), checker, hostname, requests)
    asking = [Route("/spf/{token}", pages.ask, methods=["POST"])] if requests is not None else []
    routes = [
        Route("/healthz", pages.health),
        Route("/", pages.to_form),
        Route("/spf", pages.to_form),
        *(Route(f"/spf/{name}", pages.file) for name in _FILES),
        Route("/spf/", pages.by_hand),
        *asking,
        Route("/spf/{token}", pages.case),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if requests is not None:
            requests.close()

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={_Stop: pages.stopped, HTTPException: pages.refused, Exception: pages.failed},
    )
    app.router.redirect_slashes = False
    # No page holds a secret that its visitor does not know already (docs/decisions/0066), so it may be compressed.
    return SecurityHeaders(GZipMiddleware(app, compresslevel=_COMPRESSION))
