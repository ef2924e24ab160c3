"""The reasons for a page without a case, each with its HTTP status and its texts."""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus

from spfmilter.helplink.token import TokenProblem
from spfmilter.web.wording import N_


class ErrorPage(StrEnum):
    """The reasons. Those of a token have the values of ``TokenProblem``."""

    MALFORMED = TokenProblem.MALFORMED
    FORGED = TokenProblem.FORGED
    EXPIRED = TokenProblem.EXPIRED
    MISSING = "missing"
    METHOD = "method"
    UNREADABLE = "unreadable"
    TOO_MANY = "too-many"
    BUSY = "busy"
    FAULT = "fault"

    @property
    def status(self) -> HTTPStatus:
        """Return the HTTP status."""
        return _WORDS[self][0]

    @property
    def heading(self) -> str:
        """Return the title, a key of the catalogue."""
        return _WORDS[self][1]

    @property
    def text(self) -> str:
        """Return the explanation, a key of the catalogue; empty where the template has one with a number of seconds."""
        return _WORDS[self][2]


_WORDS: dict[ErrorPage, tuple[HTTPStatus, str, str]] = {
    ErrorPage.MALFORMED: (
        HTTPStatus.NOT_FOUND,
        N_("This link is not complete"),
        N_("Some mail programs cut long links. Copy the whole link from the notice, up to its last character."),
    ),
    ErrorPage.FORGED: (
        HTTPStatus.NOT_FOUND,
        N_("This link is not valid"),
        N_("It was changed on the way, or it belongs to another mail server. Copy it from the notice again."),
    ),
    ErrorPage.EXPIRED: (
        HTTPStatus.GONE,
        N_("This link has expired"),
        N_("A link in a notice is good for a limited time. You can still check the same server by hand."),
    ),
    ErrorPage.MISSING: (
        HTTPStatus.NOT_FOUND,
        N_("There is no such page"),
        N_("Check that you copied the whole link. It starts with this site's address and ends in a long code."),
    ),
    ErrorPage.METHOD: (
        HTTPStatus.METHOD_NOT_ALLOWED,
        N_("This page does not accept data"),
        N_("Use the form to check a server."),
    ),
    ErrorPage.UNREADABLE: (
        HTTPStatus.BAD_REQUEST,
        N_("The form was not sent as a browser sends it"),
        N_("Go back to the page of the link in the notice, and fill in the form there."),
    ),
    ErrorPage.TOO_MANY: (
        HTTPStatus.TOO_MANY_REQUESTS,
        N_("Too many checks"),
        "",
    ),
    ErrorPage.BUSY: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        N_("Too many visitors at once"),
        "",
    ),
    ErrorPage.FAULT: (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        N_("Something went wrong here"),
        N_("This is not your fault. The error has been logged for the administrator."),
    ),
}
