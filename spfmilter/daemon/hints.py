"""What an administrator can do if the system refuses an address for a listener.

Knows the errors of bind(2). Does not know the listener: the daemon's socket, its metrics and the help page use it.
"""

from __future__ import annotations

import errno
import os

from spfmilter import ownership

_FIRST_FREE_PORT = 1024  # below it, a port needs a right (net.ipv4.ip_unprivileged_port_start)


def for_address(error: OSError, host: str, port: int) -> str:
    """Return what to do if a listener cannot use an address and port; empty if it is unknown."""
    match error.errno:
        case errno.EADDRINUSE:
            found = f"another process has port {port} (ss -ltnp 'sport = :{port}' names it)"
            return f"{found}: stop it, or choose another port"
        case errno.EACCES | errno.EPERM if port < _FIRST_FREE_PORT:
            return f"user {ownership.user()} may not use ports below {_FIRST_FREE_PORT}: choose a higher one"
        case errno.EADDRNOTAVAIL:
            return f"this host does not have the address {host} now (ip address lists those that it has)"
        case errno.EAFNOSUPPORT:
            return f"IPv{6 if ':' in host else 4} is switched off on this host: choose an address of the other family"
    return ""


def explained(error: OSError, host: str, port: int) -> str:
    """Return the error with what to do, in one line."""
    # The errors of the standard library add the address to the text, which the caller names itself.
    reason = os.strerror(error.errno) if error.errno is not None else str(error)
    hint = for_address(error, host, port)
    return f"{reason}; {hint}" if hint else reason
