"""The alerts of docs/metrics.md: each one fires for its own failure, as the real exporter shows it, and for no other.

A scenario lets a daemon fail, and keeps what is scraped before and after. promtool then lives through an hour: half of
it as before, half of it with the failure.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.processes import until
from tests.survival.site import PLAIN, ZONE, NameServer, ask, changed, inet_socket, name_server, workers
from tests.survival.test_metrics import DOCS, Labels, listen, scrape, serving, total, with_metrics

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: tools/setup.sh lab")
__all__ = ["listen"]  # a fixture

Samples = dict[str, dict[Labels, float]]
TARGET = {"instance": "mx1:9890", "job": "spfmilter"}
FAILURE_AT, END = 30, 60  # minutes
COUNTED = ("_total", "_bucket", "_count", "_sum")  # what only grows; the others are gauges
_BROKEN = """
import sys
from spfmilter.session import Session
def mail(*_):
    raise ZeroDivisionError
Session.mail = mail
from spfmilter.cli import main
main()
"""


def rules() -> dict[str, object]:
    """The rules that an administrator copies from the page."""
    (found,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", (DOCS / "metrics.md").read_text())
    read: dict[str, object] = yaml.safe_load(found)
    return read


ALERTS = [rule["alert"] for group in yaml.safe_load(json.dumps(rules()))["groups"] for rule in group["rules"]]


def series(before: Samples, after: Samples, *, goes_on: bool) -> list[dict[str, str]]:
    """What Prometheus has stored: one sample a minute of each series.

    Args:
        before: a scrape before the failure, repeated until it.
        after: a scrape during the failure.
        goes_on: the failure happens in each minute again; otherwise once.
    """
    found = []
    for name, samples in after.items():
        for labels, value in samples.items():
            first = before.get(name, {}).get(labels)  # None: a series that begins with the failure
            step = value - (first or 0.0) if goes_on and name.endswith(COUNTED) else 0.0
            begun = f"_x{FAILURE_AT + 1}" if first is None else f"{first}+0x{FAILURE_AT}"
            found.append(one_series(name, dict(labels), f"{begun} {value}{step:+}x{END - FAILURE_AT - 1}"))
    return found


def one_series(name: str, labels: Mapping[str, str], values: str) -> dict[str, str]:
    """A series in promtool's notation."""
    text = ",".join(f"{label}={json.dumps(word)}" for label, word in {**labels, **TARGET}.items())
    return {"series": f"{name}{{{text}}}", "values": values}


def check_alerts(folder: Path, stored: list[dict[str, str]], expected: str, *, goes_on: bool) -> None:
    """Let promtool compare: before the failure no alert fires; during it this one, and no other."""
    during = END - 1 if goes_on else FAILURE_AT + 5
    tests = []
    for minute in (FAILURE_AT, during):
        for name in ALERTS:
            labels = TARGET if name == "SpfmilterDown" else {"instance": TARGET["instance"]}
            alerts = [{"exp_labels": labels}] if (minute, name) == (during, expected) else []
            tests.append({"eval_time": f"{minute}m", "alertname": name, "exp_alerts": alerts})
    group = {"interval": "1m", "input_series": stored, "alert_rule_test": tests}
    (folder / "rules.yml").write_text(json.dumps(rules()))
    (folder / "test.yml").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [group]})
    )
    promtool(folder, "test", "rules", "test.yml")


def promtool(folder: Path, *arguments: str) -> None:
    """Run it there; it has to be content."""
    call = ("promtool", *arguments)
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout + done.stderr


def normal(address: str) -> None:
    """Mail of a usual minute."""
    for mail in PLAIN:
        ask(address, mail.sender)


def test_the_rules_are_valid(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(json.dumps(rules()))
    promtool(tmp_path, "check", "rules", "rules.yml")


def test_usual_mail_is_no_reason(dns: NameServer, listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon:
        before = scrape(serving(daemon, listen))
        normal(address)
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=True), "", goes_on=True)


def test_a_dead_resolver(listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    with name_server() as own, SpfmilterDaemon(with_metrics(address, own.address, listen)) as daemon:
        serving(daemon, listen)
        normal(address)
        before = scrape(listen)
        own.stop()
        for number in range(5):
            assert ask(address, f"<a@new{number}.example>") == "continue"
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=True), "SpfmilterOwnResolver", goes_on=True)


