"""The URL of the state server: text to a typed value, and back without its password.

Knows the notation of Redis's URLs and its error messages. Knows no keys. The other kinds of value are in ``values``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from spfmilter.settings.endpoints import is_address, usable_address
from spfmilter.settings.ini import quoted
from spfmilter.settings.names import domain_name

_PORT = 6379  # Redis's own
_DATABASE = re.compile(r"[0-9]{1,5}")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")  # as the library calls them, and so other programs
_QUERY = {"redis": (), "rediss": _FILES, "unix": ("db",)}
_EXAMPLES = "redis://192.0.2.9/0, rediss://state.example.net/0 or unix:///run/redis/redis.sock"
_HIDDEN = "***"
_PATH_LIMIT = 107  # bytes, of the 108 of sockaddr_un (unix(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class StateUrl:
    """A Redis or Valkey server; ``str()`` is fit for the log."""

    scheme: str  # redis, rediss (over TLS), unix
    host: str = ""
    port: int = _PORT
    path: str = ""  # of a unix socket
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    files: tuple[tuple[str, str], ...] = ()  # for TLS: what _FILES names, and the path

    def __str__(self) -> str:
        secret = f":{_HIDDEN}" if self.password else ""
        login = f"{quote(self.user)}{secret}@" if self.user or secret else ""
        if self.scheme == "unix":
            return f"unix://{login}{quote(self.path)}" + (f"?db={self.database}" if self.database else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port != _PORT else ""
        query = "&".join(f"{name}={path}" for name, path in self.files)
        return f"{self.scheme}://{login}{host}{port}/{self.database}" + (f"?{query}" if query else "")


def state_url(text: str) -> StateUrl | None:
    """Read ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]``, the same with ``rediss``, or ``unix://...``; None: empty.

    Raises:
        ValueError: it is none of these; the message holds no password.
    """
    if not text:
        return None
    scheme, colon, _ = text.partition("://")
    if not colon or scheme not in _QUERY:
        known = quoted(text if colon else text.rpartition("@")[2])  # what is before it may be a password
        raise ValueError(f"{known} is not the URL of a Redis or Valkey server: write {_EXAMPLES}")
    if "\0" in unquote(text):
        raise ValueError(f"{quoted(text)} holds %00, which no path, name or password can hold")
    parts, port = _split(text)
    query = _query(text, parts)
    local = scheme == "unix"
    return StateUrl(
        scheme=scheme,
        host="" if local else _host(text, parts.hostname or ""),
        port=port or _PORT,
        path=_path(text, parts) if local else "",
        database=_database(text, query.get("db", "") if local else parts.path.removeprefix("/")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        files=() if local else tuple(query.items()),
    )


def _split(text: str) -> tuple[SplitResult, int | None]:
    """The parts, and the port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # brackets without an address in them, or a port that is no number
        parts, port = SplitResult("", "", "", "", ""), 0
    if port == 0 or "#" in text or any(c.isspace() for c in text):
        hint = ' (in a password, "/", "#", blanks and the like are written as %2F, %23, %20)' if "@" in text else ""
        raise ValueError(f"{quoted(text)} is not a URL: write {_EXAMPLES}{hint}")
    return parts, port


def _query(text: str, parts: SplitResult) -> dict[str, str]:
    known = _QUERY[parts.scheme]
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name, value in query.items():
        if name not in known:
            can = f"{parts.scheme}:// takes {', '.join(known)}" if known else f"{parts.scheme}:// takes nothing here"
            raise ValueError(f"{quoted(text)}: {quoted(name)} is not known after the ?: {can}")
        if name in _FILES and not value.startswith("/"):
            raise ValueError(f"{quoted(text)}: {name} is the path of a file, and begins with /")
    return query


def _path(text: str, parts: SplitResult) -> str:
    """The path of a unix socket; what stands before it can only be a login."""
    if parts.hostname or parts.port is not None or not parts.path.rstrip("/"):
        raise ValueError(f"{quoted(text)}: after unix:// comes a path, such as unix:///run/redis/redis.sock")
    path = unquote(parts.path)
    if len(path.encode()) > _PATH_LIMIT:
        raise ValueError(f"{quoted(text)}: the path of a unix socket has at most {_PATH_LIMIT} bytes")
    return path


def _host(text: str, host: str) -> str:
    """An address, or a name: a certificate is issued for one."""
    host = host.replace("%25", "%")  # RFC 6874: before the interface of a link-local address
    if is_address(host):
        return usable_address(text, host)
    try:
        return domain_name(host)
    except ValueError:
        raise ValueError(f"{quoted(text)} names no host: write {_EXAMPLES}") from None


def _database(text: str, number: str) -> int:
    if number and _DATABASE.fullmatch(number) is None:
        raise ValueError(f"{quoted(text)}: {quoted(number)} is not a database: write a number, such as 0")
    return int(number or 0)
