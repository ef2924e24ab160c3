"""A table in memory that all workers of this host share, of keys and the time at which each was first seen.

Knows the kernel's part in it: an anonymous file in memory, which lives as long as a process that has it, and record
locks, which the kernel takes from a process that dies. Does not know what the keys mean (docs/decisions/0016-state.md).
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import struct
import threading
from hashlib import blake2b

from spfmilter.observe import log

ENTRIES = 1 << 17  # 4 MB, of which only what is used is taken
_DIGEST = 24  # bytes: two keys never share one
_ENTRY = struct.Struct(f"={_DIGEST}sd")  # the key's digest and its time; all zero: free
_AT_ONCE = 1.0  # seconds: so much later another process may have looked at the clock, and yet have been first here
_WAYS = 16  # entries of a bucket: where a key can be
_BUCKET = _WAYS * _ENTRY.size  # bytes; a page holds a whole number of them, so that no entry lies across two


class Table:
    """Keys and times, of bounded size: in a bucket that is full, the oldest entry makes room.

    The place of a key depends on a secret, so that a stranger who makes up keys cannot aim at another's entry. Made
    before the processes are forked that share it.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self._buckets = max(1, entries // _WAYS)
        self._secret = secrets.token_bytes(32)
        self._file: int | None = None  # none where the system refuses one: mail is answered without it, too
        try:
            # Not mapped into memory: what does not fit is then an error of the write, and not the death of the process.
            self._file = os.memfd_create("spfmilter-state", os.MFD_CLOEXEC)
            os.ftruncate(self._file, self._buckets * _BUCKET)
        except OSError as error:
            log.error("deferral memory unavailable", reason=error.strerror or str(error))
        # A record lock is the process's: it keeps other processes out, and this one the other threads.
        self._lock = threading.Lock()

    def since(self, key: str, now: float, keep: float) -> float:
        """The time at which the key was first seen, ``now`` if that is not known or more than ``keep`` seconds ago.

        A known time that is later than ``now`` gives way to it.

        Raises:
            OSError: the system has no memory for an entry, or no lock.
        """
        name = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST, key=self._secret).digest()
        start = int.from_bytes(name[:8]) % self._buckets * _BUCKET
        if self._file is None:
            raise OSError(errno.ENOMEM, "there is no table")
        with self._lock:
            # Never close a descriptor of this file here: that would give up the lock (fcntl(2)).
            fcntl.lockf(self._file, fcntl.LOCK_EX, _BUCKET, start)
            try:
                return self._find_or_put(self._file, start, name, now, keep)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _BUCKET, start)

    def _find_or_put(self, file: int, start: int, name: bytes, now: float, keep: float) -> float:
        """In the bucket that begins at ``start``, which is locked."""
        entries = list(_ENTRY.iter_unpack(os.pread(file, _BUCKET, start)))
        place = next((number for number, entry in enumerate(entries) if entry[0] == name), None)
        latest = now + _AT_ONCE  # what is later is from before the clock was set back, and tells nothing
        if place is not None and now - keep < entries[place][1] <= latest:
            first: float = entries[place][1]
            return first
        if place is None:
            place = min(range(_WAYS), key=lambda number: entries[number][1] if entries[number][1] <= latest else 0.0)
        # One write within a page: a process that is killed has made it, or not.
        os.pwrite(file, _ENTRY.pack(name, now), start + place * _ENTRY.size)
        return now

    def close(self) -> None:
        """Let go of it; the other processes keep it."""
        if self._file is not None:
            os.close(self._file)


class OnThisHost:
    """What the workers of this host remember; see ``Deferrals``."""

    def __init__(self, table: Table, keep: float) -> None:
        self._table, self._keep = table, keep
        self._rate_limited = log.RateLimitedLog()

    def since(self, key: str, now: float) -> float:
        """See ``Deferrals``."""
        try:
            return self._table.since(key, now, self._keep)
        except OSError as error:
            self._rate_limited.not_remembered(error.strerror or str(error))
            return now
