"""The lines of a monitoring plugin, and JSON for other programs. Both are contracts."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.health.output import as_json, level_of, plugin_text, summary
from spfmilter.health.parts import Gauge, Level, Part

OK, WARNING, CRITICAL, UNKNOWN = Level
SOCKET = Part(
    name="socket",
    level=OK,
    text="inet:8890@127.0.0.1 answers in 2 ms",
    short="socket answers in 2 ms",
    data={"protocol": 6},
    gauges=(Gauge(label="handshake", value=0.002, unit="s"), Gauge(label="restarts", value=3, unit="c")),
)
WORKERS = Part(
    name="workers",
    level=OK,
    text="2 of 2 serve",
    short="2 of 2 workers serve",
    details=("worker 0: process 4712", "worker 1: process 4713"),
    gauges=(
        Gauge(label="workers", value=2, limits="2:;1:;0"),
        Gauge(label="hits", value=94.5, unit="%", limits=";;0;100"),
    ),
)
DEAD = Part(name="resolver", level=CRITICAL, text="no nameserver answers", fix="look after it")
LATE = Part(name="state", level=WARNING, text="redis://x does not answer")
PERFORMANCE_DATA = "handshake=0.002s restarts=3c workers=2;2:;1:;0 hits=94.5%;;;0;100"
# Performance data of the Monitoring Plugins Development Guidelines: label=value[unit];[warn];[crit];[min];[max]
PERFORMANCE = re.compile(r"[a-z_]+=-?[0-9.]+(s|B|%|c)?(;[0-9:.]*){0,4}")


def test_a_healthy_daemon() -> None:
    assert [line for line, _ in plugin_text([SOCKET, WORKERS])] == [
        f"SPFMILTER OK - socket answers in 2 ms; 2 of 2 workers serve | {PERFORMANCE_DATA}",
        "ok       socket        inet:8890@127.0.0.1 answers in 2 ms",
        "ok       workers       2 of 2 serve",
        "                       worker 0: process 4712",
        "                       worker 1: process 4713",
    ]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ([SOCKET, LATE], "SPFMILTER WARNING - state: redis://x does not answer"),
        ([SOCKET, LATE, DEAD], "SPFMILTER CRITICAL - resolver: no nameserver answers"),
        ([SOCKET, Part(name="versions", level=UNKNOWN, text="x")], "SPFMILTER UNKNOWN - versions: x"),
        ([Part(name="versions", level=OK, text="spfmilter 1.0")], "SPFMILTER OK - versions: spfmilter 1.0"),
        ([], "SPFMILTER UNKNOWN - there is no such part in this daemon"),
    ],
)
def test_the_first_line_names_the_worst(parts: list[Part], line: str) -> None:
    assert summary(parts) == line


def test_a_part_says_what_to_do() -> None:
    assert [line for line, _ in plugin_text([DEAD])][
        1
    ] == "critical resolver      no nameserver answers. Fix: look after it"


def test_the_performance_data_has_the_form_of_plugins() -> None:
    first, _ = next(iter(plugin_text([SOCKET, WORKERS])))
    for item in first.partition(" | ")[2].split(" "):
        assert PERFORMANCE.fullmatch(item), item


def test_json_has_the_same_and_more() -> None:
    assert json.loads(as_json([SOCKET, DEAD], 1000.5)) == {
        "format": 1,
        "time": 1000.5,
        "status": "critical",
        "exit_status": 2,
        "summary": "SPFMILTER CRITICAL - resolver: no nameserver answers",
        "parts": [
            {
                "name": "socket",
                "status": "ok",
                "text": "inet:8890@127.0.0.1 answers in 2 ms",
                "fix": None,
                "details": [],
                "data": {"protocol": 6},
            },
            {
                "name": "resolver",
                "status": "critical",
                "text": "no nameserver answers",
                "fix": "look after it",
                "details": [],
                "data": {},
            },
        ],
        "performance": {"handshake": 0.002, "restarts": 3},
    }


@given(st.text(), st.sampled_from(Level))
def test_each_line_is_one_line(hostile: str, level: Level) -> None:
    """A bar begins performance data; a line break would begin another part."""
    part = Part(name="state", level=level, text=hostile, fix=hostile, short=hostile, details=(hostile,))
    lines = [line for line, _ in plugin_text([part])]
    assert len(lines) == 3
    for line in lines:
        assert line.isprintable()
        assert "|" not in line
    assert json.loads(as_json([part], 0.0))["status"] == level_of([part]).word
