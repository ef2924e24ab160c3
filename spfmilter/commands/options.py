"""Options that several commands have, and the kinds of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
