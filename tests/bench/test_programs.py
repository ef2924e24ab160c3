"""The benchmarks' own programs do what the figures take for granted."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import zones
from bench.hostile import FAMILIES, ZONE
from bench.programs import Nothing, Workshop, load
from bench.table import Report, Target
from lab.dnszone import Zone
from lab.processes import HUNG

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or not Path("/usr/include/libmilter/mfapi.h").exists(),
    reason="the benchmarks' programs need gcc and libmilter-dev",
)


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    """The compiled programs."""
    with Workshop() as made:
        yield made


@pytest.mark.parametrize("name", ["load", "dns", "nothing"])
def test_the_programs_compile_without_a_warning(name: str) -> None:
    """As strict as the compiler can be asked to be."""
    source = Path(__file__).parents[2] / "bench" / f"{name}.c"
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", str(source), "-o", "/dev/null"]
    subprocess.run(command, check=True, timeout=HUNG)  # noqa: S603 - our own words


@pytest.mark.parametrize("unit", [0, 1, 3])
def test_every_message_is_delivered_once(shop: Workshop, unit: int) -> None:
    """However many messages a connection has."""
    with Nothing(shop) as nothing:
        found = load(shop, nothing, zones.EVERYDAY, messages=100, per_connection=unit, **zones.MAIL_ONLY)
    assert (found.messages, found.not_accepted, found.fields) == (100, 0, 0)
    assert found.mail_replies == found.end_replies == {"c": 100}


def test_the_load_tells_a_filter_that_is_not_there(shop: Workshop) -> None:
    """Nothing is delivered, and it ends."""
    found = load(shop, Nothing(shop), zones.EVERYDAY, messages=10, connections=2)
    assert (found.messages, found.not_accepted) == (0, 10)
    with pytest.raises(RuntimeError, match="not every message"):
        found.check("nobody")


def test_hostile_records_fit_into_dns_messages() -> None:
    """One that the server could not send would cost nothing."""
    zone = Zone(ZONE)
    for owner, entries in ZONE.items():
        for rtype in {rtype for entry in entries for rtype in entry}:
            name = b"".join(bytes([len(label)]) + label.encode() for label in owner.split(".")) + b"\0"
            answer = zone.answer(name, {"TXT": 16, "MX": 15, "A": 1}[rtype])
            assert 12 + len(name) + 4 + len(answer.records) + 11 <= 65535, (owner, rtype)
    assert all(names for shapes in FAMILIES.values() for names in shapes.values())


def test_a_missed_target_is_named() -> None:
    """At least, and at most."""
    report = Report("name", "title", ("figure",))
    report.add("low", compared=0.5, target=Target(0.6, at_least=True))
    report.add("slow", compared=2.0, target=Target(1.0))
    report.add("good", compared=1.0, target=Target(1.0))
    report.add("uncompared", compared=None, target=Target(1.0))
    assert report.missed() == ["low", "slow"]
