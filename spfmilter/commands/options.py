"""Options that several commands have, and the kinds of their values."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import click

from spfmilter.settings import DEFAULT_PATH
from spfmilter.settings.values import Duration, duration

config = click.option(
    "-c",
    "--config",
    "path",
    # That the file can be read is said where it is read, with status 78 and what to do.
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_PATH,
    show_default=True,
    help="The INI file.",
)


class Commands(click.Group):
    """A group of commands. Without one of them it prints its help, as an error: wrong usage, with every click."""

    group_class = type  # those below it, too

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse an empty command line. Click before 8.2 prints the help and succeeds, so a script would go on."""
        if not args and not ctx.resilient_parsing:
            raise MissingCommand(ctx)
        return super().parse_args(ctx, args)


class MissingCommand(click.UsageError):
    """The help of a group, in place of one line that refers to it."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__(ctx.get_help(), ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it on standard error."""
        click.echo(self.format_message(), file=file, err=True)


class Span(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs of newer versions only
    """A span of time, in the notation of the INI file."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Duration:
        """Return the span; a wrong one is a usage error."""
        try:
            return value if isinstance(value, Duration) else duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


json_output = click.option("--json", "json_output", is_flag=True, help="Print JSON for programs.")
