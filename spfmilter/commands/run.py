"""``spfmilter run``: the daemon, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

from spfmilter.commands.console import EX_CANTCREAT, settings_from
from spfmilter.daemon.notify import cannot_start


def run(path: Path, *, self_test: bool) -> None:
    """Serve until the daemon is stopped, and exit with its status; with 73 if it cannot start.

    Args:
        path: the INI file, which is read again at each reload.
        self_test: whether to query the nameservers first.
    """
    settings = settings_from(path, tell=cannot_start)
    # Imported here, so the other commands do not need libmilter.
    from spfmilter.daemon.start import StartError, serve  # noqa: PLC0415

    try:
        sys.exit(serve(path, settings, self_test=self_test))
    except StartError as error:
        cannot_start(str(error))
        sys.exit(EX_CANTCREAT)
