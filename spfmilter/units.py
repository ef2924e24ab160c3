"""Read systemd's unit files: the settings of a unit with its drop-ins (systemd.unit(5)), and where it may write.

Knows the files' syntax and the folders where they are. Reads files only, so it needs no running service manager, and
works for every user. Does not know specifiers, templates and aliases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

SERVICE, SOCKET, WEB = "spfmilter.service", "spfmilter.socket", "spfmilter-web.service"
_ROOTS = tuple(
    Path(folder)
    for folder in (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
)  # the first one that has a file wins
_FOLDERS = {"RuntimeDirectory": "/run", "StateDirectory": "/var/lib", "CacheDirectory": "/var/cache"}
STATE = Path("/var/lib/spfmilter")
# Where the shipped unit lets the daemon write. A test compares this with the unit file.
WRITABLE = (Path("/run/spfmilter"), STATE, Path("/var/spool/postfix/spfmilter"))
DROP_IN = "in a drop-in (systemctl edit spfmilter, below [Service])"
MAKE_ALL = "systemd-tmpfiles --create spfmilter.conf"  # each folder with its owner, group and mode
_MADE = frozenset({STATE, STATE / "requests"})  # by that command
_SIZE_LIMIT = 64 * 1024  # bytes of one file


def settings(name: str, section: str, roots: Sequence[Path] | None = None) -> dict[str, list[str]] | None:
    """Return what a unit says for each key of a section, in the order of its files; None: it is not installed.

    As in systemd, an empty value removes those before it. Files that cannot be read are left out.

    Args:
        name: of the unit, such as ``spfmilter.socket``.
        section: such as ``Socket``.
        roots: the folders of unit files, the one that wins first; None: those of the system.
    """
    folders = _ROOTS if roots is None else roots
    main = next((text for folder in folders if (text := _text(folder / name)) is not None), None)
    if main is None:
        return None
    found: dict[str, list[str]] = {}
    for text in (main, *_drop_ins(name, folders)):
        for key, value in _entries(text, section):
            if value:
                found.setdefault(key, []).append(value)
            else:
                found.pop(key, None)
    return found


def last(name: str, section: str, key: str, default: str = "") -> str:
    """Return the value of a key that has one; the default if the unit is not installed, or says nothing."""
    values = (settings(name, section) or {}).get(key)
    return values[-1] if values else default


def daemon_user(default: str = "spfmilter") -> str:
    """Return the user of the installed service; the default if it is not installed."""
    return last(SERVICE, "Service", "User", default)


def page_user() -> str:
    """Return the user of the installed service of the help page; ``spfmilter-web`` if it is not installed."""
    return last(WEB, "Service", "User", "spfmilter-web")


def keeps_read_only(path: Path) -> bool:
    """Return whether the installed service cannot write at a path; False if it is not installed.

    ProtectSystem=strict makes all folders read-only but those that the unit names (systemd.exec(5)).
    """
    service = settings(SERVICE, "Service") or {}
    if service.get("ProtectSystem", [""])[-1] != "strict":
        return False
    allowed = [Path(word.lstrip("-+")) for word in " ".join(service.get("ReadWritePaths", [])).split()]
    for key, top in _FOLDERS.items():
        allowed += [Path(top) / word for word in " ".join(service.get(key, [])).split()]
    return not any(path.is_relative_to(place) for place in allowed)


def to_make(folder: Path, command: str, services: str = "spfmilter") -> str:
    """Return how to make a missing folder, so that the service can write in it.

    systemd binds the folders of ReadWritePaths= when a service starts: one that is made later is read-only for it.

    Args:
        folder: the one that is missing.
        command: makes it, where tmpfiles.d has no line for it.
        services: those that write there.
    """
    restart = f"systemctl restart {services}"
    if folder in _MADE:
        return f"{MAKE_ALL} && {restart}"
    if keeps_read_only(folder):
        return f"{command}, with ReadWritePaths={folder} {DROP_IN}, and {restart}"
    return f"{command} && {restart}"


def to_write(folder: Path, services: str = "spfmilter") -> str:
    """Return what to do if a folder is read-only for the service; the parameters are those of ``to_make``."""
    restart = f"systemctl restart {services}"
    named = f"ReadWritePaths={folder} {DROP_IN}, and {restart}"
    if keeps_read_only(folder):
        return f"systemd lets the service write in few folders: add {named}"
    late = f"if it was made after the start of the service: {restart}"
    if any(folder.is_relative_to(place) for place in WRITABLE) or settings(SERVICE, "Service") is not None:
        return f"{late}; otherwise the file system itself is read-only"
    return f"{late}; otherwise systemd lets the service write in few folders: add {named}"


def _drop_ins(name: str, folders: Sequence[Path]) -> Iterator[str]:
    """Yield the texts of the drop-ins in the order of their names. Of equal names, the first folder's wins."""
    files: dict[str, Path] = {}
    for folder in reversed(folders):
        with suppress(OSError):
            files |= {path.name: path for path in (folder / f"{name}.d").iterdir() if path.suffix == ".conf"}
    for _, path in sorted(files.items()):
        text = _text(path)
        if text is not None:
            yield text


def _text(path: Path) -> str | None:
    """Return the text of a file; None if it is not there, or cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(_SIZE_LIMIT).decode(errors="replace")
    except OSError:
        return None


def _entries(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a section with their values. A line that ends in a backslash goes on in the next one."""
    here, begun = "", ""
    for raw in text.splitlines():
        line = raw.strip()
        if line[:1] in {"#", ";"}:
            continue
        line = f"{begun} {line}".strip()
        if line.endswith("\\"):
            begun = line[:-1].strip()
            continue
        begun = ""
        if line.startswith("["):
            here = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        if equals and here == section:
            yield key.strip(), value.strip()
