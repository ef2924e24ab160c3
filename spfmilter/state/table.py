"""Store keys, and the time at which each was first seen, in memory that all workers of this host share.

Uses an anonymous file in memory, which exists as long as a process has it open, and record locks, which the kernel
releases when a process dies. Does not know what the keys mean (docs/decisions/0016-state.md).
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
from spfmilter.observe.ratelimited import RateLimitedLog

ENTRIES = 1 << 17  # 4 MB, but only used pages take memory
_DIGEST = 24  # bytes: long enough that two keys never share one
_ENTRY = struct.Struct(f"={_DIGEST}sd")  # the key's digest and its time; all zero: free
_AT_ONCE = 1.0  # seconds that a stored time may be ahead: another process read the clock later but was first here
_WAYS = 16  # entries of a bucket: where a key can be
_BUCKET = _WAYS * _ENTRY.size  # bytes; a page holds a whole number of buckets, so no entry spans two pages


class Table:
    """Store keys and times in bounded memory. In a full bucket, the oldest entry is replaced.

    The place of a key depends on a secret, so an attacker who invents keys cannot replace a chosen entry. Make
    the table before forking the processes that share it.
    """

    def __init__(self, entries: int = ENTRIES) -> None:
        self._buckets = max(1, entries // _WAYS)
        self._secret = secrets.token_bytes(32)
        self._file: int | None = None  # None if the system refuses one: mail is answered without it, too
        try:
            # Not mapped into memory: if memory runs out, a write fails, but the process is not killed.
            self._file = os.memfd_create("spfmilter-state", os.MFD_CLOEXEC)
            os.ftruncate(self._file, self._buckets * _BUCKET)
        except OSError as error:
            reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a), and restart"
            log.error("deferral memory unavailable", reason=reason, fix=fix)
        # A record lock belongs to the process: it excludes other processes. This lock excludes the other threads.
        self._lock = threading.Lock()

    def since(self, key: str, now: float, keep: float) -> float:
        """Return the Unix time in seconds at which the key was first seen.

        Store and return ``now`` if no time is known, or if it is more than ``keep`` seconds ago. A stored time later
        than ``now`` is replaced as well.

        Raises:
            OSError: the system has no memory for an entry, or no lock.
        """
        name = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST, key=self._secret).digest()
        start = int.from_bytes(name[:8]) % self._buckets * _BUCKET
        if self._file is None:
            raise OSError(errno.ENOMEM, "there is no table")
        with self._lock:
            # Never close a descriptor of this file here: that would release the lock (fcntl(2)).
            fcntl.lockf(self._file, fcntl.LOCK_EX, _BUCKET, start)
            try:
                return self._find_or_put(self._file, start, name, now, keep)
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, _BUCKET, start)

    def _find_or_put(self, file: int, start: int, name: bytes, now: float, keep: float) -> float:
        """Find or store the key in the locked bucket that begins at ``start``."""
        entries = list(_ENTRY.iter_unpack(os.pread(file, _BUCKET, start)))
        place = next((number for number, entry in enumerate(entries) if entry[0] == name), None)
        latest = now + _AT_ONCE  # a later time is from before the clock was set back, and useless
        if place is not None and now - keep < entries[place][1] <= latest:
            first: float = entries[place][1]
            return first
        if place is None:
            place = min(range(_WAYS), key=lambda number: entries[number][1] if entries[number][1] <= latest else 0.0)
        # One write within a page: if the process is killed, the entry is written whole or not at all.
        os.pwrite(file, _ENTRY.pack(name, now), start + place * _ENTRY.size)
        return now

    def close(self) -> None:
        """Close this process's descriptor. The other processes keep theirs."""
        if self._file is not None:
            os.close(self._file)


class OnThisHost:
    """Deferrals that the workers of this host share; see ``Deferrals``."""

    def __init__(self, table: Table, keep: float) -> None:
        self._table, self._keep = table, keep
        self._rate_limited = RateLimitedLog()

    def since(self, key: str, now: float) -> float:
        """See ``Deferrals``."""
        try:
            return self._table.since(key, now, self._keep)
        except OSError as error:
            self._rate_limited.not_remembered(error.strerror or str(error))
            return now
