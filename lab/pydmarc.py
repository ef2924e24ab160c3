"""A DMARC filter in Python: the milter of the package dmarc, which knows `t=` (RFC 9989) and the Public Suffix List.

It knows the milter's configuration. It knows neither the MTA that it is attached to nor the filter whose SPF results it
reads.
"""

import importlib.util
import socket
import sys
from contextlib import suppress

from lab.processes import free_port
from lab.server import Server

_CONFIG = """\
myauthserv_id = "mx.example.net"
spf_enabled = false

[resolver]
nameservers = ["{nameserver}"]
lifetime = 5

[policy.none]
action = "Accept"

[policy.domainerror]
action = "Accept"

[policy.dnserror]
action = "TempFail"

[policy.reject]
action = "Reject"
text = "reject is the DMARC policy of $domain"

[policy.quarantine]
action = "Reject"
text = "quarantine is the DMARC policy of $domain"
"""


def unavailable() -> str:
    """Return why the milter cannot be started here; empty if it can."""
    needed = ("dmarc", "purepythonmilter", "publicsuffix2")
    return "" if all(map(importlib.util.find_spec, needed)) else "dmarc[milter] is not installed"


class PyDmarc(Server):
    """The milter on a free port of 127.0.0.1; it refuses a message for either policy, and names it."""

    def __init__(self, nameserver: str) -> None:
        """Choose the port. The nameserver is an address with port 53."""
        super().__init__("pydmarc", unavailable())
        self.port = free_port()
        (self.folder / "conf").write_text(_CONFIG.format(nameserver=nameserver))

    @property
    def milter(self) -> str:
        """Return its socket in the form of Postfix's `smtpd_milters`."""
        return f"inet:127.0.0.1:{self.port}"

    def command_line(self) -> list[str]:
        """Return the command."""
        module = [sys.executable, "-m", "dmarc.milter"]
        return [*module, "--bind-host", "127.0.0.1", "--bind-port", str(self.port), "-c", str(self.folder / "conf")]

    def is_ready(self) -> bool:
        """Return whether it accepts connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
