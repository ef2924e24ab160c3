"""Read the MTA's macros from pymilter's context, which raises an error for values that are not UTF-8.

Knows the names of macros. Does not interpret their values.
"""

from __future__ import annotations

from typing import Any

from spfmilter.session import Macros


def macro(ctx: Any, name: str, unreadable: str = "") -> str:
    """Return a macro's value; empty if the MTA has none; ``unreadable`` if the value is not UTF-8."""
    try:
        return ctx.getsymval(name) or ""
    except UnicodeDecodeError:
        return unreadable


def macros(ctx: Any) -> Macros:
    """Return the macros that a Session reads at MAIL FROM."""
    return Macros(
        queue_id=macro(ctx, "i"),
        authenticated=macro(ctx, "{auth_authen}", unreadable="?"),
        hostname=macro(ctx, "j"),
        client_address=macro(ctx, "{client_addr}"),
        mail_address=_given(ctx, "{mail_addr}"),
    )


def _given(ctx: Any, name: str) -> str | None:
    """Return a macro's value, which may be empty; None if the MTA has none, or if it is not UTF-8."""
    try:
        value: str | None = ctx.getsymval(name)
    except UnicodeDecodeError:
        return None
    return value
