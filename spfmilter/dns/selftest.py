"""Ask a nameserver for a name that exists, to see whether it works."""

from __future__ import annotations

import time

from spfmilter.dns.answer import Answer, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import Nameserver

_ANOTHER = "name another in [dns] nameservers (if that is empty: in /etc/resolv.conf)"
# What the administrator can do about a nameserver that does not answer, and about one that answers only with errors.
FIX = f"start the nameserver or repair it, or {_ANOTHER}"
FIX_ERRORS = f"let the nameserver reach the Internet and serve this host (its own log tells more), or {_ANOTHER}"
# A name with an address that every resolver on the Internet finds, and that most have cached.
_KNOWN_NAME = "a.root-servers.net"


def ask(server: Nameserver, seconds: float) -> Answer:
    """Return the nameserver's answer; a failed one if there is none within so many seconds."""
    return ask_once(Resolver([server]), _KNOWN_NAME, Type.A, time.monotonic() + seconds)
