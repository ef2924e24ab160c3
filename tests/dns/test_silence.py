"""Silent nameservers: when lookups stop waiting for them, what the log is told, and how their answers are noticed."""

import select
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lab.processes import until
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import Channel
from spfmilter.dns.probe import Probe
from spfmilter.dns.reports import ReportFile
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.silence import Change, Report, Silence
from spfmilter.settings.values import Nameserver
from tests.dns.test_resolver import unused_port

NOW = 1000.0


def silent(*, since: float = NOW, probed: float | None = None) -> Silence:
    silence = Silence()
    silence.begin(since, "timeout")
    if probed is not None:
        silence.probed(probed)
    return silence


# -- the states --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("silence", "at", "spared"),
    [
        (Silence(), 0.0, False),
        (silent(probed=NOW), NOW, False),
        (silent(probed=NOW + 59), NOW + 59.9, False),  # it may be a restart
        (silent(probed=NOW + 58), NOW + 60.0, True),
        (silent(probed=NOW + 59), NOW + 60.0, False),  # another worker has told of it: our own probes have just begun
        (silent(probed=NOW + 59), NOW + 64.1, False),  # no process probes any more: its answer would not be noticed
        (silent(), NOW + 3600.0, False),  # a process without a probe
    ],
)
def test_lookups_fail_at_once_after_a_minute_of_silence_and_probes(silence: Silence, at: float, spared: bool) -> None:
    assert silence.spares_waiting(at) is spared


def test_each_silence_is_announced_once_and_its_end_once() -> None:
    silence = silent()
    assert silence.announce(NOW + 3) == Change(over=False, seconds=3.0, reason="timeout")
    assert silence.announce(NOW + 4) is None
    assert silence.end(NOW + 90) == Change(over=True, seconds=90.0, reason="timeout")
    assert (silence.since, silence.announce(NOW + 91), silence.end(NOW + 91)) == (None, None, None)


def test_a_silence_that_is_over_before_it_is_announced_is_not_mentioned() -> None:
    assert silent().end(NOW + 0.5) is None


def test_a_resolver_that_comes_and_goes_is_announced_once_a_minute() -> None:
    silence, said = Silence(), []
    for at in range(1000, 1300, 10):  # ten seconds of silence, ten of answers
        if at % 20:
            said.append(silence.end(float(at)))
        else:
            silence.begin(float(at), "timeout")
            said.append(silence.announce(float(at)))
    told = [change.over for change in said if change is not None]
    assert told == [False, True] * 5, "always a beginning, and then its end"


def test_a_silence_that_follows_soon_is_announced_if_it_lasts() -> None:
    silence = silent()
    silence.announce(NOW)
    silence.end(NOW + 1)
    silence.begin(NOW + 10, "Connection refused")
    assert silence.announce(NOW + 59) is None
    assert silence.announce(NOW + 60) == Change(over=False, seconds=50.0, reason="Connection refused")


# -- what other workers tell -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "reported", "heard", "since"),
    [
        (None, NOW, -1.0, NOW),  # nothing was asked here
        (None, NOW, NOW - 5, NOW),
        (None, NOW, NOW + 5, None),  # an answer came here since: the other worker alone is cut off
        (NOW + 30, NOW, NOW - 5, NOW),  # one minute for both
        (NOW + 30, NOW, NOW + 5, NOW + 30),
        (NOW, NOW + 30, NOW - 5, NOW),
        (NOW, None, NOW - 5, NOW),
    ],
)
def test_a_worker_takes_over_the_beginning_unless_it_has_had_an_answer_since(
    own: float | None, reported: float | None, heard: float, since: float | None
) -> None:
    silence = Silence() if own is None else silent(since=own)
    silence.hear([Report(reported, NOW)], lambda when: heard < when)
    assert silence.since == since


def test_a_silence_that_one_worker_has_announced_is_not_announced_by_others() -> None:
    first, second, third = silent(), silent(since=NOW + 20), Silence()
    assert first.announce(NOW) is not None
    for other in (second, third):
        other.hear([first.report()], lambda _: True)
        assert other.report() == first.report()
        assert other.announce(NOW + 100) is None
        assert other.end(NOW + 100) == Change(over=True, seconds=100.0, reason="timeout" if other is second else "")


def test_a_worker_announces_what_its_own_lookup_has_met_only() -> None:
    silence = Silence()
    silence.hear([Report(NOW, -1.0)], lambda _: True)
    assert silence.announce(NOW + 100) is None
    silence.begin(NOW + 90, "Connection refused")
    assert silence.announce(NOW + 100) == Change(over=False, seconds=100.0, reason="Connection refused")