def test_domains_that_do_not_answer(listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    failing = {f"bad{number}.example": [{"RCODE": "SERVFAIL"}] for number in range(10)}
    with name_server({**ZONE, **failing}) as dns, SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon:
        before = scrape(serving(daemon, listen))
        normal(address)
        for domain in failing:
            ask(address, f"<a@{domain}>")
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=True), "SpfmilterDnsFails", goes_on=True)


def test_workers_that_exit_again_and_again(dns: NameServer, listen: str, tmp_path: Path) -> None:
    with SpfmilterDaemon(with_metrics(inet_socket(), dns.address, listen)) as daemon:
        before = scrape(serving(daemon, listen))
        for number in range(1, 5):
            pid = until(lambda: next(iter(workers(daemon)), None), 20, "a worker")
            os.kill(pid, signal.SIGKILL)
            until(lambda n=number: total(scrape(listen), "spfmilter_worker_restarts_total") == n, 20, "it is counted")
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=False), "SpfmilterWorkersDie", goes_on=False)


def test_a_reload_that_is_refused(dns: NameServer, listen: str, tmp_path: Path) -> None:
    with SpfmilterDaemon(with_metrics(inet_socket(), dns.address, listen)) as daemon:
        before = scrape(serving(daemon, listen))
        daemon.rewrite("[milter]\nsocket = nonsense\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=False), "SpfmilterReloadRefused", goes_on=False)


def test_a_journal_without_its_database(dns: NameServer, listen: str, tmp_path: Path) -> None:
    address = inet_socket()

    def text(folder: Path) -> str:
        return with_metrics(address, dns.address, listen, journal=f"url = sqlite:///{folder}/journal.db")

    with SpfmilterDaemon(text(tmp_path)) as daemon:
        before = scrape(serving(daemon, listen))
        daemon.rewrite(text(tmp_path / "missing"))
        daemon.signal(signal.SIGHUP)
        # Until the new storage process has tried, there is no such sample.
        until(lambda: 0.0 in scrape(listen).get("spfmilter_journal_database_up", {}).values(), 30, daemon.log)
        normal(address)
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=True), "SpfmilterJournalDatabaseDown", goes_on=True)


def test_rows_of_the_journal_that_are_lost(dns: NameServer, listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    text = with_metrics(address, dns.address, listen, journal=f"url = sqlite:///{tmp_path}/missing/journal.db")
    with SpfmilterDaemon(text, command=changed({"journal.backlog.MAX_BYTES": 1})) as daemon:
        before = scrape(serving(daemon, listen))
        before.pop("spfmilter_journal_database_up", None)  # away from the start; this test is about the rows
        normal(address)
        lost = {"outcome": "dropped"}
        until(lambda: total(scrape(listen), "spfmilter_journal_rows_total", **lost) == len(PLAIN), 30, daemon.log)
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=False), "SpfmilterJournalRowsLost", goes_on=False)


def test_exemptions_without_their_store(dns: NameServer, listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    text = with_metrics(address, dns.address, listen, state=f"folder = {tmp_path}")
    with SpfmilterDaemon(text) as daemon:
        before = scrape(serving(daemon, listen))
        daemon.rewrite(with_metrics(address, dns.address, listen, state="url = redis://127.0.0.1:1/0"))
        daemon.signal(signal.SIGHUP)
        until(lambda: total(scrape(listen), "spfmilter_exemption_store_errors_total") >= 5, 30, daemon.log)
        normal(address)
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=True), "SpfmilterExemptionStoreDown", goes_on=True)


def test_an_internal_error(dns: NameServer, listen: str, tmp_path: Path) -> None:
    address = inet_socket()
    command = (sys.executable, "-c", _BROKEN, *COMMAND[COMMAND.index("spfmilter") + 1 :])
    with SpfmilterDaemon(with_metrics(address, dns.address, listen), command=command) as daemon:
        before = scrape(serving(daemon, listen))
        assert ask(address) == "451"
        after = scrape(listen)
    check_alerts(tmp_path, series(before, after, goes_on=False), "SpfmilterInternalError", goes_on=False)


def test_a_daemon_that_is_gone(dns: NameServer, listen: str, tmp_path: Path) -> None:
    with SpfmilterDaemon(with_metrics(inet_socket(), dns.address, listen)) as daemon:
        assert scrape(serving(daemon, listen))
    with pytest.raises(urllib.error.URLError):
        scrape(listen)
    stored = [one_series("up", {}, f"1+0x{FAILURE_AT} 0+0x{END - FAILURE_AT - 1}")]  # what Prometheus makes of that
    check_alerts(tmp_path, stored, "SpfmilterDown", goes_on=True)
