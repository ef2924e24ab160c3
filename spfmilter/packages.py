"""Say how to install an extra of spfmilter into the Python that runs it, which is rarely the one that ``pip`` means."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def how_to_install(extra: str, package: str) -> str:
    """Return the command that installs an extra; where pip may not, what to install instead.

    Args:
        extra: such as ``web``; empty: the package is one that spfmilter always needs.
        package: the package that is missing.
    """
    if sys.prefix == sys.base_prefix and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists():
        return f"install {package} with the package manager of this system, which manages {sys.executable}"
    wanted = f"'spfmilter[{extra}]'" if extra else package
    pip = Path(sys.prefix, "bin", "pip")
    return f"{pip if pip.exists() else f'{sys.executable} -m pip'} install {wanted}"
