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
        """Return the explanation, a key of the catalogue; it may have a placeholder for seconds."""
        return _WORDS[self][2]


_WORDS: dict[ErrorPage, tuple[HTTPStatus, str, str]] = {
    ErrorPage.MALFORMED: (
        HTTPStatus.NOT_FOUND,
        N_("This link is not complete"),
        N_("Some mail programs cut long lines. Please copy the whole link from the notice, up to its last letter."),
    ),
    ErrorPage.FORGED: (
        HTTPStatus.NOT_FOUND,
        N_("This link is not one of ours"),
        N_("It was changed on the way, or it belongs to another mail server. Please copy it from the notice again."),
    ),
    ErrorPage.EXPIRED: (
        HTTPStatus.GONE,
        N_("This link has expired"),
        N_("A link in a notice is good for a limited time. You can look at the case once more by hand."),
    ),
    ErrorPage.MISSING: (
        HTTPStatus.NOT_FOUND,
        N_("There is no such page"),
        N_("The link in the notice about your message begins with this site's address and is rather long."),
    ),
    ErrorPage.METHOD: (
        HTTPStatus.METHOD_NOT_ALLOWED,
        N_("This page can only be read"),
        N_("The browser has tried to send something here."),
    ),
    ErrorPage.UNREADABLE: (
        HTTPStatus.BAD_REQUEST,
        N_("The form was not sent as a browser sends it"),
        N_("Go back to the page of the link in the notice, and fill in the form there."),
    ),
    ErrorPage.TOO_MANY: (
        HTTPStatus.TOO_MANY_REQUESTS,
        N_("Too many checks"),
        N_("Many checks have come from your network. Please try again in %(seconds)s seconds."),
    ),
    ErrorPage.BUSY: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        N_("Too many visitors at once"),
        N_("Please reload this page in %(seconds)s seconds."),
    ),
    ErrorPage.FAULT: (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        N_("Something went wrong here"),
        N_("That is not your fault. It has been written down for the administrator."),
    ),
}
