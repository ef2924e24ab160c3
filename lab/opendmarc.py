"""A private OpenDMARC: Debian's program with a configuration, socket and history file of its own.

It knows OpenDMARC's configuration and its history file. It knows neither the MTA that it is attached to nor the filter
whose SPF results it reads.
"""

import ctypes
import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.processes import accepts, with_resolv_conf
from lab.server import Server, installed

_OPENDMARC = installed("opendmarc")

# UMask: the MTA runs as another user. IgnoreHosts: the default is 127.0.0.1, which may be a client in the lab.
_CONFIG = """\
AuthservID {name}
TrustedAuthservIDs {trusted}
RejectFailures true
HoldQuarantinedMessages true
SPFSelfValidate {self_validate}
PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat
IgnoreHosts {folder}/ignored
HistoryFile {folder}/history
RecordAllMessages true
Socket local:{folder}/socket
UMask 0000
Syslog false
"""

# The numbers in the history file. Only OpenDMARC's sources document them (opendmarc-ar.h, dmarc.h).
_RESULTS = {
    -1: "not found",
    0: "pass",
    2: "softfail",
    3: "neutral",
    4: "temperror",
    5: "permerror",
    6: "none",
    7: "fail",
}
_POLICIES = {14: "none", 15: "pass", 16: "fail", 17: "fail", 18: "fail"}
_ACTIONS = {0: "reject", 2: "accept", 4: "quarantine"}
# What its library says is to be done with a message, by its header dmarc.h.
_LIBRARY = "libopendmarc.so.2"
_TO_ENFORCE = {14: "none", 16: "reject", 17: "quarantine", 18: "none"}


def unavailable() -> str:
    """Return why OpenDMARC cannot be started here; empty if it can."""
    if not _OPENDMARC:
        return "opendmarc is not installed (tools/setup.sh lab)"
    return "" if os.geteuid() == 0 else "only root can give opendmarc a resolv.conf of its own"


def no_library() -> str:
    """Return why OpenDMARC's library cannot be called here; empty if it can."""
    return "" if _library() is not None else "libopendmarc is not installed (tools/setup.sh lab)"


def disposition(record: str, domain: str, owner: str) -> str:
    """Return what OpenDMARC does with mail from a domain that passes nothing: none, quarantine or reject.

    Args:
        record: the DMARC record that it has found.
        domain: the author's domain.
        owner: the domain that publishes the record: the same, or one above it.
    """
    library = _library()
    if library is None:
        raise RuntimeError(no_library())
    context = ctypes.c_void_p(library.opendmarc_policy_connect_init(b"192.0.2.1", 4))
    try:
        library.opendmarc_policy_store_from_domain(context, domain.encode())
        above = owner.encode() if owner != domain else None
        if library.opendmarc_policy_store_dmarc(context, record.encode(), domain.encode(), above):
            return "none"  # it has not understood the record
        percent = ctypes.c_int()
        library.opendmarc_policy_fetch_pct(context, ctypes.byref(percent))
        return _TO_ENFORCE[library.opendmarc_get_policy_to_enforce(context)] if percent.value else "none"
    finally:
        library.opendmarc_policy_connect_shutdown(context)


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    library.opendmarc_policy_connect_init.restype = ctypes.c_void_p
    return library


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """OpenDMARC's record of a message: the SPF result that it used, and its own results."""

    # A word of RFC 8601; "neutral" for a result that OpenDMARC does not trust; "not found" if there is none.
    spf: str
    dmarc: str  # pass, fail; none if the author's domain has no record
    action: str  # accept, quarantine, reject
    author: str  # the domain of the From field, in lower case

    def __str__(self) -> str:
        return f"spf={self.spf} dmarc={self.dmarc} {self.action}"


class OpenDmarc(Server):
    """OpenDMARC behind a unix socket, which acts on p=quarantine and p=reject.

    It trusts the results of the servers in `trusted`; the first is its own name. The nameserver is an address with port
    53, since resolv.conf knows no other port. With `self_validate` it evaluates SPF itself for a message without a
    usable result.
    """

    def __init__(
        self, nameserver: str, *, trusted: Sequence[str] = ("mx.example.net",), self_validate: bool = False
    ) -> None:
        """Make its folder, so its socket's path is known before the start. stop() removes it, started or not."""
        super().__init__("opendmarc", unavailable())
        self._write("resolv.conf", f"nameserver {nameserver}\n")
        self._write("ignored", "")
        self._write(
            "conf",
            _CONFIG.format(
                name=trusted[0],
                trusted=",".join(trusted),
                self_validate=str(self_validate).lower(),
                folder=self.folder,
            ),
        )

    @property
    def milter(self) -> str:
        """Return its socket in the form of Postfix's `smtpd_milters`."""
        return f"unix:{self.folder}/socket"

    def command_line(self) -> list[str]:
        """Return the command, which runs in a mount namespace with its own resolv.conf."""
        command = [_OPENDMARC, "-f", "-c", str(self.folder / "conf")]
        return with_resolv_conf(self.folder / "resolv.conf", command)

    def is_ready(self) -> bool:
        """Return whether it accepts connections."""
        return accepts(self.folder / "socket")

    def assessment(self, queue_id: str) -> Assessment:
        """Return its record of the message with this queue id, waiting for it."""
        expression = re.compile(rf"(?ms)^job {queue_id}$.*?^action (?P<action>\d+)$")
        found = self.wait_for(lambda: expression.search(self._history()), 10, f"{queue_id} in the history file")
        # The last line of each kind counts for a message.
        facts = dict(line.split(" ", 1) for line in found[0].splitlines())
        return Assessment(
            spf=_RESULTS[int(facts["spf"])],
            dmarc=_POLICIES[int(facts["policy"])],
            action=_ACTIONS[int(facts["action"])],
            author=facts["from"].lower(),
        )

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def _history(self) -> str:
        path = self.folder / "history"
        return path.read_text(errors="replace") if path.exists() else ""