def test_each_silence_needs_probes_of_its_own() -> None:
    silence = silent(probed=NOW + 58)
    silence.end(NOW + 70)
    silence.hear([Report(NOW + 71, NOW)], lambda _: True)
    silence.probed(NOW + 200)
    assert not silence.spares_waiting(NOW + 201)
    assert silence.spares_waiting(NOW + 202)


def test_one_announcement_a_minute_is_for_all_workers_together() -> None:
    silence = silent(since=NOW + 10)
    silence.hear([Report(None, NOW)], lambda _: True)  # it has announced one that is over
    assert silence.announce(NOW + 59) is None
    assert silence.announce(NOW + 60) is not None


# -- over the wire, on a clock of our own ------------------------------------------------------------------------------


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Return what it shows."""
        return self.now


def answer_all(server: socket.socket) -> int:
    """Answer every packet that has come with NOERROR and no record; how many there were."""
    number = 0
    while select.select([server], [], [], 0)[0]:
        query, peer = server.recvfrom(4096)
        server.sendto(query[:2] + b"\x81\x80" + query[4:6] + bytes(6) + query[12:], peer)
        number += 1
    return number


@contextmanager
def mute() -> Iterator[tuple[socket.socket, Nameserver]]:
    """A nameserver that answers when the test says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        yield server, Nameserver("127.0.0.1", server.getsockname()[1])


@pytest.mark.outside
def test_a_dead_resolver_costs_no_time_after_the_first_minute_and_its_return_is_noticed() -> None:
    clock, heard = Watch(), list[object]()
    with mute() as (server, address):
        resolver = Resolver([address], clock=clock, observe=lambda *told: heard.append(told))
        probe = Probe(resolver)
        with closing(Channel(resolver)) as asking:
            assert probe.step() is None
            assert not select.select([server], [], [], 0)[0], "while they answer, nothing is probed"
            resolver.is_at_fault(NOW, "timeout")  # as a lookup that has failed says
            assert probe.step() == Change(over=False, seconds=0.0, reason="timeout")
            for clock.now in (NOW + second / 2 for second in range(1, 121)):
                assert probe.step() is None
            probes = 0
            while select.select([server], [], [], 0)[0]:
                server.recv(4096)
                probes += 1
            assert 55 <= probes <= 62, "one a second"
            assert resolver.silence.spares_waiting(clock.now), "or the next line waits for ever: the clock stands still"
            answer = asking.ask("e.example", Type.TXT, clock.now + 20)
            assert (answer.status, answer.local_failure) == (Status.FAILED, True)
            assert not select.select([server], [], [], 0)[0], "it is not even asked"
            assert heard == [((Type.TXT, "e.example"), answer, 0.0)], "the metrics go on counting it"
            clock.now += 1
            assert probe.step() is None
            assert answer_all(server) == 1
            changes = []
            until(lambda: changes.append(probe.step()) or changes[-1], 10, "the answer has arrived")
            assert changes[-1] == Change(over=True, seconds=61.0, reason="timeout")
            assert resolver.silence.since is None
            asking.forget()
            asking.start("e.example", Type.TXT)
            assert select.select([server], [], [], 10)[0], "it is asked again"


@pytest.mark.outside
def test_an_expired_answer_is_served_at_once() -> None:
    """``serve_stale`` need not wait for its time limit either."""
    clock = Watch()
    cache = AnswerCache(serve_stale=3600, clock=clock)
    with unused_port() as address, closing(Channel(Resolver([address], cache=cache, clock=clock))) as asking:
        resolver = asking._resolver
        cache.put((Type.A, "e.example"), Answer(Status.DATA, (b"\xc0\0\2\1",), 10))
        resolver.is_at_fault(NOW, "timeout")
        with closing(Probe(resolver)) as probe:
            for clock.now in (NOW + 58, NOW + 61):
                probe.step()
        assert asking.ask("e.example", Type.A, clock.now + 20).records == (b"\xc0\0\2\1",)


@pytest.mark.outside
def test_a_probe_takes_no_answer_but_its_own() -> None:
    clock = Watch()
    with mute() as (server, address), closing(Probe(Resolver([address], clock=clock))) as probe:
        resolver = probe._resolver
        resolver.is_at_fault(NOW, "timeout")
        probe.step()
        query, peer = server.recvfrom(4096)
        for forged in (b"", query, bytes([query[0] ^ 1, query[1], 0x81, 0x80]) + query[4:]):
            server.sendto(forged, peer)
        assert select.select([probe._sent[0].sock], [], [], 10)[0]
        for _ in range(10):
            clock.now += 0.01
            assert probe.step() is None
        assert resolver.silence.since == NOW


