"""Say how to install an extra of spfmilter.

A package of a distribution says it in ``extras.txt`` beside this module (CONTRIBUTING.md). Without that file, it is
pip of the Python that runs spfmilter, which is rarely the one that ``pip`` means.
"""

from __future__ import annotations

import sys
import sysconfig
from contextlib import suppress
from pathlib import Path

_EXTRAS = Path(__file__).with_name("extras.txt")


def how_to_install(extra: str, package: str) -> str:
    """Return the command that installs an extra; where pip may not, what to install instead.

    Args:
        extra: such as ``web``; empty: the package is one that spfmilter always needs.
        package: the package that is missing.
    """
    if command := _by_the_distribution().get(extra):
        return command
    if sys.prefix == sys.base_prefix and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists():
        return f"install {package} with the package manager of this system, which manages {sys.executable}"
    wanted = f"'spfmilter[{extra}]'" if extra else package
    pip = Path(sys.prefix, "bin", "pip")
    return f"{pip if pip.exists() else f'{sys.executable} -m pip'} install {wanted}"


def _by_the_distribution() -> dict[str, str]:
    """Return the command for each extra, from lines such as ``web = apt install spfmilter-web``."""
    commands = {}
    with suppress(OSError):
        for line in _EXTRAS.read_text(encoding="utf-8").splitlines():
            extra, equals, command = line.partition("=")
            if equals and not line.startswith("#"):
                commands[extra.strip()] = command.strip()
    return commands
