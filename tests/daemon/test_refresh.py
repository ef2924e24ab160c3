"""From a token to what the workers forget: by the page of this host, and by other hosts."""

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import until
from spfmilter.daemon import refreshboard
from spfmilter.daemon.refreshboard import RefreshBoard, RefreshReader
from spfmilter.daemon.refreshtask import HostsTask, PageTask, Refresher, tasks
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.fresh import Fresh, digest
from spfmilter.model import Identity, Result
from spfmilter.refresh import pagelink
from spfmilter.refresh.hosts import HostsError
from spfmilter.refresh.limits import RefreshOutcome
from spfmilter.settings import Settings, parse
from tests.dns.test_cache import Clock
from tests.values import settings
from tests.web.site import CLIENT, SECRET, token

KEY, ANSWER = (Type.A, "x.example"), Answer(Status.DATA, (b"\xc0\0\2\1",), 3600)


# -- the workers' side -------------------------------------------------------------------------------------------------


def fresh(until: float, number: int = 1) -> Fresh:
    """Fresh answers: x.example is gone."""
    names = {(Type.A, f"{n}.example"): "" for n in range(number - 1)}
    return Fresh(domain="x.example", digests={KEY: digest(Answer(Status.NO_NAME)), **names}, until=until)


def worker(board: RefreshBoard) -> tuple[RefreshReader, Engine, Clock]:
    """A worker's view of the board, and its caches, which hold an answer."""
    clock = Clock()
    engine = Engine(settings("[dns]\nnameservers = 127.0.0.1:9\n").dns, clock=clock)
    engine.answers.put(KEY, ANSWER)
    return RefreshReader(board, engine, clock), engine, clock


def test_a_worker_forgets_what_is_outdated_also_what_comes_late() -> None:
    board = RefreshBoard()
    reader, engine, clock = worker(board)
    reader.look()
    assert engine.answers.get(KEY) is not None
    board.add(fresh(clock.now + 30), clock.now)
    reader.look()
    assert engine.answers.get(KEY) is None
    engine.answers.put(KEY, ANSWER)  # by an evaluation that began before
    clock.now += 29
    reader.look()
    assert engine.answers.get(KEY) is None
    engine.answers.put(KEY, ANSWER)
    clock.now += 2
    reader.look()
    assert engine.answers.get(KEY) is not None, "what was fresh then is no measure any more"


def test_the_board_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refreshboard, "_MAX_QUESTIONS", 10)
    board = RefreshBoard()
    for number in range(5):
        board.add(fresh(100.0 + number, 4), 0.0)
    assert board.number() == 2
    board.add(fresh(500.0, 4), 104.0)
    assert board.number() == 1, "those that have ended leave"


def test_bytes_that_are_no_answers_cost_nothing() -> None:
    board = RefreshBoard()
    reader, engine, _ = worker(board)
    board.publish(b"{", 1)
    reader.look()
    reader.look()
    assert engine.answers.get(KEY) is not None


# -- the storage process's side ----------------------------------------------------------------------------------------

ZONE: dict[str, list[Any]] = {
    "right.example": [{"TXT": f"v=spf1 ip4:{CLIENT} -all"}],
    "wrong.example": [{"TXT": "v=spf1 -all"}],
    "dead.example": [{"RCODE": "SERVFAIL"}],
}


@pytest.fixture
def dns() -> Iterator[ScriptedDNS]:
    with ScriptedDNS(ZONE) as running:
        yield running


def site(dns: ScriptedDNS, folder: Path, more: str = "") -> Settings:
    """Settings with a help page."""
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET + "\n")
    return parse(
        f"[dns]\nnameservers = {dns.address}\n[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n"
        f"[web]\nsecret_file = {secret}\n[state]\nfolder = {folder}\n{more}"
    )


@pytest.mark.outside
@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ({"domain": "right.example"}, RefreshOutcome.REFRESHED),
        ({"domain": "Right.example", "identity": Identity.HELO}, RefreshOutcome.REFRESHED),
        ({"domain": "right.example", "result": Result.TEMPERROR}, RefreshOutcome.REFRESHED),
        ({"domain": "right.example", "result": Result.PASS}, RefreshOutcome.INVALID),
        ({"domain": "right.example", "time": 1}, RefreshOutcome.INVALID),  # long ago
        ({"domain": "wrong.example"}, RefreshOutcome.NOT_PASSING),
        ({"domain": "dead.example"}, RefreshOutcome.NOT_PASSING),
        ({"domain": "none.example"}, RefreshOutcome.NOT_PASSING),
        ("right.example", RefreshOutcome.INVALID),
        ("", RefreshOutcome.INVALID),
        ("\x1b[31m\0" * 100, RefreshOutcome.INVALID),
        (None, RefreshOutcome.INVALID),
    ],
    ids=str,
)
def test_only_a_signed_case_that_passes_now_counts(
    dns: ScriptedDNS, tmp_path: Path, case: dict[str, Any] | str | None, outcome: RefreshOutcome
) -> None:
    """None: another signature."""
    board = RefreshBoard()
    text = token("right.example")[:-3] + "AAA" if case is None else token(**case) if isinstance(case, dict) else case
    assert Refresher(site(dns, tmp_path), board).refresh(text, "help page") is outcome
    assert board.number() == (outcome is RefreshOutcome.REFRESHED)