@pytest.mark.outside
def test_probes_leave_no_descriptors() -> None:
    """At most five seconds of them are open, and none once a nameserver has answered."""
    clock = Watch()
    with mute() as (server, address), unused_port() as other:
        resolver = Resolver([address, other], clock=clock)
        probe = Probe(resolver)
        resolver.is_at_fault(NOW, "timeout")
        for clock.now in (NOW + second for second in range(100)):
            probe.step()
        assert len(probe._sent) <= 2 * 6
        answer_all(server)
        until(lambda: probe.step() or resolver.silence.since is None, 10, "the answer has arrived")
        assert len(probe._sent) == 0


@pytest.mark.outside
def test_a_nameserver_that_is_new_in_resolv_conf_ends_the_silence(tmp_path: Path) -> None:
    clock = Watch()
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.9\n")
    resolver = Resolver(resolv_conf=path, clock=clock)
    resolver.by_health()
    resolver.is_at_fault(NOW, "timeout")
    path.write_text("nameserver 127.0.0.10\nnameserver 127.0.0.11\n")
    clock.now += 10
    with closing(Probe(resolver)) as probe:
        probe.step()
    assert [str(server) for server in resolver.nameservers()] == ["127.0.0.10", "127.0.0.11"]


@contextmanager
def workers(address: Nameserver, clock: Watch, number: int = 2) -> Iterator[tuple[list[Resolver], list[Probe]]]:
    """Workers of one host, each with its own view."""
    with closing(ReportFile()) as file:
        resolvers = [Resolver([address], clock=clock) for _ in range(number)]
        probes = [Probe(resolver, file.of(slot)) for slot, resolver in enumerate(resolvers)]
        yield resolvers, probes
        for probe in probes:
            probe.close()


@pytest.mark.outside
def test_one_worker_finds_the_silence_and_in_none_of_them_a_message_waits_after_its_minute() -> None:
    clock = Watch()
    with mute() as (_, address), workers(address, clock) as (resolvers, probes):
        resolvers[0].is_at_fault(NOW, "timeout")
        for clock.now in (NOW + second for second in range(61)):
            changes = [probe.step() for probe in probes]
            assert [bool(change) for change in changes] == [clock.now == NOW, False], "the log is told once"
        assert resolvers[1].silence.spares_waiting(clock.now)
        with closing(Channel(resolvers[1])) as asking:
            answer = asking.ask("e.example", Type.TXT, clock.now + 20)
        assert (answer.status, answer.local_failure) == (Status.FAILED, True)


@pytest.mark.outside
def test_each_worker_sees_the_end_by_itself_and_the_last_one_has_it_logged() -> None:
    clock = Watch()
    with mute() as (server, address), workers(address, clock, 3) as (resolvers, probes):
        resolvers[0].is_at_fault(NOW, "timeout")
        for clock.now in (NOW + second for second in range(5)):
            for probe in probes:
                probe.step()
        answer_all(server)
        ends = []
        for probe, resolver in zip(probes, resolvers, strict=True):
            until(lambda p=probe, r=resolver: ends.append(p.step()) or r.silence.since is None, 10, "it has heard")
        assert [change for change in ends if change] == [Change(over=True, seconds=4.0, reason="")]
        assert [probe.step() for probe in probes] == [None] * 3, "it does not begin anew"


@pytest.mark.outside
def test_a_worker_that_is_cut_off_alone_does_not_keep_others_from_asking() -> None:
    clock = Watch()
    with mute() as (server, address), unused_port() as away, workers(address, clock) as (resolvers, probes):
        cut_off = resolvers[0]
        cut_off._servers = [type(cut_off._servers[0])(away)]  # its packets go astray, and it asks the same nameserver
        cut_off.nameservers = lambda: (address,)  # type: ignore[method-assign]
        cut_off.is_at_fault(NOW, "timeout")
        for clock.now in (NOW + second for second in range(70)):
            probes[0].step()
            until(lambda: probes[1].step() or answer_all(server) == 0, 10, "its probe is answered")
            assert not resolvers[1].silence.spares_waiting(clock.now)
        assert resolvers[0].silence.spares_waiting(clock.now)
        assert resolvers[1].silence.since is None


@pytest.mark.outside
def test_a_worker_that_ends_tells_of_no_silence() -> None:
    clock = Watch()
    with mute() as (_, address), workers(address, clock) as (resolvers, probes):
        resolvers[0].is_at_fault(NOW, "timeout")
        probes[0].step()
        probes[0].withdraw()
        probes[1].step()
        assert resolvers[1].silence.since is None
