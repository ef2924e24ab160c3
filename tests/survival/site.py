"""The daemon under test with a name server of its own, and what /proc tells of its processes.

It knows INI texts, zones and Linux's process files. It does not know what any test wants of them.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Mail
from lab.milterclient import MilterClient, Outcome
from lab.milterwire import MilterError
from lab.processes import free_port, group_members, patience, until
from lab.server import Server

CLIENT = "192.0.2.1"
ZONE: dict[str, list[Any]] = {
    "pass.example": [{"TXT": f"v=spf1 ip4:{CLIENT} -all"}],
    "fail.example": [{"TXT": "v=spf1 ip4:198.51.100.1 -all"}],
    "soft.example": [{"TXT": "v=spf1 ~all"}],
    "deep.example": [
        {"TXT": "v=spf1 include:one.example include:two.example mx -all"},
        {"MX": [10, "mx.deep.example"]},
    ],
    "one.example": [{"TXT": "v=spf1 ip4:198.51.100.2 include:two.example -all"}],
    "two.example": [{"TXT": "v=spf1 ip4:198.51.100.3 -all"}],
    "mx.deep.example": [{"A": CLIENT}],
    "mail.example": [{"A": CLIENT}],
    "slow.example": ["TIMEOUT"],
}
PASS, FAIL, SOFT = "<a@pass.example>", "<a@fail.example>", "<a@soft.example>"
# A verdict of each kind; none of them depends on who asked before.
PLAIN = [Mail(sender=sender) for sender in (PASS, FAIL, SOFT, "<a@deep.example>", "<>", "<a@none.example>")]
# Runs the program with module constants of other values: python -c SHORTENED NAME=VALUE... -- ARGUMENTS
_SHORTENED = """
import importlib, sys
end = sys.argv.index("--")
for setting in sys.argv[1:end]:
    name, value = setting.split("=")
    module, constant = name.rsplit(".", 1)
    loaded = importlib.import_module(module)
    setattr(loaded, constant, type(getattr(loaded, constant))(value))
sys.argv[1:] = sys.argv[end + 1:]
from spfmilter.cli import main
main()
"""


class NameServer(Server):
    """A scripted DNS server, in a process of its own."""

    def __init__(self, zone: Mapping[str, Sequence[Any]], port: int) -> None:
        """Serve the zone at a port; 0 is a free one."""
        super().__init__("dns")
        self.address = ""  # "HOST:PORT", known when it is ready
        self._port = port
        self._zone = zone

    def command_line(self) -> list[str]:
        """Write the zone, and return the command that serves it."""
        path = self.folder / "zone.yml"
        path.write_text(json.dumps(self._zone))  # JSON is YAML, too
        return [sys.executable, "-m", "lab.dnsserver", str(path), "--port", str(self._port)]

    def is_ready(self) -> bool:
        """Return whether it has said where it serves."""
        if said := re.search(r"(?m)^ready (.+)$", self.log()):
            self.address = said[1]
        return said is not None


def name_server(zone: Mapping[str, Sequence[Any]] = ZONE, *, port: int = 0) -> NameServer:
    """Return a server of the zone, which `with` starts and ends."""
    return NameServer(zone, port)


def ini(socket: str, nameservers: str, /, **sections: str) -> str:
    """An INI text; further keys by section: `milter="workers = 3"`; an underscore in a name stands for its dot."""
    given = {name.replace("_", "."): text for name, text in sections.items()}
    texts = {
        "milter": f"socket = {socket}\nworkers = 2",
        "dns": f"nameservers = {nameservers}\ntimeout = 5s",
        "log": "level = info",
        "policy": "reject_at = mail",
        "state": "folder =",  # not that of an installed daemon
        **{name: "" for name in given if name not in {"milter", "dns", "log", "policy", "state"}},
    }
    whole = {name: _merged(text, given.get(name, "")) for name, text in texts.items()}
    return "".join(f"[{name}]\n{text}\n" for name, text in whole.items())


def _merged(text: str, more: str) -> str:
    """Lines of both, the later ones winning: a duplicate key is an error to the daemon."""
    keys = {line.partition("=")[0].strip(): line for line in [*text.splitlines(), *more.splitlines()] if line.strip()}
    return "\n".join(keys.values())


def inet_socket() -> str:
    """A free address for the milter."""
    return f"inet:{free_port()}@127.0.0.1"


def shortened(**constants: float) -> tuple[str, ...]:
    """The daemon's command, with module constants of other values: `worker__BEAT=2` is worker._BEAT.

    Time limits of many seconds are right for a daemon and too long for a test; nothing else of it changes.
    """
    return changed(
        {
            f"daemon.{module}.{'_' + name}": value
            for (module, name), value in ((key.split("__"), value) for key, value in constants.items())
        }
    )


def changed(constants: Mapping[str, object]) -> tuple[str, ...]:
    """The daemon's command, with module constants of other values, by their full names: `observe.targets._SYSLOG`."""
    settings = [f"spfmilter.{name}={value}" for name, value in constants.items()]
    return (sys.executable, "-c", _SHORTENED, *settings, "--", *COMMAND[COMMAND.index("spfmilter") + 1 :])


