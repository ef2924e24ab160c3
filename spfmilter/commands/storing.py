"""What the commands that read and write a store share: who acts, as whom, and what is said of a store that fails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

import click

from spfmilter import ownership
from spfmilter.commands.console import EX_NOPERM, EX_UNAVAILABLE
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError
from spfmilter.stores.rows import NAME_LIMIT
from spfmilter.text import unicode_line


class _Closable(Protocol):
    def close(self) -> None:
        """Let go of a store."""


_Opened = TypeVar("_Opened", bound=_Closable)


def open_or_stop(opening: Callable[[Settings], _Opened], settings: Settings) -> _Opened:
    """Return a store; it is closed when the command ends. Without one, say why, and exit with 69."""
    try:
        store = opening(settings)
    except StoreError as error:
        stop(EX_UNAVAILABLE, str(error))
    click.get_current_context().call_on_close(store.close)
    return store


def who_acts() -> str:
    """Return the name of the person who runs the command."""
    return unicode_line(ownership.login(), NAME_LIMIT)


def go_on_as_owner(settings: Settings) -> None:
    """Go on as the daemon's user, if this is root: the owner of the folder."""
    if settings.state.folder:
        with suppress(OSError):  # the store then says what this user may not
            ownership.act_as_owner(Path(settings.state.folder))


def failed(error: StoreError) -> NoReturn:
    """Say why the store cannot be used, and exit."""
    stop(EX_NOPERM if error.denied else EX_UNAVAILABLE, str(error))


def stop(status: int, text: str) -> NoReturn:
    """Say what is wrong, and exit."""
    click.echo(text, err=True)
    sys.exit(status)


def tell(rows: Iterable[tuple[str, str]]) -> None:
    """Print what was done: texts, most of them with a label."""
    for label, text in rows:
        click.echo(f"{label:<9}{text}" if label else text)
