"""200,000 messages over hostile and plain inputs: the memory of each worker stays flat after the warm-up."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from lab.daemon import SpfmilterDaemon
from lab.load import Load, Mail
from tests.survival.site import PLAIN, ZONE, inet_socket, ini, memory, name_server, workers

pytestmark = pytest.mark.soak

MESSAGES = 200_000
WARM_UP = 40_000
CONNECTIONS = 16


def hostile_zone() -> dict[str, list[Any]]:
    """Records that any domain may publish."""
    zone: dict[str, list[Any]] = {
        "loop.example": [{"TXT": "v=spf1 include:loop.example -all"}],
        "long.example": [
            {"TXT": "v=spf1 " + " ".join(f"ip4:198.51.{n % 100}.{n % 256}" for n in range(400)) + " -all"}
        ],
        "macros.example": [{"TXT": "v=spf1 exists:%{ir}.%{l1r-}.%{d2}.%{h}.macros.example -all"}],
        "broken.example": [{"TXT": "v=spf1 ip4:999 %{ all all all"}],
        "twice.example": [{"TXT": "v=spf1 -all"}, {"TXT": "v=spf1 +all"}],
        "octets.example": [{"TXT": "v=spf1 exp=x.example \xff\xfe -all"}],
        "exp.example": [{"TXT": "v=spf1 exp=text.exp.example -all"}],
        "text.exp.example": [{"TXT": "%{c} may not send: %{s} %{r} %{t} " + "x" * 800}],
        "void.example": [{"TXT": "v=spf1 a:v1.example a:v2.example a:v3.example -all"}],
        "mx.example": [{"TXT": "v=spf1 mx -all"}, *({"MX": [n, f"m{n}.mx.example"]} for n in range(12))],
        "ptr.example": [{"TXT": "v=spf1 ptr -all"}],
        "refused.example": [{"RCODE": "REFUSED"}],
        "cut.example": [{"TXT": "v=spf1 " + "ip4:192.0.2.1 " * 200 + "-all"}, {"TRUNCATE": True}],
        "include.example": [{"TXT": "v=spf1 " + " ".join(f"include:i{n}.example" for n in range(12)) + " -all"}],
        **{f"i{n}.example": [{"TXT": f"v=spf1 include:i{n + 1}.example -all"}] for n in range(12)},
    }
    return {**ZONE, **zone}


def hostile_mails() -> Iterator[Mail]:
    """Envelopes and header fields that no honest client sends."""
    domains = [name for name in hostile_zone() if name not in {"slow.example", "refused.example"}]
    yield from (Mail(sender=f"<a@{domain}>") for domain in domains)
    yield from (Mail(sender=f"<a@{domain}>", helo=domain, client="2001:db8::1") for domain in domains)
    for sender in (
        '<"a@b"@pass.example>',
        "<@pass.example>",
        "<a@>",
        "<>",
        "<a@" + "x" * 300 + ".example>",
        "a@b@c",
        "<a",
    ):
        yield Mail(sender=sender)
    for number in range(40):  # names never seen before: NXDOMAIN, and no cache may grow for ever
        yield Mail(sender=f"<{'l' * number}+%{{d}}@n{number}.unknown.example>", helo=f"[{number}]")
    forged = [("Received-SPF", "pass"), ("Authentication-Results", "mx.example; spf=pass")] * 30
    yield Mail(sender="<a@pass.example>", headers=forged)
    yield Mail(sender="<a@soft.example>", headers=[("X" * 500, "y" * 5000), ("Subject", "=?utf-8?q?" + "z" * 60000)])
    yield Mail(sender="<a@fail.example>", helo="\udcff\udcfe")


def test_memory_is_flat() -> None:
    mails = list(itertools.chain.from_iterable(zip(hostile_mails(), itertools.cycle(PLAIN), strict=False)))
    address = inet_socket()
    text = ini(address, "{}", log="level = warning", dns="timeout = 1s", policy_mailfrom="temperror = defer")
    with name_server(hostile_zone()) as dns, SpfmilterDaemon(text.replace("{}", dns.address)) as daemon:
        pids = workers(daemon)
        figures: dict[int, list[float]] = {}
        with Load(address, mails, connections=CONNECTIONS, messages=MESSAGES // CONNECTIONS, per_session=2) as load:
            for done in range(0, MESSAGES + 1, MESSAGES // 20):
                load.wait_for(done, timeout=900)
                figures[done] = [memory(pid) for pid in pids]
                print(f"{done:7d} messages: {' '.join(f'{size:.1f}' for size in figures[done])} MB", flush=True)
            tally = load.finish()
        assert workers(daemon) == pids
        log = daemon.log()
    print(tally)
    for cut in tally.cuts[:10]:
        print(cut)
    assert "internal error" not in log, log[log.index("internal error") - 200 :][:2000]
    assert tally.offered == tally.verdict_count == MESSAGES
    assert tally.cuts == []
    assert not tally.refused
    warm = [max(figures[done][place] for done in figures if done <= WARM_UP) for place in range(len(pids))]
    end = figures[MESSAGES]
    print(f"warm {warm} MB, end {end} MB")
    assert all(after - before < 3 for before, after in zip(warm, end, strict=True))
