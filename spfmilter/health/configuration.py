"""The INI file beside the settings in force, and the installed versions beside the running ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from spfmilter.daemon import inforce
from spfmilter.daemon import versions as installed_versions
from spfmilter.daemon.snapshot import Snapshot
from spfmilter.health.known import Known
from spfmilter.health.parts import Level, Part, ago
from spfmilter.settings import Settings

_RELOAD = "spfmilter config check && systemctl reload spfmilter"
_RESTART = "systemctl restart spfmilter"


def configuration(known: Known) -> Iterator[Part]:
    """Yield the part ``configuration``."""
    snapshot, settings = known.snapshot, known.settings
    data: dict[str, object] = {
        "file": str(known.path),
        "valid": settings is not None if known.ini.readable else None,
        "problems": list(known.ini.problems),
        "further_files": list(settings.further) if settings is not None else [],
        "variables": list(settings.variables) if settings is not None else [],
        "list_files": _list_files(settings),
        "reload_needed": None,
        "restart_needed": None,
        "reload": None,
    }
    level, text, fix = _of_the_file(known)
    texts = [text]
    if snapshot is not None:
        changed, kept = _changes(snapshot, settings)
        data |= {"reload_needed": changed, "restart_needed": kept if settings is not None else None}
        if snapshot.reloading:
            texts.append("a reload is under way")
        elif changed:
            level, fix = Level.WARNING, _RELOAD
            it = "a file" if settings is not None and (settings.further or _list_files(settings)) else "it"
            texts.append(f"{it} has changed since the daemon read it {ago(snapshot.settings_age + known.age)}")
        if kept:
            level, fix = Level.WARNING, _RESTART
            texts.append(f"a restart is needed for {', '.join(kept)}")
        if snapshot.reload is not None:
            last = snapshot.reload
            when = ago(last.age + known.age)
            data["reload"] = {"done": last.done, "seconds": last.age + known.age, "reason": last.reason or None}
            texts.append(f"reloaded {when}" if last.done else f"reload refused {when}: {last.reason}")
            if not last.done and changed is not False:
                level = Level.WARNING
                fix = fix or _RELOAD
    yield Part(name="configuration", level=level, text="; ".join(texts), fix=fix, data=data)


def _of_the_file(known: Known) -> tuple[Level, str, str]:
    """Return level, text and fix for the file alone."""
    problems = known.ini.problems
    if known.settings is not None:
        return Level.OK, f"{known.path} {_valid(known.settings)}", ""
    first = problems[0] if problems else "unknown"
    if not known.ini.readable:
        return Level.UNKNOWN, f"{known.path}: {first}", ""
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    text = f"{known.path} has problems, and a restart would fail: {first}{more}"
    return Level.WARNING, text, "spfmilter config check"


def _list_files(settings: Settings | None) -> dict[str, int]:
    """Return the list files, each with the number of its entries."""
    lists = settings.lists() if settings is not None else ()
    return {path: number for _, _, entries in lists for path, number in entries.files}


def _valid(settings: Settings) -> str:
    """Return that the INI file is valid, with the files beside it and the environment."""
    lists, further, variables = len(_list_files(settings)), len(settings.further), len(settings.variables)
    others = [f"{further} of conf.d"] if further else []
    others += [f"{lists} list {'file' if lists == 1 else 'files'}"] if lists else []
    others += [f"{variables} environment {'variable' if variables == 1 else 'variables'}"] if variables else []
    return f"with {' and '.join(others)} is valid" if others else "is valid"


def _changes(snapshot: Snapshot, settings: Settings | None) -> tuple[bool | None, list[str]]:
    """Return whether the file has other settings than the daemon, and those that need a restart."""
    if settings is None:
        return None, []
    counting = "[metrics] listen" not in snapshot.kept
    fresh = inforce.kept(settings, counting=counting)
    kept = [name for name, value in fresh.items() if snapshot.kept.get(name) != value]
    return inforce.digest(settings, counting=counting) != snapshot.digest, kept


# -- versions ----------------------------------------------------------------------------------------------------------

_NAMES = {"python": "Python"}  # as people write them


def versions(known: Known) -> Iterator[Part]:
    """Yield the part ``versions``."""
    running = known.snapshot.versions if known.snapshot is not None else {}
    yield versions_part(running, {**installed_versions.installed(), "SQLite": sqlite3.sqlite_version})


def versions_part(running: Mapping[str, str], installed: Mapping[str, str]) -> Part:
    """Return the versions: what the daemon runs with, and what a restart would bring."""
    changed = [name for name, version in running.items() if installed.get(name) != version]
    data = {"running": dict(running), "installed": dict(installed)}
    text = ", ".join(f"{_NAMES.get(name, name)} {version}" for name, version in {**installed, **running}.items())
    if not changed:
        return Part(name="versions", level=Level.OK, text=text, data=data)
    news = ", ".join(f"{_NAMES.get(name, name)} {installed.get(name, '(removed)')}" for name in changed)
    text = f"the daemon runs with {text}; installed since: {news}"
    return Part(name="versions", level=Level.WARNING, text=text, fix=_RESTART, data=data)
