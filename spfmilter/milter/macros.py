"""The MTA's macros, as pymilter's context has them: decoded strictly, which a stranger's name may not stand.

Knows the names of macros; does not know what follows from their values.
"""

from __future__ import annotations

from typing import Any

from spfmilter.session import Macros


def macro(ctx: Any, name: str, unreadable: str = "") -> str:
    """A macro's value, empty where the MTA has none; ``unreadable`` where it is not UTF-8 (pymilter is strict)."""
    try:
        return ctx.getsymval(name) or ""
    except UnicodeDecodeError:
        return unreadable


def macros(ctx: Any) -> Macros:
    """The macros that a Session reads at MAIL FROM."""
    return Macros(
        queue_id=macro(ctx, "i"),
        authenticated=macro(ctx, "{auth_authen}", unreadable="?"),
        hostname=macro(ctx, "j"),
        client_address=macro(ctx, "{client_addr}"),
        mail_address=_given(ctx, "{mail_addr}"),
    )


def _given(ctx: Any, name: str) -> str | None:
    """A macro's value, which may be empty; None where the MTA has none that can be read."""
    try:
        value: str | None = ctx.getsymval(name)
    except UnicodeDecodeError:
        return None
    return value
