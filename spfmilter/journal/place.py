"""Whether this host could use the journal's database, as far as that shows without opening it, and what to do if not.

Knows files and packages. Does not load the database's library, so the supervisor may ask.
"""

from __future__ import annotations

import os
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from spfmilter import ownership, units
from spfmilter.packages import how_to_install
from spfmilter.settings.journalurl import JournalUrl

_PACKAGES = ("sqlalchemy", "alembic")
_DRIVER = "psycopg"
_COMPILED = ("psycopg_binary", "psycopg_c")  # the driver's forms that bring PostgreSQL's library, or are linked to it


def trouble(url: JournalUrl) -> tuple[str, str] | None:
    """Return why the database cannot be used, and what to do; None: nothing is known against it."""
    for package in (*_PACKAGES, *(() if url.embedded else (_DRIVER,))):
        if find_spec(package) is None:
            install = how_to_install("postgresql" if package == _DRIVER else "", package)
            return f"the package {package} is missing", f"{install}, and restart"
    if not url.embedded and not any(map(find_spec, _COMPILED)) and find_library("pq") is None:
        return "libpq, PostgreSQL's library, is missing", f"{how_to_install('postgresql', 'libpq')}, and restart"
    return _file_trouble(Path(url.path)) if url.embedded else None


def _file_trouble(path: Path) -> tuple[str, str] | None:
    try:
        return _trouble_in(path.parent, path)
    except PermissionError:  # also of is_dir() and exists(), below a folder that may not be entered
        user = ownership.user()
        return f"user {user} may not look for {path}", _given(
            path, user, "let that user enter it, or name another folder"
        )
    except OSError as error:
        return f"{path}: {error.strerror or error}", "name another file in [journal] url"


def _trouble_in(folder: Path, path: Path) -> tuple[str, str] | None:
    user = ownership.user()
    if not folder.is_dir():
        return f"there is no folder {folder}", units.to_make(folder, f"install -d -o {user} -m 0750 {folder}")
    if path.exists() and not path.is_file():
        return f"{path} is not a file", "name another file in [journal] url"
    if ownership.is_read_only(folder):
        return f"{folder} is read-only", units.to_write(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"user {user} may not write in {folder}", _given(
            folder, user, f"give it to {user}, or name another folder"
        )
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"user {user} may not write {path}", _given(path, user, f"give it to {user}")
    status = os.statvfs(folder)
    if status.f_blocks and not status.f_bavail:
        return f"no space is left in {folder}", "make space there, or shorten [journal] keep"
    return None


def _given(path: Path, user: str, change: str) -> str:
    """Return what to do about a lack of rights: a change for the daemon's user, and none for another one."""
    daemon = units.daemon_user(user)
    advice = change if user == daemon else f"run this as root, or as user {daemon}"
    return f"{ownership.nearest(path)}: {advice}"


def fix_for(url: JournalUrl) -> str:
    """Return what to do if the database cannot be used."""
    known = trouble(url)
    if known is not None:
        return known[1]
    if url.embedded:
        return f"look after {url.path}; see docs/journal.md"
    return "look after the PostgreSQL server; see [journal] url, and docs/journal.md"
