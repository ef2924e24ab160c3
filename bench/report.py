"""What a report over a large journal costs, on SQLite and on a PostgreSQL of its own: seconds and memory.

    python -m bench.report [--rows 1000000]

Each report is made by the real command, in a process of its own. The journal is made by the tests' generator.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import postgresql
from lab.postgresql import PostgreSQL
from tests.report import traffic
from tests.report.values import fill

_MEASURED = """
import resource, sys
from spfmilter.cli import cli
try:
    cli.main(["report", "--offline", "--since", "31d", "--json", "-c", sys.argv[1]], standalone_mode=False)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=sys.stderr)
"""


def measure(url: str, rows: int, folder: Path) -> str:
    """Fill a journal, report on it, and return the line of the table."""
    later = int(time.time() * 1000) - traffic.NOW
    fill(url, (one._replace(time=one.time + later) for one in traffic.endless(rows)))
    ini = folder / "spfmilter.ini"
    ini.write_text(f"[journal]\nurl = {url}\n")
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(ini)], capture_output=True, text=True, check=True)
    seconds = time.monotonic() - start
    memory, cpu = map(float, done.stderr.split())
    name = url.partition(":")[0]
    return f"{name:<20} {rows:>10,} rows {seconds:6.1f} s, {cpu:6.1f} s of CPU in the command, {memory / 1024:4.0f} MB"


def main() -> None:
    """Print a line for each database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        print(measure(f"sqlite:///{folder / 'journal.db'}", rows, folder), flush=True)
        if why := postgresql.unavailable():
            print(f"postgresql: left out: {why}")
            return
        with PostgreSQL() as server:
            print(measure(server.url, rows, folder))


if __name__ == "__main__":
    main()
