"""The versions of spfmilter, Python and the libraries that decide what becomes of a message."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from spfmilter import __version__

_LIBRARIES = ("pyspf", "pymilter", "dnspython")


def installed() -> dict[str, str]:
    """Return the installed versions, by name. A library that is not installed is missing."""
    found = {"spfmilter": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
