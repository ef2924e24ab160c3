"""Programs run as another user, by root.

It knows how a user is changed, and whether another user can run this Python with our packages: the checkout or the
Python may be in a folder that only its owner may enter, such as root's home.
"""

import functools
import os
import shutil
import subprocess
import sys

from lab.processes import HUNG

NOBODY = 65534
_MODULES = "import spfmilter.cli, milter"


def as_user(user: int, *command: str) -> tuple[str, ...]:
    """Return the command as that user runs it: with the group of the same number, and no other."""
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *command)


@functools.cache
def unavailable(user: int = NOBODY) -> str:
    """Return why that user cannot run our commands with this Python; empty if it can."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return "only root can be two users"
    command = as_user(user, sys.executable, "-c", _MODULES)
    done = subprocess.run(command, capture_output=True, timeout=HUNG, check=False)
    return "" if done.returncode == 0 else "other users cannot run this Python, or read this checkout"
