"""Whether this host could use the journal's database, as far as that shows without opening it, and what to do if not.

Knows files and packages. Does not load the database's library, so the supervisor may ask.
"""

from __future__ import annotations

import os
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from spfmilter import ownership
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
    folder, user = path.parent, ownership.user()
    if not folder.is_dir():
        return f"there is no folder {folder}", f"install -d -o {user} -m 0750 {folder}"
    if path.exists() and not path.is_file():
        return f"{path} is not a file", "name another file in [journal] url"
    if not os.access(folder, os.W_OK | os.X_OK):
        whose = ownership.nearest(folder)
        return f"user {user} may not write in {folder}", f"{whose}: give it to {user}, or name another folder"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"user {user} may not write {path}", f"{ownership.nearest(path)}: give it to {user}"
    status = os.statvfs(folder)
    if status.f_blocks and not status.f_bavail:
        return f"no space is left in {folder}", "make space there, or shorten [journal] keep"
    return None


def fix_for(url: JournalUrl) -> str:
    """Return what to do if the database cannot be used."""
    known = trouble(url)
    if known is not None:
        return known[1]
    if url.embedded:
        return f"look after {url.path}; see docs/journal.md"
    return "look after the PostgreSQL server; see [journal] url, and docs/journal.md"
