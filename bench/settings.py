"""What long lists cost the whole daemon, and how long `config check --against journal` takes for a million rows."""

import random
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.programs import nameserver
from bench.setting import Setting
from bench.table import Report, Target
from lab.processes import group_members
from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.rows import COLUMNS
from spfmilter.journal.tables import DECISION
from spfmilter.settings.journalurl import journal_url

_ENTRIES = 100_000
_ROWS = 1_000_000
_SHARE = 0.2  # of the rows that differ in client or sender
_LISTS: dict[str, Callable[[int], str]] = {  # keys that the benchmarks' own INI text does not set
    "[relays]\ntrusted": lambda number: f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
    "[reply]\nown_domains": lambda number: f"partner-{number}.example",
}
_RESULTS = ("pass",) * 6 + ("none", "neutral", "softfail", "fail")
_ACTIONS = {"softfail": "tag", "fail": "reject"}


def lists(setting: Setting) -> Report:
    """The anonymous memory of the supervisor and two workers; pages that they share count once."""
    report = Report("lists", f"{_ENTRIES} entries in a list file", ("s to READY=1", "MB more"))
    with tempfile.TemporaryDirectory() as folder, nameserver(setting.shop) as server:
        path = Path(folder) / "list"
        for key, entry in _LISTS.items():
            found = []
            for number in (0, _ENTRIES):
                path.write_text("".join(f"{entry(each)}\n" for each in range(number)))
                with setting.spfmilter(server, workers="2", more=f"{key} = file:{path}\n") as each:
                    found.append((each.start_seconds, _memory(each.leader())))
            (_, before), (seconds, after) = found
            report.add(key.replace("\n", " "), seconds, compared=after - before, target=Target(20))
    return report


def _memory(leader: int) -> float:
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in group_members(leader)]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("Pss_Anon:")]
    return sum(int(line.split()[1]) for line in lines) / 1024


def against(setting: Setting) -> Report:
    """The command, from its start to its end, with SQLite."""
    rows = _ROWS // 20 if setting.quick else _ROWS
    report = Report("against", "s for config check --against journal", ("rows", "s"))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/journal.db"
        _fill(url, rows)
        ini = Path(folder) / "spfmilter.ini"
        ini.write_text(f"[policy.mailfrom]\nsoftfail = reject\n[journal]\nurl = {url}\n")
        command = [setting.python, "-P", "-m", "spfmilter", "config", "check", "--against", "journal", "-c", str(ini)]
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": str(setting.tree)}, timeout=600)
        seconds = time.monotonic() - began
    report.add(f"a fifth of them different ({rows // 5})", rows, compared=seconds, target=Target(60 * rows / _ROWS + 3))
    return report


def _fill(text: str, rows: int) -> None:
    url = journal_url(text)
    assert url is not None
    engine = open_engine(url)
    upgrade(engine, url)
    chance, now = random.Random(4711), int(time.time() * 1000)
    plain = {**dict.fromkeys(COLUMNS), "host": "mx", "authenticated": 0, "helo_result": "none", "recipient_rules": 0}
    plain |= {"ended": "message", "lookups": 1, "void_lookups": 0, "elapsed": 9}
    with engine.begin() as connection:
        for _ in range(rows // 10_000):
            batch = []
            for _ in range(10_000):
                each = chance.randrange(int(rows * _SHARE))
                result = _RESULTS[each % len(_RESULTS)]
                batch.append(
                    {
                        **plain,
                        "time": now - chance.randrange(6 * 86_400_000),
                        "client": f"{11 + each % 100}.{each >> 16 & 255}.{each >> 8 & 255}.{each & 255}",
                        "sender_domain": f"domain-{each % 30_000}.example",
                        "mailfrom_result": result,
                        "action": _ACTIONS.get(result, "accept"),
                        "rule": f"[policy.mailfrom] {result}",
                    }
                )
            connection.execute(DECISION.insert(), batch)
    engine.dispose()
