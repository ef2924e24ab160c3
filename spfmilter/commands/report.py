"""``spfmilter report``: what was done with mail, what is to be looked at, and the commands that act on it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from spfmilter.commands.console import EX_CANTCREAT, EX_CONFIG, EX_UNAVAILABLE, print_result, settings_from, waiting
from spfmilter.packages import how_to_install
from spfmilter.report.period import WantedSpan, read_time
from spfmilter.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spfmilter.exemptions.exemption import Exemption
    from spfmilter.report.summary import MailReport

_MODE = 0o640  # of the page: it names senders, so it is not for everybody


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """The options of the command."""

    since: str
    until: str | None  # None: now
    html: Path | None
    json_output: bool
    offline: bool  # do not confirm names in the DNS


def report(path: Path, options: ReportOptions) -> None:
    """Print the report, or write it as a page.

    Exits with 69 if the journal cannot be read or jinja2 is not installed, with 73 if the page cannot be written, and
    with 78 if the INI file names no journal.

    Args:
        path: the INI file.
        options: of the command.

    Raises:
        click.BadParameter: ``since`` or ``until`` is no time, or they are in the wrong order.
    """
    asked = _asked(options, time.time_ns() // 1_000_000)
    settings = settings_from(path)
    if options.html is not None:
        _need_jinja()
    made = _made(settings, options, asked)
    from spfmilter.report.findings import pointers  # noqa: PLC0415 - only once there is something to show

    found = pointers(made, settings)
    if options.html is not None:
        from spfmilter.report.page import page  # noqa: PLC0415 - needs the extra

        _write(options.html, page(made, found))
        click.echo(f"report written to {options.html}", err=options.json_output)
    if options.json_output:
        from spfmilter.report.as_json import as_json  # noqa: PLC0415 - the same

        click.echo(as_json(made, found))
    elif options.html is None:
        from spfmilter.commands.reportview import as_text  # noqa: PLC0415 - the same

        print_result(as_text(made, found, blocks=_shows_blocks()))


def _asked(options: ReportOptions, now: int) -> WantedSpan:
    times = []
    for hint, text in (("--since", options.since), ("--until", options.until)):
        try:
            times.append(read_time(text, now) if text is not None else now)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=hint) from None
    since, until = times[0], min(times[1], now)
    if since >= until:
        raise click.BadParameter("it has to be earlier than --until, and than now", param_hint="--since")
    return WantedSpan(since, until, now)


def _made(settings: Settings, options: ReportOptions, asked: WantedSpan) -> MailReport:
    url = settings.journal.url
    if url is None:
        _fail(
            "the journal is off, so there is nothing to report: set [journal] url, such as "
            "sqlite:////var/lib/spfmilter/journal.db, and reload the daemon",
            EX_CONFIG,
        )
    from spfmilter.journal.database import JournalError  # noqa: PLC0415 - SQLAlchemy takes its time to load
    from spfmilter.journal.reader import reading  # noqa: PLC0415 - the same
    from spfmilter.report.gather import gather  # noqa: PLC0415 - the same
    from spfmilter.report.reverse import confirmed  # noqa: PLC0415 - the DNS, too

    confirm = None if options.offline else lambda forwarders: confirmed(forwarders, settings.dns)
    try:
        with nullcontext() if options.json_output else waiting("reading the journal"), reading(url) as journal:
            return gather(journal, settings, asked, confirm=confirm, exemptions=_exemptions(settings))
    except JournalError as error:
        _fail(f"{url}: {error}", EX_UNAVAILABLE)


def _exemptions(settings: Settings) -> Sequence[Exemption]:
    """Return the temporary exemptions; none, and a line on standard error, if their store cannot be used."""
    from spfmilter.exemptions.exemption import valid  # noqa: PLC0415 - as above
    from spfmilter.exemptions.opening import open_store  # noqa: PLC0415 - the same
    from spfmilter.exemptions.store import place  # noqa: PLC0415 - the same
    from spfmilter.stores.choice import StoreError  # noqa: PLC0415 - the same

    if not place(settings):
        return ()
    try:
        store = open_store(settings)
        try:
            return list(valid(store.read(), lambda _row, _why: None))  # the daemon logs what it refuses
        finally:
            store.close()
    except StoreError as error:
        click.echo(f"the temporary exemptions cannot be read: {error}", err=True)
        return ()


def _shows_blocks() -> bool:
    try:
        "▁█".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _need_jinja() -> None:
    try:
        import jinja2  # noqa: F401, PLC0415 - only whether it is there
    except ModuleNotFoundError:
        _fail(f"--html needs jinja2, which is missing: {how_to_install('web', 'jinja2')}", EX_UNAVAILABLE)


def _write(path: Path, text: str) -> None:
    """Put a file in the place of another one, whole or not at all."""
    target = path.resolve()
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            os.fchmod(descriptor, _MODE)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)  # noqa: PTH105 - names, not Path objects
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108 - the same
        _fail(f"{path}: cannot be written: {error.strerror or error}", EX_CANTCREAT)


def _fail(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(status)
