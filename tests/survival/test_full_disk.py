"""File systems that are full: mail is answered though the daemon cannot write, and it recovers by itself.

A file system of its own for each test, in a mount namespace that only the daemon sees; the test reaches it through
/proc/PID/root.
"""

import os
import signal
from pathlib import Path

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.milterclient import MilterClient
from lab.processes import free_port, has_ipv6, until
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    SOFT,
    NameServer,
    ask,
    children,
    inet_socket,
    ini,
    wait_for_workers,
    workers,
)
from tests.survival.test_metrics import scrape, total

SOURCES = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")

# A small file system in memory at $1, then the daemon: with $2 = full it has no space from the start.
_OWN_RUNTIME_FOLDER = """
mount -t tmpfs -o size=1m tmpfs "$1"
[ "$2" = full ] && head -c 2m /dev/zero >"$1/filler" 2>/dev/null
shift 2
exec "$@"
"""


class Runtime:
    """The daemon's runtime folder, on a file system of its own of 1 MB."""

    def __init__(self, folder: Path, state: str) -> None:
        self.folder = folder
        self.command = ("unshare", "-m", "sh", "-c", _OWN_RUNTIME_FOLDER, "sh", str(folder), state, *COMMAND)
        self.environment = {"RUNTIME_DIRECTORY": str(folder)}

    def _inside(self, daemon: SpfmilterDaemon) -> Path:
        return Path(f"/proc/{daemon.process.pid}/root{self.folder}")

    def fill(self, daemon: SpfmilterDaemon) -> None:
        """Leave no block."""
        with (self._inside(daemon) / "filler").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def free(self, daemon: SpfmilterDaemon) -> None:
        """Give all blocks back that were taken."""
        (self._inside(daemon) / "filler").unlink()


def answers(address: str) -> list[str]:
    """Of each kind enough that every worker has had some, so that it counts something for the first time."""
    return sorted({ask(address, sender) for sender in (PASS, FAIL, SOFT, "<a@none.example>", "<>") for _ in range(8)})


def reload(daemon: SpfmilterDaemon) -> None:
    done = len(daemon.notifications())
    daemon.signal(signal.SIGHUP)
    until(lambda: any("READY=1" in text for text in daemon.notifications()[done:]), 20, daemon.log)
    until(lambda: len(children(daemon)) == 3, 20, "two workers and the exporter")


def counted(listen: str) -> float:
    return total(scrape(listen), "spfmilter_messages_total")


def test_a_full_runtime_folder_at_the_start(dns: NameServer, tmp_path: Path) -> None:
    """The daemon serves without counting and says so; a reload after space has come back counts."""
    address, listen, runtime = inet_socket(), f"127.0.0.1:{free_port()}", Runtime(tmp_path, "full")
    text = ini(address, dns.address, metrics=f"listen = {listen}")
    with SpfmilterDaemon(text, command=runtime.command, environment=runtime.environment) as daemon:
        assert answers(address) == ["550", "continue"]
        daemon.wait_for_log("metrics served")
        assert counted(listen) == 0
        assert daemon.log().count("metrics disabled in this process") == 3, "each worker, and the supervisor"
        runtime.free(daemon)
        reload(daemon)
        answers(address)
        assert counted(listen) == 40
        assert total(scrape(listen), "spfmilter_workers") == 2
        assert "exited unexpectedly" not in daemon.log()


def test_a_runtime_folder_that_becomes_full(dns: NameServer, tmp_path: Path) -> None:
    """What has its space goes on counting; new workers that find none serve all the same."""
    address, listen, runtime = inet_socket(), f"127.0.0.1:{free_port()}", Runtime(tmp_path, "empty")
    text = ini(address, dns.address, metrics=f"listen = {listen}")
    with SpfmilterDaemon(text, command=runtime.command, environment=runtime.environment) as daemon:
        daemon.wait_for_log("metrics served")
        runtime.fill(daemon)
        assert answers(address) == ["550", "continue"], "these are the first that they count"
        assert counted(listen) == 40
        os.kill(workers(daemon)[0], signal.SIGKILL)
        daemon.wait_for_log("worker exited unexpectedly")
        wait_for_workers(daemon, 2)
        answers(address)
        # The new worker counts in the space that the dead one has left, if that is free by the time it starts.
        without = "metrics disabled in this process" in daemon.log()
        assert counted(listen) == 80 or (without and 40 <= counted(listen) < 80)
        reload(daemon)
        assert answers(address) == ["550", "continue"]
        assert "metrics disabled in this process" in daemon.log()
        runtime.free(daemon)
        reload(daemon)
        before = counted(listen)
        answers(address)
        assert counted(listen) == before + 40
        assert daemon.log().count("worker exited unexpectedly") == 1


