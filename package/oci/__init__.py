"""Build the container image: Debian 13's Python, our libraries from hashed locks, and spfmilter.

Knows what is in the image and how a container starts. ``rootfs`` makes the files, ``layout`` the archive.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from package.oci import layout, rootfs
from package.sources import Sources

USER = 8890  # and group, by number: Kubernetes can then see that it is not root
STATE = "var/lib/spfmilter"
# A container's own settings. They come after the files, so one that is mounted cannot take the socket away unnoticed.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TMPDIR": "/dev/shm",  # noqa: S108 - the only folder that is writable in every container with a read-only root
    "SPFMILTER_MILTER_SOCKET": "inet:8890@0.0.0.0",
    "SPFMILTER_WEB_LISTEN": "0.0.0.0:8891",
    "SPFMILTER_LOG_TO": "stdout",
    "SPFMILTER_LOG_FORMAT": "json",
}
SECOND = 1_000_000_000  # in the nanoseconds of a health check


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the image as an archive that podman, skopeo and Docker load."""
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
    ).stdout.strip()
    archive = dist / f"spfmilter-{sources.version}-oci-{architecture}.tar"
    with tempfile.TemporaryDirectory(prefix="spfmilter-oci-") as scratch:
        tree = rootfs.make(sources, Path(scratch), USER)
        layout.write(
            archive,
            tree,
            layout.Image(
                name=f"spfmilter:{sources.version}",
                architecture=architecture,
                config=configuration(sources.version),
                owners={STATE: (USER, 0o700)},
                epoch=sources.epoch,
            ),
        )
    return [archive]


def configuration(version: str) -> dict[str, object]:
    """Return how a container starts, as the image specification and Docker write it."""
    return {
        "User": f"{USER}:{USER}",
        "ExposedPorts": {"8890/tcp": {}, "8891/tcp": {}},
        "Env": [f"{name}={value}" for name, value in ENVIRONMENT.items()],
        "Entrypoint": ["spfmilter"],
        "Cmd": ["run"],
        "Volumes": {f"/{STATE}": {}},
        "WorkingDir": "/",
        "StopSignal": "SIGTERM",
        # Of the socket alone: a container must not be restarted because a nameserver does not answer.
        "Healthcheck": {
            "Test": ["CMD", "spfmilter", "status", "--quiet", "--only", "socket"],
            "Interval": 30 * SECOND,
            "Timeout": 10 * SECOND,
            "StartPeriod": 20 * SECOND,
            "Retries": 3,
        },
        "Labels": {
            "org.opencontainers.image.title": "spfmilter",
            "org.opencontainers.image.description": "SPF milter for Postfix and Sendmail",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "GPL-2.0-or-later",
        },
    }
