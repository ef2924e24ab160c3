"""Read the settings for a reload, as far as a running daemon can change them.

Knows the INI file's problems, and its settings without effect, which are logged at the start as well. The fleet knows
when a reload begins and how it ends.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from spfmilter.daemon import freed
from spfmilter.daemon.inforce import KEPT
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.interfaces import has_public_address
from spfmilter.journal import place
from spfmilter.observe import log
from spfmilter.settings import Settings, SettingsError, load, without_effect

_RESTART = "systemctl restart spfmilter"


def report_without_effect(settings: Settings) -> None:
    """Log each setting that has no effect, and why."""
    for finding in without_effect(settings, is_public=has_public_address()):
        log.warning("setting without effect", setting=str(finding), **({"file": finding.file} if finding.file else {}))


def report_journal(settings: Settings) -> None:
    """Log if the journal's database cannot be used, as far as that shows at once. Mail is checked all the same."""
    url = settings.journal.url
    if url is not None and (known := place.trouble(url)) is not None:
        log.error("journal cannot be written", database=str(url), reason=known[0], fix=known[1])


class RefusedError(Exception):
    """The new settings cannot be used. The text says why, and each problem is in the log."""


def read(path: Path, old: Settings, *, counting: bool) -> Settings:
    """Return the settings of the files. Settings that only a restart can change keep their old values.

    Args:
        path: the INI file.
        old: the settings in force.
        counting: whether there is a folder for metrics.

    Raises:
        RefusedError: the file, or the secrets for the help page's links, cannot be used.
    """
    with suppress(OSError):  # which load() reports
        if path.is_fifo():  # a read would wait until something is written to it
            raise RefusedError(f"{path} is a named pipe: the settings must be in a file: write one in its place")
    try:
        fresh = load(path)
        open_signer(fresh)
        report_without_effect(fresh)
        report_journal(fresh)
        if next(fresh.lists(), None) is not None:
            freed.give_back()
        return _with_what_stays(old, fresh, counting=counting)
    except SettingsError as error:
        for problem in error.problems:
            log.error("configuration problem", file=error.file_of(problem), problem=str(problem))
        raise RefusedError(error.counted()) from None
    except SecretError as error:
        raise RefusedError(str(error)) from None
    except Exception:  # noqa: BLE001 - a bug, or no memory: the old settings are good
        log.fault("reload", traceback.format_exc())
        raise RefusedError("internal error") from None


def _with_what_stays(old: Settings, fresh: Settings, *, counting: bool) -> Settings:
    """Return the new settings with the current socket, since changing it would refuse connections."""
    keep = {name: getattr(old.milter, name) for name in KEPT}
    for name, value in keep.items():
        if getattr(fresh.milter, name) != value:
            fix = f"{_RESTART}, then spfmilter attach --apply" if name == "socket" else _RESTART
            log.warning("setting needs a restart", section="milter", key=name, keeps=str(value), fix=fix)
    if fresh.metrics.listen and not counting:
        log.warning("setting needs a restart", section="metrics", key="listen", keeps="(none)", fix=_RESTART)
        fresh = replace(fresh, metrics=old.metrics)
    return replace(fresh, milter=fresh.milter.model_copy(update=keep))