def test_no_space_for_the_secrets_of_the_help_page(dns: NameServer, tmp_path: Path) -> None:
    """At the first start: refusals have no link, until there is space and the settings are read again."""
    address, runtime = inet_socket(), Runtime(tmp_path, "full")
    text = ini(
        address,
        dns.address,
        reply="help_url = https://mx.example.net/spf/{token}",
        web=f"secret_file = {tmp_path}/secret",
    )

    def refusal() -> str:
        with MilterClient(address) as mta:
            mta.greet(CLIENT)
            return str(mta.deliver(FAIL, ["<bob@example.net>"]).reply)

    with SpfmilterDaemon(text, command=runtime.command, environment=runtime.environment) as daemon:
        assert "https://" not in refusal()
        assert daemon.log().count("help page links disabled") == 2
        runtime.free(daemon)
        done = len(daemon.notifications())
        daemon.signal(signal.SIGHUP)
        until(lambda: any("READY=1" in text for text in daemon.notifications()[done:]), 20, daemon.log)
        wait_for_workers(daemon, 2)
        assert "https://mx.example.net/spf/" in refusal()


# All places for temporary files are full, up to the last inode; the folder of the INI file $1 stays what it is.
_NO_TEMPORARY_FILES = """
set -e
folder=$(dirname "$1") sources=$2
shift 2
mount -t tmpfs tmpfs /mnt
mkdir /mnt/folder /mnt/sources
mount --bind "$folder" /mnt/folder
mount --bind "$sources" /mnt/sources
mount -t tmpfs -o size=64k,nr_inodes=20 tmpfs /tmp
mount -t tmpfs -o size=64k,nr_inodes=20 tmpfs /var/tmp
mount -t tmpfs -o size=64k,nr_inodes=20 tmpfs /dev/shm
mkdir -p "$folder" "$sources"  # both may be below /tmp
mount --bind /mnt/folder "$folder"
mount --bind /mnt/sources "$sources"
for place in /tmp /var/tmp /dev/shm; do
    head -c 1m /dev/zero >"$place/filler" 2>/dev/null || :
    number=0
    while mkdir "$place/filler$number" 2>/dev/null; do number=$((number + 1)); done
done
cd /proc  # nor can the current folder, as it is for a service
exec "$@"
"""


@pytest.mark.parametrize("family", ["inet", "inet6", "unix"])
def test_no_place_for_temporary_files(dns: NameServer, family: str) -> None:
    """None is needed for the mail: a unix socket has a folder of its own anyway."""
    command = ("unshare", "-m", "sh", "-c", _NO_TEMPORARY_FILES, "sh", "{ini}", str(SOURCES), *COMMAND)
    daemon = SpfmilterDaemon("", command=command, environment={"RUNTIME_DIRECTORY": ""})
    names = {
        "inet": inet_socket(),
        "inet6": f"inet6:{free_port()}@::1",
        "unix": f"unix:{daemon.folder}/socket",
    }
    if family == "inet6" and not has_ipv6():
        pytest.skip("this host has no IPv6")
    daemon.rewrite(ini(names[family], dns.address, metrics=f"listen = 127.0.0.1:{free_port()}"))
    with daemon:
        assert answers(names[family]) == ["550", "continue"]
        assert "metrics disabled, no folder for them" in daemon.log()
        assert "status file cannot be written" in daemon.log()
        os.kill(workers(daemon)[0], signal.SIGKILL)
        daemon.wait_for_log("worker exited unexpectedly")
        wait_for_workers(daemon, 2)
        assert ask(names[family], FAIL) == "550"
        expected = {"spfmilter.ini", "log", "notify"}

        def left() -> set[str]:
            return {path.name for path in daemon.folder.iterdir()} - {"socket"}

        # A worker that starts has a folder for a moment.
        until(lambda: left() == expected, 10, lambda: f"the end of {left() - expected}")
        assert daemon.log().count("error:") == 2, "no folder for the metrics, and the death that was ours"
