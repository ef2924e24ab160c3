"""What an administrator has to do so that Sendmail asks this daemon, or no longer asks it.

Knows the steps by hand: sendmail.cf is built from sendmail.mc, and a running Sendmail has to be restarted.
"""

from __future__ import annotations

import os
from enum import Enum

from spfmilter.commands import mta, survey
from spfmilter.commands.sendmailcf import OUR_NAME, SendmailConfig
from spfmilter.commands.settingchange import SettingChange
from spfmilter.settings import Settings

_STALE = "Sendmail was started before sendmail.cf was built, and works with its former settings"
_RESTART = "systemctl restart sendmail"
_FILE = "sendmail.mc"
_LINE = f"INPUT_MAIL_FILTER(`{OUR_NAME}')"


class _Lack(Enum):
    """Why Sendmail does not ask us as it should."""

    LINE = "no INPUT_MAIL_FILTER of ours"
    SOCKET = "its socket is another one"
    PATIENCE = "it does not wait long enough for an answer"
    TURN = "InputMailFilters leaves it out"


def to_attach(settings: Settings, config: SendmailConfig | None) -> list[str]:
    """Return the lines that say what to do in sendmail.mc, and afterwards.

    Args:
        settings: the daemon's.
        config: the sendmail.cf of this host; None: it has none.

    Raises:
        AttachError: the address of our socket is not in the settings.
    """
    line = mta.sendmail_line(settings)
    if config is None:
        return ["# Sendmail, in sendmail.mc:", line]
    lack, present = _lack(settings, config), config.ours
    if lack is None:
        if config.unread:
            return [f"# {_STALE}. Run: {_RESTART}"]
        return ["# Sendmail is attached already: there is nothing to change."]
    where = ""
    if present is not None:
        where = {
            _Lack.SOCKET: f", in place of the line with S={present.socket}",
            _Lack.PATIENCE: f", in place of the line that has it: Sendmail waits {present.answer} for an answer, "
            "which is too short",
        }.get(lack, ", where InputMailFilters leaves spfmilter out, so mail is not checked")
    return [f"# Sendmail, in sendmail.mc{where}:", line, _then(config)]


def changes_to_attach(settings: Settings, config: SendmailConfig | None) -> list[SettingChange]:
    """Return what the steps of ``to_attach`` change; none if there is no Sendmail here, or if it is attached.

    Args:
        settings: the daemon's.
        config: the sendmail.cf of this host; None: it has none.

    Raises:
        AttachError: the address of our socket is not in the settings.
    """
    if config is None:
        return []
    lack, present = _lack(settings, config), config.ours
    if lack is None:
        return []
    if lack is _Lack.TURN:
        asked = [found.name for found in config.filters if found.asked]
        before, after = ", ".join(asked), ", ".join([OUR_NAME, *asked])
        return [SettingChange(file=_FILE, setting="confINPUT_MAIL_FILTERS", before=before, after=after)]
    before = present.equates if present is not None else ""
    return [SettingChange(file=_FILE, setting=_LINE, before=before, after=mta.sendmail_equates(settings))]


def _lack(settings: Settings, config: SendmailConfig) -> _Lack | None:
    """Return what sendmail.cf lacks first; None if Sendmail asks us as it should."""
    present = config.ours
    if present is None:
        return _Lack.LINE
    if present.socket != mta.sendmail_socket(settings):
        return _Lack.SOCKET
    if not mta.sendmail_waits(present.answer, settings):
        return _Lack.PATIENCE
    return None if present.asked else _Lack.TURN


def changes_to_detach(config: SendmailConfig | None) -> list[SettingChange]:
    """Return what the steps of ``to_detach`` change; none if there is no Sendmail here, or if it is detached."""
    present = config.ours if config is not None else None
    return [SettingChange(file=_FILE, setting=_LINE, before=present.equates, after=None)] if present is not None else []


def to_detach(config: SendmailConfig | None) -> list[str]:
    """Return the lines that say what to do in sendmail.mc, and afterwards; none if there is no Sendmail here.

    Args:
        config: the sendmail.cf of this host; None: it has none.
    """
    if config is None:
        return []
    if config.ours is not None:
        return ["# Sendmail: take the line INPUT_MAIL_FILTER(`spfmilter', ...) out of sendmail.mc.", _then(config)]
    if config.unread:
        return [f"# {_STALE}. Run: {_RESTART}"]
    return ["# Sendmail is detached already: there is nothing to change."]


def notes(settings: Settings, config: SendmailConfig | None, *, activated: bool = False) -> list[str]:
    """Return what to know before the printed line is used: that no daemon answers at its socket.

    Args:
        settings: the daemon's.
        config: the sendmail.cf of this host; None: it has none.
        activated: whether systemd holds our socket.
    """
    socket = mta.sendmail_socket(settings)
    if config is None or (config.ours is not None and config.ours.asked and config.ours.socket == socket):
        return []  # survey.of_sendmail tries it
    reason, fix = survey.for_sendmail(socket, config, activated=activated)
    return [f"{socket}: {reason}. Before Sendmail has the line: {fix}"] if reason else []


def _then(config: SendmailConfig) -> str:
    """Return the step after a change of sendmail.mc. Debian and Red Hat have a Makefile beside it."""
    folder = config.path.parent
    if os.path.exists(folder / "Makefile"):  # noqa: PTH110 - Path.exists raises where a link leads to a closed folder
        return f"# Then: make -C {folder} && {_RESTART}"
    return "# Then build sendmail.cf, and restart Sendmail."
