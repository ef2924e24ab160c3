"""Nameservers, the state server, the help page and the metrics."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import free_port, patience
from spfmilter.dns.answer import Answer, Status
from spfmilter.health.known import IniFile
from spfmilter.health.parts import Level
from spfmilter.health.servers import metrics, page, resolver, resolver_part, state, state_part
from tests.health.snapshots import figures, known, process, snapshot, worker
from tests.values import settings

OK, WARNING, CRITICAL, UNKNOWN = Level
ONE, OTHER = ("192.0.2.53", Answer(Status.DATA), 0.001), ("192.0.2.54", Answer(Status.NO_NAME), 0.25)
DEAD = ("198.51.100.53", Answer(Status.FAILED, failure="timeout"), 3.0)


@pytest.mark.parametrize(
    ("asked", "silence", "level", "text", "short"),
    [
        ([ONE], 0.0, OK, "192.0.2.53 answers in 1 ms", "1 nameserver answers"),
        ([ONE, OTHER], 0.0, OK, "192.0.2.53 answers in 1 ms; 192.0.2.54 answers in 250 ms", "2 nameservers answer"),
        ([ONE, DEAD], 0.0, WARNING, "198.51.100.53 does not answer: timeout", "1 nameserver answers"),
        (
            [DEAD],
            0.0,
            CRITICAL,
            "no nameserver answers, so mail is not checked: 198.51.100.53 does not",
            "0 nameservers",
        ),
        ([ONE], 65.2, WARNING, "a worker has had no answer for 1 min 5 s", ""),
    ],
)
def test_the_nameservers(asked, silence: float, level: Level, text: str, short: str) -> None:
    part = resolver_part(asked, silence=silence, errors=0.0)
    assert part.level is level
    assert text in part.text
    assert short in part.short
    assert bool(part.fix) == (level is not OK)


@pytest.mark.parametrize(
    ("asked", "silence", "level", "text"),
    [
        ([ONE], 0.0, WARNING, "192.0.2.53 answers in 1 ms; the workers have had only errors for 3 min"),
        ([ONE], 5.0, WARNING, "192.0.2.53 answers in 1 ms; a worker has had no answer for 5 s"),
        (
            [DEAD],
            0.0,
            CRITICAL,
            "no nameserver answers, so mail is not checked: 198.51.100.53 does not answer: timeout",
        ),
    ],
)
def test_nameservers_that_answered_the_workers_only_with_errors(
    asked: list[tuple[str, Answer, float]], silence: float, level: Level, text: str
) -> None:
    part = resolver_part(asked, silence=silence, errors=180.0)
    assert (part.level, part.text, part.data["errors"]) == (level, text, 180.0)


def test_the_performance_data_of_the_nameservers() -> None:
    gauges = {
        gauge.label: (gauge.value, gauge.limits)
        for gauge in resolver_part([ONE, OTHER, DEAD], silence=0.0, errors=0.0).gauges
    }
    assert gauges == {"nameservers": (2, "3:;1:;0"), "dns": (0.25, ";;0")}


def test_a_state_server() -> None:
    assert state_part("redis://x", "", 0.002).text == "redis://x answers in 2 ms"
    part = state_part("redis://x", "Connection refused", 0.1)
    assert (part.level, part.data["answers"]) == (WARNING, False)
    assert part.text == "redis://x does not answer: Connection refused; this host's own memory stands in"


def test_what_the_ini_file_does_not_ask_for_is_no_part() -> None:
    for probe in (state, page, metrics):
        assert list(probe(known(snapshot()))) == []
        assert list(probe(known(snapshot(), ini=IniFile(problems=("bad",))))) == []


def test_without_any_file_the_nameservers_are_unknown() -> None:
    (part,) = resolver(known(ini=IniFile(problems=("bad",))))
    assert part.level is UNKNOWN


@pytest.mark.outside
def test_each_nameserver_is_asked_at_the_same_time() -> None:
    with (
        ScriptedDNS({}) as good,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another,
    ):
        for sock in (silent, another):
            sock.bind(("127.0.0.1", 0))
        dead = [f"127.0.0.1:{sock.getsockname()[1]}" for sock in (silent, another)]
        written = snapshot(
            nameservers=(good.address, *dead), workers=(worker(0, figures=figures(4712, silence=2.0)), worker(1))
        )
        began, pace = time.monotonic(), patience()
        (part,) = resolver(replace(known(written), deadline=began + pace))
        assert time.monotonic() - began < 1.8 * pace, "two dead ones, one after the other, take 2"
    answers = {each["address"]: each["answers"] for each in part.data["nameservers"]}  # type: ignore[attr-defined]
    assert answers == {good.address: True, dead[0]: False, dead[1]: False}
    assert part.level is WARNING


# -- pages -------------------------------------------------------------------------------------------------------------


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives one answer."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def page_ini(listen: str) -> IniFile:
    return IniFile(
        settings=settings(f"[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n[web]\nlisten = {listen}\n")
    )


@pytest.mark.outside
@pytest.mark.parametrize(
    ("answer", "level", "text"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", OK, "answers in"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", WARNING, "it answers 500 Internal Server Error"),
        (b"220 mx ESMTP\r\n", WARNING, "does not answer"),
        (b"", WARNING, "does not answer: Remote end closed connection"),
    ],
)
def test_the_help_page(answer: bytes, level: Level, text: str) -> None:
    with answering(answer) as listen:
        (part,) = page(known(snapshot(), ini=page_ini(listen)))
    assert part.level is level
    assert text in part.text


@pytest.mark.outside
def test_a_help_page_that_is_not_there() -> None:
    (part,) = page(known(snapshot(), ini=page_ini(f"127.0.0.1:{free_port()}")))
    assert part.level is WARNING
    assert "Connection refused" in part.text
    assert "--without page" in part.fix


@pytest.mark.outside
def test_a_page_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = known(snapshot(), ini=page_ini(f"127.0.0.1:{listener.getsockname()[1]}"))
        (part,) = page(replace(seen, deadline=time.monotonic() + 0.2))
    assert "no answer within" in part.text


@pytest.mark.outside
def test_metrics_whose_exporter_has_exited() -> None:
    ini = IniFile(settings=settings(f"[metrics]\nlisten = 127.0.0.1:{free_port()}\n"))
    exporter = process("metrics exporter", pid=None, exits=3, how="exit status 1")
    (part,) = metrics(known(snapshot(processes=(exporter,)), ini=ini))
    assert part.level is WARNING
    assert "metrics exporter has not run for 1 min 1 s; 3 exits before, the last: exit status 1" in part.text
    (part,) = metrics(known(snapshot(), ini=ini))
    assert "Connection refused" in part.text
