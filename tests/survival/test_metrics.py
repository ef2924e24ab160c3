"""/metrics over all processes: right after known traffic, across deaths and reloads; and the documents about it."""

import itertools
import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.daemon import SpfmilterDaemon
from lab.load import Load, Mail
from lab.milterclient import MilterClient
from lab.processes import free_port, patience, until
from spfmilter.counters import Counters
from spfmilter.dns.answer import Status
from spfmilter.model import Disposition, Identity, OverrideType, Result
from spfmilter.observe import metrics
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    PLAIN,
    SOFT,
    NameServer,
    ask,
    children,
    descriptors,
    inet_socket,
    ini,
    tasks,
    wait_for_workers,
    workers,
)

DOCS = Path(__file__).parents[2] / "docs"
Labels = tuple[tuple[str, str], ...]
# Names that Prometheus or Grafana add to every series.
TARGET_LABELS = {"job", "instance"}


def scrape(listen: str) -> dict[str, dict[Labels, float]]:
    """All samples: name -> labels -> value."""
    with urllib.request.urlopen(f"http://{listen}/metrics", timeout=10 * patience()) as answer:
        text = answer.read().decode()
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(samples: dict[str, dict[Labels, float]], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    return sum(value for key, value in samples.get(name, {}).items() if set(labels.items()) <= set(key))


def serving(daemon: SpfmilterDaemon, listen: str) -> str:
    """The address, once it is served."""
    daemon.wait_for_log("metrics served")
    return listen


def with_metrics(address: str, nameserver: str, listen: str, **sections: str) -> str:
    return ini(address, nameserver, metrics=f"listen = {listen}", **sections)


@pytest.fixture
def listen() -> str:
    return f"127.0.0.1:{free_port()}"


def test_sums_over_all_workers(dns: NameServer, listen: str) -> None:
    """Known traffic over three workers, each of which has had a part of it."""
    address = inet_socket()
    mails = [Mail(sender=sender) for sender in (PASS, FAIL, SOFT, PASS)]
    with SpfmilterDaemon(with_metrics(address, dns.address, listen, milter="workers = 3")) as daemon:
        serving(daemon, listen)
        with Load(address, mails, connections=12, messages=40, per_session=8) as load:
            tally = load.finish()
        assert tally.verdict_count == 480
        until(lambda: total(scrape(listen), "spfmilter_sessions_open") == 0, 10, "all sessions are closed")
        samples = scrape(listen)
        messages = {
            (dict(key)["result"], dict(key)["action"]): value
            for key, value in samples["spfmilter_messages_total"].items()
            if value
        }
        assert messages == {("pass", "accept"): 240, ("fail", "reject"): 120, ("softfail", "tag"): 120}
        assert total(samples, "spfmilter_messages_total", identity="mailfrom") == 480
        mailfrom = {"identity": "mailfrom"}
        assert total(samples, "spfmilter_evaluation_seconds_count", **mailfrom) == 480
        assert total(samples, "spfmilter_evaluation_seconds_bucket", le="+Inf", **mailfrom) == 480
        # Each worker that had a session looks up what three domains need, and then knows it.
        assert 4 <= total(samples, "spfmilter_dns_queries_total") <= 3 * 20
        until(lambda: verdicts(listen, "hit") + verdicts(listen, "miss") >= 960, 10, "two verdicts a message, counted")
        assert verdicts(listen, "miss") < 100
        assert total(samples, "spfmilter_workers") == 3
        assert len(samples["spfmilter_build_info"]) == 1
        parts = [path.name for path in folder(daemon).glob("counter_worker*.db")]
        assert len(parts) == 3
        assert (
            "spfmilter_internal_errors_total" not in samples or total(samples, "spfmilter_internal_errors_total") == 0
        )


def verdicts(listen: str, outcome: str) -> float:
    """What the verdict caches of all workers have been good for; they tell with each heartbeat."""
    return total(scrape(listen), "spfmilter_cache_lookups_total", cache="verdicts", outcome=outcome)


def folder(daemon: SpfmilterDaemon) -> Path:
    """Where the processes keep their counts: what they have mapped."""
    maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
    found = re.search(r"(/\S*spfmilter-metrics-\w+)/", maps)
    assert found is not None
    return Path(found[1])


def test_counters_go_on_and_gauges_drop(dns: NameServer, listen: str) -> None:
    """When a worker is killed with sessions open, and when the settings are reloaded."""
    address = inet_socket()
    text = with_metrics(address, dns.address, listen)

    def counted() -> float:
        return total(scrape(listen), "spfmilter_messages_total")

    def open_now() -> float:
        return total(scrape(listen), "spfmilter_sessions_open")

    with SpfmilterDaemon(text) as daemon, ExitStack() as stack:
        serving(daemon, listen)
        for _ in range(30):
            ask(address, FAIL)
        sessions = [stack.enter_context(MilterClient(address)) for _ in range(20)]
        for mta in sessions:
            mta.greet(CLIENT)
        until(lambda: open_now() == 20, 10, lambda: f"20 sessions, not {open_now()}")
        assert counted() == 30
        for pid in workers(daemon):
            os.kill(pid, signal.SIGKILL)
        daemon.wait_for_log("(?s)worker exited unexpectedly.*worker exited unexpectedly")
        until(lambda: open_now() == 0, 10, "the sessions of dead workers are not counted")
        assert counted() == 30
        wait_for_workers(daemon, 2)
        for _ in range(30):
            ask(address, FAIL)
        assert counted() == 60
        assert total(scrape(listen), "spfmilter_worker_restarts_total", cause="killed by SIGKILL") == 2
        for number in (2, 3, 4):
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_notification("READY=1", count=number)
            until(lambda: len(children(daemon)) == 3, 10, "the old generation's end: two workers and the exporter stay")
        for _ in range(30):
            ask(address, FAIL)
        assert counted() == 90
        daemon.rewrite("[milter]\nsocket = nonsense\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=5)
        samples = scrape(listen)
        assert total(samples, "spfmilter_reloads_total", outcome="done") == 3
        assert total(samples, "spfmilter_reloads_total", outcome="refused") == 1
        assert len(list(folder(daemon).glob("counter_*.db"))) <= 7, "at most three generations at a time"
        kept = folder(daemon)
    assert not kept.exists()


def test_scrapes_during_reloads_and_deaths_are_whole(dns: NameServer, listen: str) -> None:
    """Files come and go under the exporter; every scrape is answered, and no counter goes back."""
    address = inet_socket()
    with (
        SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon,
        Load(address, PLAIN, connections=4) as load,
    ):
        serving(daemon, listen)
        load.wait_for(50)
        last, scrapes = 0.0, 0
        for number in itertools.count(2):
            if number >= 12 and scrapes > 20:
                break
            daemon.signal(signal.SIGHUP)
            while sum("READY=1" in note for note in daemon.notifications()) < number:
                now = total(scrape(listen), "spfmilter_messages_total")
                assert now >= last
                last, scrapes = now, scrapes + 1
        load.stop()
    print(f"\n{scrapes} scrapes during {number - 2} reloads, none failed; {last:.0f} messages counted")
    assert scrapes > 20


def test_slow_scrapers_delay_no_mail(dns: NameServer, listen: str) -> None:
    address = inet_socket()
    host, _, port = listen.partition(":")
    with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon, ExitStack() as stack:
        serving(daemon, listen)
        for number in range(20):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
            slow.sendall((b"GET /metr", b"", b"GET /metrics HTTP/1.1\r\n", b"\0" * 100)[number % 4])
        with Load(address, PLAIN, connections=8, messages=25) as load:
            tally = load.finish()
        assert tally.verdict_count == 200
        assert total(scrape(listen), "spfmilter_messages_total") == 200
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)


def test_mute_connections_take_no_thread_each(dns: NameServer, listen: str) -> None:
    """Hundreds of them: the figures are served, and the exporter stays as small as it is."""
    address = inet_socket()
    host, _, port = listen.partition(":")
    with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon, ExitStack() as stack:
        serving(daemon, listen)
        ask(address)
        (exporter,) = set(children(daemon)) - set(workers(daemon))
        for _ in range(500):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        assert total(scrape(listen), "spfmilter_messages_total") == 1
        assert len(tasks(exporter)) == 1
        # The ones that it closes for newer ones stay open until its loop has come to them.
        until(lambda: len(descriptors(exporter)) < 100, 5, "fewer descriptors than a connection each")
        assert "error" not in daemon.log()


def test_a_killed_exporter_is_restarted(dns: NameServer, listen: str) -> None:
    address = inet_socket()
    with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon:
        serving(daemon, listen)
        ask(address)
        (exporter,) = set(children(daemon)) - set(workers(daemon))
        os.kill(exporter, signal.SIGKILL)
        daemon.wait_for_log(rf'metrics exporter exited pid={exporter} how="killed by SIGKILL"')
        daemon.wait_for_log("(?s)metrics served.*metrics served")
        assert total(scrape(listen), "spfmilter_messages_total") == 1
        assert "worker exited unexpectedly" not in daemon.log()


def test_the_exporter_moves_and_ends_by_reload(dns: NameServer, listen: str) -> None:
    address, elsewhere = inet_socket(), f"127.0.0.1:{free_port()}"
    with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon:
        serving(daemon, listen)
        daemon.rewrite(with_metrics(address, dns.address, elsewhere))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log(rf"metrics served listen={elsewhere}")
        assert total(scrape(elsewhere), "spfmilter_workers") == 2
        with pytest.raises(urllib.error.URLError):
            scrape(listen)
        daemon.rewrite(ini(address, dns.address))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=3)
        until(lambda: len(children(daemon)) == 2, 10, "two workers, and no exporter")
        assert ask(address) == "continue"


