"""The locks: lists of libraries, each with one version and the hashes of all files that PyPI has of it.

Knows their form, which is pip's. Does not know how they are made (``renew``), nor who installs what they name. Needs
nothing but Python 3.11: it also runs in the bare roots where packages are built.
"""

from __future__ import annotations

import re
from pathlib import Path

LOCKS = Path(__file__).with_name("locks")
# The private libraries of the packages for Debian 12 and RHEL: what the daemon and the commands load, what the help
# page loads beside that, and what the packages are built with.
MAIN, WEB, BUILD = "private.txt", "private-web.txt", "private-build.txt"
PRIVATE = (MAIN, WEB, BUILD)
TOOLS = "tools.txt"  # what the wheel is built and checked with
PYPI = "pypi.txt"  # what an installation by pip takes, with all extras


def read(name: str, folder: Path = LOCKS) -> str:
    """Return the text of a lock."""
    return (folder / name).read_text()


def entries(lock: str) -> dict[str, str]:
    """Return the lines of each library in the text of a lock, by its name."""
    return {match[1]: match[0] for match in re.finditer(r"(?m)^([a-z0-9-]+)==.*\n(?:[ \t]+.*\n)*", lock)}


def versions(lock: str) -> dict[str, str]:
    """Return the version of each library in the text of a lock, by its name."""
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==([^ ;\\\n]+)", lock))


def hashes(lock: str) -> set[str]:
    """Return the SHA-256 of all files that a lock allows."""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