def ask(address: str, sender: str = PASS, *, client: str = CLIENT, timeout: float = 30.0) -> str:
    """The verdict on one message in a session of its own: its SMTP code, or the reply's kind."""
    with MilterClient(address, timeout=timeout) as mta:
        mta.greet(client)
        return verdict(mta.deliver(sender, ["<bob@example.net>"]))


def all_served(address: str, sessions: int) -> bool:
    """Whether so many sessions in a row, of any workers, get the right verdicts."""
    try:
        return all(ask(address, FAIL, timeout=2 * patience()) == "550" for _ in range(sessions))
    except MilterError:
        return False


def verdict(outcome: Outcome) -> str:
    """A message's SMTP code, or the kind of the reply."""
    return outcome.reply.code or outcome.reply.kind


# -- processes ---------------------------------------------------------------------------------------------------------


def descriptors(pid: int) -> set[str]:
    """What a process's descriptors are, such as "socket:[4711]"; empty for one that has ended."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                found.add(str(entry.readlink()))
    return found


def workers(daemon: SpfmilterDaemon) -> list[int]:
    """The processes that take new sessions: they share the supervisor's listening socket, as nothing else does."""
    supervisor = daemon.process.pid
    own = descriptors(supervisor) & _listening(supervisor)
    return sorted(pid for pid in children(daemon) if own & descriptors(pid))


def _listening(pid: int) -> set[str]:
    """The sockets that accept connections, in a process's network namespace (proc(5))."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for family in ("tcp", "tcp6"):
            lines = [line.split() for line in Path(f"/proc/{pid}/net/{family}").read_text().splitlines()[1:]]
            found |= {f"socket:[{columns[9]}]" for columns in lines if columns[3] == "0A"}  # TCP_LISTEN
        lines = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
        found |= {f"socket:[{columns[6]}]" for columns in lines if int(columns[3], 16) & 0x10000}  # SO_ACCEPTCON
    return found


def children(daemon: SpfmilterDaemon) -> list[int]:
    """All processes of the daemon but the supervisor, draining workers and the exporter included."""
    return sorted(set(group_members(daemon.process.pid)) - {daemon.process.pid})


def wait_for_workers(daemon: SpfmilterDaemon, number: int, timeout: float = 20.0) -> list[int]:
    """Wait until so many take sessions and no other worker is left."""
    return until(
        lambda: found if len(found := workers(daemon)) == number else None,
        timeout,
        lambda: f"{number} workers, not {workers(daemon)}; the log:\n{daemon.log()}",
    )


def frozen(pid: int) -> bool:
    """Whether SIGSTOP has reached every thread of a process."""
    try:
        states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks(pid)]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return bool(states) and set(states) <= {"T"}


def tasks(pid: int) -> list[Path]:
    """The folders of a process's threads."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def peers(pid: int) -> set[str]:
    """The far ends ("HOST:PORT", IPv4) of a process's TCP connections, in any state."""
    own = descriptors(pid)
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if f"socket:[{columns[9]}]" in own and columns[3] != "0A":  # TCP_LISTEN
            address, _, port = columns[2].partition(":")
            octets = bytes.fromhex(address)[::-1]
            found.add(f"{'.'.join(map(str, octets))}:{int(port, 16)}")
    return found


def memory(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
