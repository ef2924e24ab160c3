"""The state of the daemon at one moment, as values, and as the JSON text of its status file.

Knows which facts there are, and reads the text as untrusted input. Does not know where they come from, nor what is
healthy. All ages and times without a date are seconds, counted at the moment of the snapshot.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from spfmilter.text import unicode_line

FORMAT = 1  # of the text; another number for a change that an older or newer command would read wrongly
SIZE_LIMIT = 1 << 20  # bytes of the text
_MAX_ITEMS = 4096  # of a list, such as that of the workers
_MAX_TEXT = 512  # characters
_MAX_NUMBER = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a worker reports about itself once a second."""

    pid: int
    sessions: int  # open
    memory: int  # resident, in bytes
    silence: float  # for how long no nameserver has answered it; 0.0: they answer
    errors: float  # for how long the nameservers have answered nothing but errors, as announced; 0.0: they have not
    answers: int  # DNS answers in its cache
    answer_hits: int
    answer_misses: int
    verdicts: int  # verdicts in its cache
    verdict_hits: int
    verdict_misses: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A slot and its worker."""

    slot: int
    generation: int
    phase: str  # the name of a Phase, in lower case
    pid: int | None  # None: no process at present
    age: float  # of the process; of the pause, if there is none
    silent: float  # since its last sign of life
    exits: int  # of this slot's workers that had not been told to end
    processor: int | None  # the one that it is pinned to
    figures: Figures | None  # None: it has not reported any yet


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """A process beside the workers."""

    name: str
    wanted: bool  # the settings ask for it
    pid: int | None
    age: float  # of the process, or since it ended; 0.0 if there was none
    exits: int  # ends that had not been asked for
    how: str  # the last of them


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """The rows of the journal since the start, and its database."""

    url: str  # without the password
    written: int
    waiting: int
    dropped: int
    last: float | None  # since a row was last written; None: none was yet
    reachable: bool | None  # whether the database takes rows; None: it has not been tried yet
    reason: str  # why it does not
    age: float  # since it does, or does not


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadState:
    """How the last reload ended."""

    done: bool  # False: it was refused
    reason: str  # why it was refused
    age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """The workers that ended without having been told to."""

    number: int
    age: float  # of the last of them
    how: str  # it ended: a signal or an exit status


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptionsState:
    """The temporary exemptions, and their store."""

    number: int  # in force
    store: str  # without a password
    answered: bool  # since the start
    age: float  # since the store last answered, or since the start
    errors: int  # questions that failed, since the start
    reason: str  # why the last one failed; empty: it did not


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of the daemon."""

    time: float  # Unix time of this snapshot
    monotonic: float  # the same on the monotonic clock, which nothing sets back
    pid: int  # of the supervisor
    started: int  # its start in the kernel's ticks: a later process with the same pid has another one
    namespace: int  # of its pid, in which it means something
    age: float  # of the supervisor
    versions: Mapping[str, str]  # that it has loaded, by name
    phase: str  # starting, serving, stopping
    socket: str  # on which it listens, as the INI file writes it
    activated: bool  # systemd has passed the socket
    mode: str  # enforce or monitor
    nameservers: tuple[str, ...]  # of the settings; empty: those of resolv.conf
    file: str  # the INI file
    digest: str  # of the settings in force
    kept: Mapping[str, str]  # settings in force that only a restart changes
    settings_age: float  # since the settings in force were read
    wanted: int  # workers
    generation: int  # of the settings in force
    reloading: bool  # a reload is under way
    reload: ReloadState | None  # None: none since the start
    exits: Exits | None  # None: none since the start
    workers: tuple[WorkerState, ...]
    processes: tuple[ProcessState, ...]
    exemptions: ExemptionsState | None  # None: the daemon has no store for them
    journal: JournalState | None  # None: there is none
    trouble: str  # why the status file was last overwritten in place, and not replaced; empty: it was replaced


def encode(snapshot: Snapshot) -> bytes:
    """Return the text of a snapshot."""
    return json.dumps({"format": FORMAT, **dataclasses.asdict(snapshot)}, separators=(",", ":")).encode()


def decode(data: bytes) -> Snapshot:
    """Return the snapshot of a text. All texts in it are one line of printable characters.

    Raises:
        ValueError: it is not the text of a snapshot.
    """
    try:
        whole = json.loads(data)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ValueError("another format")
    found: Snapshot = _of_class(Snapshot, whole)
    return found


@functools.cache
def _fields(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _of_class(kind: Any, data: object) -> Any:
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is no object")  # noqa: TRY004 - the caller awaits one kind of error
    try:
        return kind(**{name: _value(hint, data[name]) for name, hint in _fields(kind).items()})
    except KeyError as error:
        raise ValueError(f"{kind.__name__} lacks {error}") from None


def _value(kind: Any, data: object) -> Any:
    """Return JSON data as a value of the annotated type.

    Raises:
        ValueError: it is none.
    """
    if dataclasses.is_dataclass(kind):
        return _of_class(kind, data)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType:  # X | None
        return None if data is None else _value(arguments[0], data)
    if origin is tuple and isinstance(data, list) and len(data) <= _MAX_ITEMS:
        return tuple(_value(arguments[0], item) for item in data)
    if origin is Mapping and isinstance(data, dict) and len(data) <= _MAX_ITEMS:
        return {_value(str, key): _value(str, item) for key, item in data.items()}
    if kind is str and isinstance(data, str):
        return unicode_line(data, _MAX_TEXT)
    if kind is bool and isinstance(data, bool):
        return data
    if kind is int and isinstance(data, int) and not isinstance(data, bool) and abs(data) <= _MAX_NUMBER:
        return data
    if kind is float and isinstance(data, float) and abs(data) <= _MAX_NUMBER:  # which neither inf nor NaN is
        return data
    raise ValueError(f"{data!r:.40} is no {getattr(kind, '__name__', kind)}")
