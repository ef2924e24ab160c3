"""The benchmarks of spfmilter, beside its peers, on this machine: `python bench/run.py [--quick] [--only NAME]`.

See bench/README.md for what is measured, and how to read it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402 - after the path

from bench import footprint, journal, latency, mta, settings, throughput  # noqa: E402
from bench.programs import PyspfMilter, Workshop  # noqa: E402
from bench.setting import Setting  # noqa: E402
from bench.table import Report  # noqa: E402

BENCHES: dict[str, Callable[[Setting], Report]] = {
    "repeat": throughput.repeat,
    "fresh": throughput.fresh,
    "cold": latency.cold,
    "dead": latency.dead,
    "memory": footprint.memory,
    "start": footprint.start,
    "postfix": mta.postfix_rate,
    "cpu": footprint.cpu,
    "journal": journal.rate,
    "journal-killed": journal.killed,
    "lists": settings.lists,
    "against": settings.against,
}


def main() -> int:
    """Run what is asked for; 1 with --strict where a target is missed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    console = Console(width=max(120, Console().width) if not sys.stdout.isatty() else None)
    if os.geteuid() != 0:
        console.print("The benchmarks need root: for port 53 of a loopback address, unshare(1), and Postfix.")
        return 77
    if missing := PyspfMilter.missing():
        console.print(missing)
    reports = []
    with Workshop() as shop:
        setting = Setting(
            shop=shop,
            tree=arguments.tree.resolve(),
            python=arguments.python,
            quick=arguments.quick,
            peers=tuple(_peer(text) for text in arguments.peer),
            workers=arguments.workers,
        )
        console.print(f"spfmilter from {setting.tree}, {os.cpu_count()} CPUs, {_version_of(setting.python)}\n")
        for name in arguments.only or BENCHES:
            began = time.monotonic()
            report = BENCHES[name](setting)
            report.notes.append(f"{time.monotonic() - began:.1f} s")
            report.show(console)
            reports.append(report)
    if arguments.json:
        arguments.json.write_text(json.dumps([report.as_json() for report in reports], indent=2) + "\n")
    missed = [f"{report.name} ({label})" for report in reports for label in report.missed()]
    console.print(f"{len(missed)} target(s) missed" + "".join(f"\n  {each}" for each in missed), highlight=False)
    return 1 if missed and arguments.strict else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="about a minute for everything, rougher figures")
    parser.add_argument("--only", action="append", choices=list(BENCHES), metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--tree", type=Path, default=ROOT, help="where spfmilter's sources are (this checkout)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter for spfmilter (this program's own)")
    parser.add_argument("--workers", default="auto", help="[milter] workers (auto)")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=COMMAND", help="another filter; {socket}, {folder}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a target is missed")
    return parser.parse_args()


def _version_of(python: str) -> str:
    done = subprocess.run([python, "--version"], check=True, capture_output=True, text=True, timeout=10)
    return f"{done.stdout.strip()} ({python})"


def _peer(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not equals:
        raise SystemExit(f"--peer {text}: write NAME=COMMAND")
    return name, command


if __name__ == "__main__":
    sys.exit(main())
