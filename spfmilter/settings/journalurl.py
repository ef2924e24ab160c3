"""The URL of the journal's database: text to a typed value, and back without its password.

Knows the two databases and their notation. Opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from spfmilter.settings.ini import quoted

_SQLITE, _POSTGRESQL = "sqlite", "postgresql+psycopg"
_EXAMPLES = (
    "sqlite:////var/lib/spfmilter/journal.db or postgresql+psycopg://spfmilter:PASSWORD@db.example.net/spfmilter"
)
_QUERY = ("host", "sslmode", "sslrootcert", "sslcert", "sslkey", "service", "passfile", "target_session_attrs")
_HIDDEN = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalUrl:
    """A database; ``str()`` is fit for the log."""

    path: str = ""  # of SQLite's file; empty: PostgreSQL
    host: str = ""  # empty: PostgreSQL's unix socket, or the host of the query
    port: int | None = None
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    query: tuple[tuple[str, str], ...] = ()

    @property
    def embedded(self) -> bool:
        """Return whether the database is a file of this host."""
        return bool(self.path)

    def __str__(self) -> str:
        return self._text(_HIDDEN if self.password else "")

    def connection(self) -> str:
        """Return the URL with its password, for SQLAlchemy."""
        return self._text(quote(self.password, safe=""))

    def _text(self, password: str) -> str:
        if self.embedded:
            return f"{_SQLITE}:///{self.path}"
        secret = f":{password}" if password else ""
        login = f"{quote(self.user, safe='')}{secret}@" if self.user or secret else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{_POSTGRESQL}://{login}{host}{port}/{quote(self.database, safe='')}{query}"


def journal_url(text: str) -> JournalUrl | None:
    """Read ``sqlite:////path`` or ``postgresql+psycopg://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE[?...]``; None: empty.

    Raises:
        ValueError: it is neither; the message holds no password.
    """
    if not text:
        return None
    scheme, colon, rest = text.partition("://")
    if scheme == _SQLITE and colon:
        return _sqlite(rest)
    if scheme in {_POSTGRESQL, "postgresql", "postgres"} and colon:
        return _postgresql(text)
    known = quoted(text if colon and "@" not in text else text.rpartition("@")[2])  # before it may be a password
    raise ValueError(f"{known} is not the URL of a database that can hold the journal: write {_EXAMPLES}")


def _sqlite(rest: str) -> JournalUrl:
    path = rest.removeprefix("/")
    if not rest.startswith("//") or path.endswith("/") or "?" in path or "\0" in path:
        shown = quoted(f"sqlite://{rest}")
        raise ValueError(f"{shown} names no file: write four slashes, such as sqlite:////var/lib/spfmilter/journal.db")
    return JournalUrl(path=path)


def _postgresql(text: str) -> JournalUrl:
    shown = quoted(text.rpartition("@")[2])
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError(f"{shown} is not a URL: write {_EXAMPLES}") from None
    if port == 0 or "#" in text or any(c.isspace() for c in text) or "%00" in text:
        hint = ' (in a password, "/", "#", blanks and the like are written as %2F, %23, %20)' if "@" in text else ""
        raise ValueError(f"{shown} is not a URL: write {_EXAMPLES}{hint}")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ValueError(f"{shown} names no database: write {_EXAMPLES}")
    query = tuple(parse_qsl(parts.query, keep_blank_values=True))
    for name, _ in query:
        if name not in _QUERY:
            raise ValueError(f"{shown}: {quoted(name)} is not known after the ?: it takes {', '.join(_QUERY)}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return JournalUrl(host=host, port=port, database=database, user=user, password=password, query=query)