@pytest.mark.outside
def test_a_case_is_not_evaluated_again_at_once_and_a_flood_is_bounded(dns: ScriptedDNS, tmp_path: Path) -> None:
    refresher = Refresher(site(dns, tmp_path), RefreshBoard())
    now = int(time.time())
    same = token("right.example", time=now)
    assert {refresher.refresh(same, "help page") for _ in range(20)} == {RefreshOutcome.REFRESHED}
    assert dns.queries["right.example", "TXT"] == 1
    flood = {refresher.refresh(token("right.example", time=now - n), "help page") for n in range(1, 60)}
    assert flood == {RefreshOutcome.REFRESHED, RefreshOutcome.LIMITED}
    assert dns.queries["right.example", "TXT"] <= 30


@pytest.mark.outside
def test_a_changed_secret_counts_without_a_restart(dns: ScriptedDNS, tmp_path: Path) -> None:
    chosen = site(dns, tmp_path)
    refresher = Refresher(chosen, RefreshBoard())
    (tmp_path / "secret").write_text("another-secret-that-signs-nothing-here\n")
    assert refresher.refresh(token("right.example"), "help page") is RefreshOutcome.INVALID
    (tmp_path / "secret").write_text(f"another-secret-that-signs-nothing-here\n{SECRET}\n")
    assert refresher.refresh(token("right.example"), "help page") is RefreshOutcome.REFRESHED


class Written:
    """Other hosts that are written down. They are away where there is a reason."""

    name = "a server"

    def __init__(self, *come: str, away: str = "") -> None:
        self.come, self.away = list(come), away
        self.sent: list[str] = []

    def send(self, text: str) -> None:
        """Take it."""
        if self.away:
            raise HostsError(self.away)
        self.sent.append(text)

    def receive(self) -> Sequence[str]:
        """What has come, with our own."""
        if self.away:
            raise HostsError(self.away)
        found, self.come = [*self.come, *self.sent], []
        return found

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.outside
def test_what_passes_by_the_page_is_handed_on_and_what_comes_is_evaluated(dns: ScriptedDNS, tmp_path: Path) -> None:
    chosen, board, ending = site(dns, tmp_path), RefreshBoard(), threading.Event()
    refresher, hosts = Refresher(chosen, board), Written()
    there = HostsTask(chosen, refresher, opened=lambda _: hosts)
    page = PageTask(chosen, refresher, there)
    threads = [threading.Thread(target=task.run, args=(ending,)) for task in (page, there)]
    for thread in threads:
        thread.start()
    try:
        until((tmp_path / pagelink.FILE).exists, 10, "listening")
        mine, wrong = token("right.example"), token("wrong.example")
        assert pagelink.ask(str(tmp_path), mine) is RefreshOutcome.REFRESHED
        assert pagelink.ask(str(tmp_path), wrong) is RefreshOutcome.NOT_PASSING
        assert pagelink.ask(str(tmp_path), "x") is RefreshOutcome.INVALID
        until(lambda: hosts.sent == [mine], 10, "handed on")
        hosts.come = [token("right.example", time=int(time.time()) - 9), wrong, "x"]
        until(lambda: board.number() == 2, 10, "evaluated")
        assert hosts.sent == [mine], "what has come is not handed on"
    finally:
        ending.set()
        for thread in threads:
            thread.join()


@pytest.mark.outside
def test_a_flood_of_connections_to_the_socket_passes(dns: ScriptedDNS, tmp_path: Path) -> None:
    """Silent ones, ones that leave, and ones that send anything. None keeps a place for longer than a second."""
    ending, board = threading.Event(), RefreshBoard()
    chosen = site(dns, tmp_path)
    task = PageTask(chosen, Refresher(chosen, board), None)
    thread = threading.Thread(target=task.run, args=(ending,))
    thread.start()
    try:
        path = tmp_path / pagelink.FILE
        until(path.exists, 10, "listening")
        with ExitStack() as held:
            for number in range(300):
                one = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                one.connect(str(path))  # waits where too many wait already
                if number % 3 == 1:
                    with suppress(BrokenPipeError):  # its second is over, on a busy machine
                        one.send((b"\xff", b"x" * 60_000, b"a.b" * 600)[number % 9 // 3])
                elif number % 3 == 2:
                    one.close()
            assert pagelink.ask(str(tmp_path), token("right.example")) in {*RefreshOutcome, None}
            until(
                lambda: pagelink.ask(str(tmp_path), token("right.example")) is RefreshOutcome.REFRESHED, 20, "answered"
            )
        assert board.number() >= 1
    finally:
        ending.set()
        thread.join()


@pytest.mark.outside
def test_a_server_that_is_away_costs_a_line(
    dns: ScriptedDNS, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    chosen, board = site(dns, tmp_path), RefreshBoard()
    hosts = Written(token("right.example", time=int(time.time()) - 9), away="gone")
    task = HostsTask(chosen, Refresher(chosen, board), opened=lambda _: hosts)
    for _ in range(3):
        task.hand_on(token("right.example"))
        task.step()
    assert [record.message for record in caplog.records] == ["corrected records not exchanged with other hosts"]
    hosts.away = ""
    task.step()
    until(lambda: board.number() == 1, 10, "evaluated")


@pytest.mark.outside
@pytest.mark.parametrize(
    ("more", "names"),
    [
        ("", ["help page link"]),
        ("url = redis://127.0.0.1:1/0\n", ["help page link", "other hosts"]),
        ("[journal]\nurl = postgresql+psycopg://u@127.0.0.1/x\n", ["help page link", "other hosts"]),
        ("[journal]\nurl = sqlite:////var/lib/x.db\n", ["help page link"]),
    ],
)
def test_the_tasks_that_the_settings_ask_for(dns: ScriptedDNS, tmp_path: Path, more: str, names: list[str]) -> None:
    assert [task.name for task in tasks(site(dns, tmp_path, more), RefreshBoard())] == names
