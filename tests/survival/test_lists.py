"""A list file of a hundred thousand lines, and conf.d, with the real daemon: memory, the named rule, reloads."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import SpfmilterDaemon
from lab.processes import group_members, until
from tests.survival.site import FAIL, NameServer, ask, children, inet_socket, ini, wait_for_workers
from tests.survival.test_status import status

ENTRIES = 100_000
MOST = 20  # MB, of the whole daemon
CLIENT = "10.1.134.159"  # the last of the networks
KINDS = {
    "networks": lambda number: f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
    "senders": lambda number: f"partner-{number}.example",
    "forwarders": lambda number: f"relay-{number}.forwarder.example",
}


def memory(daemon: SpfmilterDaemon) -> float:
    """MB of all its processes; what some of them share counts once."""
    found = 0
    for pid in group_members(daemon.process.pid):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found += sum(int(kilobytes) for kilobytes in re.findall(r"(?m)^Pss_Anon: +(\d+) kB", text))
    return found / 1024


def configuration(daemon: SpfmilterDaemon) -> dict[str, Any]:
    """What `spfmilter status` says of the configuration."""
    answer = status(daemon, "--only", "configuration")
    data: dict[str, Any] = answer.parts["configuration"]["data"]
    return data


def reload(daemon: SpfmilterDaemon) -> str:
    """Let it read its files again; what it says then."""
    ready = sum("READY=1" in note for note in daemon.notifications())
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_notification("READY=1", count=ready + 1, timeout=60)
    until(lambda: len(children(daemon)) == 2, 30, "the old workers' end")
    return daemon.notifications()[-1]


@pytest.mark.parametrize("key", KINDS)
def test_a_hundred_thousand_entries_take_twenty_megabytes_at_most(dns: NameServer, tmp_path: Path, key: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# partners\n")
    address = inet_socket()
    text = ini(address, dns.address, exempt=f"{key} = file:{path}\nprivate_clients = no")
    with SpfmilterDaemon(text, start_timeout=60) as daemon:
        wait_for_workers(daemon, 2)
        assert [ask(address, FAIL, client=CLIENT) for _ in range(20)] == ["550"] * 20
        before = memory(daemon)
        path.write_text("".join(f"{KINDS[key](number)}\n" for number in range(ENTRIES)))
        costs = []
        for _ in range(3):
            reload(daemon)
            expected = "continue" if key == "networks" else "550"
            assert [ask(address, FAIL, client=CLIENT) for _ in range(20)] == [expected] * 20
            costs.append(memory(daemon) - before)
    print(f"\n{key}: {', '.join(f'{cost:.1f}' for cost in costs)} MB after each reload, {before:.1f} MB before")
    assert max(costs) < MOST


def test_the_entry_that_decided_is_named_and_a_change_is_in_force_at_a_reload(dns: NameServer, tmp_path: Path) -> None:
    address = inet_socket()
    path = tmp_path / "partners.txt"
    path.write_text("192.0.2.0/28\n")
    text = ini(address, dns.address, exempt=f"networks = ::1, file:{path}")
    with SpfmilterDaemon(text) as daemon:
        assert ask(address, FAIL) == "continue"
        daemon.wait_for_log(re.escape(f'rule="[exempt] networks = 192.0.2.0/28 ({path} line 1)"'))
        path.write_text("# nothing any more\n198.51.100.0/24\n")
        assert ask(address, FAIL) == "continue", "until the reload"
        reload(daemon)
        assert ask(address, FAIL) == "550"

        path.write_text("192.0.2.0/28\n192.0.2.1/24\nno network\n")
        assert "reload refused: 2 problems in " in reload(daemon)
        daemon.wait_for_log(rf"configuration problem file={re.escape(str(path))} .*line 2: \[exempt\] networks: ")
        assert ask(address, FAIL) == "550", "the old settings stay"
        path.unlink()
        assert f"reload refused: 1 problem in {path}" in reload(daemon)

        folder = daemon.ini_path.parent / "conf.d"
        folder.mkdir()
        (folder / "10-monitor.ini").write_text("[policy]\nmode = monitor\n[exempt]\nnetworks = ::1\n")
        path.write_text("")
        assert "reload refused" not in reload(daemon)
        assert ask(address, FAIL) == "continue"
        daemon.wait_for_log("would=reject")
        (folder / "20-enforce.ini").write_text("[policy]\nmode = enforce\n")
        reload(daemon)
        assert ask(address, FAIL) == "550"


def test_status_says_that_a_changed_list_file_needs_a_reload(dns: NameServer, tmp_path: Path) -> None:
    path = tmp_path / "partners.txt"
    path.write_text("192.0.2.0/28\n")
    with SpfmilterDaemon(ini(inet_socket(), dns.address, exempt=f"networks = file:{path}")) as daemon:
        assert configuration(daemon)["reload_needed"] is False
        path.write_text("192.0.2.0/28  # a comment\n")
        assert configuration(daemon)["reload_needed"] is False
        path.write_text("192.0.2.0/27\n")
        found = configuration(daemon)
        assert (found["reload_needed"], found["list_files"]) == (True, {str(path): 1})
        reload(daemon)
        assert configuration(daemon)["reload_needed"] is False
        folder = daemon.ini_path.parent / "conf.d"
        folder.mkdir()
        (folder / "a.ini").write_text("[exempt]\nsenders = a.example\n")
        found = configuration(daemon)
        assert (found["reload_needed"], found["further_files"]) == (True, [str(folder / "a.ini")])
