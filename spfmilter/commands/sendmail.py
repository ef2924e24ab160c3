"""What an administrator has to do so that Sendmail asks this daemon, or no longer asks it.

Knows the steps by hand: sendmail.cf is built from sendmail.mc, and a running Sendmail has to be restarted.
"""

from __future__ import annotations

from spfmilter.commands import mta, survey
from spfmilter.commands.sendmailcf import OUR_NAME, SendmailConfig
from spfmilter.commands.settingchange import SettingChange
from spfmilter.settings import Settings

_STALE = "Sendmail was started before sendmail.cf was built, and works with its former settings"
_RESTART = "systemctl restart sendmail"
_FILE = "sendmail.mc"
_LINE = f"INPUT_MAIL_FILTER(`{OUR_NAME}')"


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
    present = config.ours
    if present is None:
        return ["# Sendmail, in sendmail.mc:", line, _then(config)]
    if present.socket != mta.sendmail_socket(settings):
        where = f"in place of the line with S={present.socket}"
    elif not mta.sendmail_waits(present.answer, settings):
        where = f"in place of the line that has it: Sendmail waits {present.answer} for an answer, which is too short"
    elif not present.asked:
        where = "where InputMailFilters leaves spfmilter out, so mail is not checked"
    elif config.unread:
        return [f"# {_STALE}. Run: {_RESTART}"]
    else:
        return ["# Sendmail is attached already: there is nothing to change."]
    return [f"# Sendmail, in sendmail.mc, {where}:", line, _then(config)]


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
    present, wanted = config.ours, mta.sendmail_equates(settings)
    if present is None:
        return [SettingChange(file=_FILE, setting=_LINE, before="", after=wanted)]
    if present.socket != mta.sendmail_socket(settings) or not mta.sendmail_waits(present.answer, settings):
        return [SettingChange(file=_FILE, setting=_LINE, before=present.equates, after=wanted)]
    if not present.asked:
        asked = [found.name for found in config.filters if found.asked]
        before, after = ", ".join(asked), ", ".join([OUR_NAME, *asked])
        return [SettingChange(file=_FILE, setting="confINPUT_MAIL_FILTERS", before=before, after=after)]
    return []


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
    if (folder / "Makefile").exists():
        return f"# Then: make -C {folder} && {_RESTART}"
    return "# Then build sendmail.cf, and restart Sendmail."