def test_an_address_that_is_taken_does_not_stop_the_daemon(dns: NameServer) -> None:
    address = inet_socket()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with SpfmilterDaemon(with_metrics(address, dns.address, listen)) as daemon:
            said = rf'metrics cannot be served listen={listen} reason="Address already in use" '
            daemon.wait_for_log(f'{said}fix="another process has port')
            assert ask(address) == "continue"


def test_without_metrics_nothing_of_prometheus_is_loaded(dns: NameServer) -> None:
    """A trace of all imports, with and without: so that it is known to show them."""
    shown = []
    for section in ("", f"listen = 127.0.0.1:{free_port()}"):
        environment = {"PYTHONPROFILEIMPORTTIME": "1"}
        with SpfmilterDaemon(ini(inet_socket(), dns.address, metrics=section), environment=environment) as daemon:
            shown.append("prometheus_client" in daemon.log())
            counted = [name for pid in workers(daemon) for name in descriptors(pid) if "spfmilter-metrics" in name]
            shown.append(bool(counted))
    assert shown == [False, False, True, True]


# -- the documents -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(dns: NameServer) -> dict[str, set[str]]:
    """Every metric with its labels, from a daemon that has done all that is counted."""
    address, listen = inet_socket(), f"127.0.0.1:{free_port()}"
    overriding = with_metrics(address, dns.address, listen, exempt="forwarder_spf = pass.example")
    with SpfmilterDaemon(overriding) as daemon:
        serving(daemon, listen)
        ask(address, FAIL)
        with MilterClient(address) as mta:
            mta.greet(CLIENT, "mx.example.net", macros={"j": "mx.example.net"})
            forged = [("Authentication-Results", "mx.example.net; spf=pass")]
            mta.deliver(PASS, ["<bob@example.net>"], forged, macros={"j": "mx.example.net"})
            mta.deliver(PASS, ["<bob@example.net>"])
        os.kill(workers(daemon)[0], signal.SIGKILL)
        daemon.wait_for_log("worker exited unexpectedly")
        daemon.rewrite(with_metrics(address, dns.address, listen, policy="mode = monitor"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)
        ask(address, FAIL)
        samples = scrape(listen)
    return {name: {label for key in found for label, _ in key} for name, found in samples.items()}


def test_every_metric_of_the_issue_is_exported(exported: dict[str, set[str]]) -> None:
    assert exported["spfmilter_messages_total"] == {"identity", "result", "action"}
    assert exported["spfmilter_evaluation_seconds_bucket"] == {"identity", "le"}
    assert exported["spfmilter_dns_queries_total"] == {"outcome"}
    assert exported["spfmilter_cache_lookups_total"] == {"cache", "outcome"}
    assert exported["spfmilter_sessions_open"] == set()
    assert exported["spfmilter_worker_restarts_total"] == {"cause"}
    assert exported["spfmilter_build_info"] == {"version", "python"}


def values_of(samples: dict[str, dict[Labels, float]], name: str, *labels: str) -> set[tuple[str, ...]]:
    """The values of these labels, for each series of a metric."""
    return {tuple(dict(key)[label] for label in labels) for key in samples[f"spfmilter_{name}"]}


def test_every_known_label_value_is_there_from_the_start_as_0(dns: NameServer, listen: str) -> None:
    with SpfmilterDaemon(with_metrics(inet_socket(), dns.address, listen)) as daemon:
        samples = scrape(serving(daemon, listen))
    verdicts = {(identity, result) for identity in Identity for result in Result} | {("none", "skipped")}
    assert values_of(samples, "messages_total", "identity", "result", "action") == {
        (*verdict, action) for verdict in verdicts for action in Disposition
    }
    assert values_of(samples, "monitor_actions_total", "action") == {(action,) for action in Disposition} - {
        ("accept",)
    }
    assert values_of(samples, "overrides_total", "type") == {(kind,) for kind in OverrideType}
    assert values_of(samples, "evaluation_seconds_count", "identity") == {(identity,) for identity in Identity}
    asked = {status.value for status in Status if status is not Status.NOT_ASKED}
    assert values_of(samples, "dns_queries_total", "outcome") == {(outcome,) for outcome in asked | {"own resolver"}}
    caches = {"answers", "verdicts"}
    assert values_of(samples, "cache_lookups_total", "cache", "outcome") == {
        (cache, outcome) for cache in caches for outcome in Counters().numbers()
    }
    assert values_of(samples, "reloads_total", "outcome") == {("done",), ("refused",)}
    assert values_of(samples, "journal_rows_total", "outcome") == {("written",), ("dropped",)}
    assert ("killed by SIGKILL",) in values_of(samples, "worker_restarts_total", "cause")
    counted = {name: total(samples, name) for name in samples if not name.endswith(("_info", "_workers", "_up"))}
    assert set(counted.values()) == {0.0}


def test_the_documents_name_every_outcome_of_a_query() -> None:
    (row,) = re.findall(r"(?m)^\| `spfmilter_dns_queries_total` .*$", (DOCS / "metrics.md").read_text())
    assert [outcome for outcome in metrics._DNS_OUTCOMES if f"`{outcome}`" not in row] == []


def documented() -> dict[str, set[str]]:
    """The table of docs/metrics.md: name -> labels."""
    rows = re.findall(r"(?m)^\| `(spfmilter_\w+)` \| (.*?) \|", (DOCS / "metrics.md").read_text())
    return {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}


def test_the_table_is_what_is_exported(exported: dict[str, set[str]]) -> None:
    """Both ways; a histogram has one line. A fault, which no test can provoke, appears without a value."""
    folded: dict[str, set[str]] = {}
    for name, labels in exported.items():
        folded.setdefault(re.sub(r"_(bucket|sum|count)$", "", name), set()).update(labels - {"le"})
    assert documented() == folded


def expressions() -> list[str]:
    """All queries of the dashboard, its variables' included."""
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    return queries + [variable["query"]["query"] for variable in variables if variable["type"] == "query"]


def test_the_dashboard_uses_what_is_exported_and_all_of_it(exported: dict[str, set[str]]) -> None:
    used: Counter[str] = Counter()
    for query in expressions():
        names = re.findall(r"\bspfmilter_\w+", query)
        assert names, query
        used.update(names)
        assert set(names) <= set(exported), query
        known = TARGET_LABELS.union(*(exported[name] for name in names))
        matched = re.findall(r"(\w+)=~?\"", query)
        grouped = [label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")]
        assert set(matched) | set(grouped) <= known, query
    folded = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    assert folded == set(documented()), "every metric has its panel"


def test_the_legends_use_labels_that_their_queries_have() -> None:
    """What a query has summed away is empty in a legend."""
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            by = re.search(r"\bby \(([^)]*)\)", target["expr"])
            kept = {label.strip() for label in by[1].split(",")} if by else None
            bare = kept is None and "(" not in target["expr"]
            assert bare or named <= (kept or set()), (panel["title"], target)
            assert panel["description"]
