"""Reloads under load: nothing is refused, cut or left without a verdict, and each session keeps its policy."""

import json
import os
import signal
import time
from contextlib import ExitStack, suppress

import pytest

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.load import Load
from lab.milterclient import MilterClient
from lab.milterwire import MilterError
from lab.processes import free_port, group_members, patience, until
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    PLAIN,
    NameServer,
    ask,
    changed,
    children,
    inet_socket,
    ini,
    verdict,
    wait_for_workers,
)

RELOADS = 10


def reload(daemon: SpfmilterDaemon, text: str) -> None:
    """Give it other settings and wait until they serve."""
    ready = sum("READY=1" in note for note in daemon.notifications())
    daemon.rewrite(text)
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_notification("READY=1", count=ready + 1)


def greeted(address: str) -> MilterClient:
    """A session before its first message."""
    mta = MilterClient(address, timeout=10)
    mta.greet(CLIENT)
    return mta


def said(mta: MilterClient, sender: str = FAIL) -> str:
    """The text that refuses a message."""
    return " ".join(mta.deliver(sender, ["<bob@example.net>"]).reply.lines)


def refused(address: str) -> bool:
    """Whether no process listens there."""
    try:
        MilterClient(address).close()
    except MilterError:
        return True
    return False


@pytest.mark.parametrize("messages", [4_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_ten_reloads_under_load(dns: NameServer, messages: int) -> None:
    """Each generation says its number in its refusals: so old and new sessions show whose policy they follow."""
    command = changed({"daemon.fleet.RELOAD_INTERVAL": 0.1, "daemon.fleet.MAX_OLD": RELOADS + 1})
    address = inet_socket()
    texts = [ini(address, dns.address, reply=f"fail = generation {number}.") for number in range(RELOADS + 1)]
    with (
        SpfmilterDaemon(texts[0], command=command) as daemon,
        Load(address, PLAIN, connections=32, per_session=4) as load,
        ExitStack() as sessions,
    ):
        old: list[MilterClient] = []
        for number in range(1, RELOADS + 1):
            load.wait_for(messages * number // (RELOADS + 2))
            old.append(sessions.enter_context(greeted(address)))
            reload(daemon, texts[number])
            assert load.at_work
            new = sessions.enter_context(greeted(address))
            assert f"generation {number}." in said(new)
            for generation, session in enumerate(old):
                assert f"generation {generation}." in said(session)
        load.wait_for(messages)
        tally = load.stop()
        sessions.close()
        until(lambda: len(children(daemon)) == 2, 10, lambda: f"the old generations' end: {daemon.log()[-2000:]}")
        assert daemon.log().count("reloaded socket=") == RELOADS
        assert "worker exited unexpectedly" not in daemon.log()
    print(f"\n{RELOADS} reloads: {tally}")
    assert tally.offered == tally.verdict_count >= messages
    assert not tally.refused
    assert tally.cuts == []
    expected = {mail.sender: "mail:550" if mail.sender == FAIL else "eom:continue" for mail in PLAIN}
    assert {tuple(kind.rsplit(" ", 1)) for kind in tally.by_sender} == set(expected.items())


def test_a_connection_that_has_not_spoken_yet_survives_a_reload(dns: NameServer) -> None:
    """It is accepted by a worker of the old generation, which must wait for it although no session has begun."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon, ExitStack() as stack:
        silent = [stack.enter_context(MilterClient(address, timeout=10)) for _ in range(20)]
        ask(address)  # the queue is first in, first out: those before this one have been accepted
        reload(daemon, ini(address, dns.address, policy="mode = monitor"))
        for mta in silent:
            mta.greet(CLIENT)
        assert [verdict(mta.deliver(PASS, ["<bob@example.net>"])) for mta in silent] == ["continue"] * 20


def test_a_connection_between_two_smtp_sessions_survives_a_reload(dns: NameServer) -> None:
    """An MTA that sends QUIT_NC keeps the connection for its next client."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon, greeted(address) as mta:
        assert verdict(mta.deliver(PASS, ["<bob@example.net>"])) == "continue"
        mta.quit_nc()
        reload(daemon, ini(address, dns.address, policy="mode = monitor"))
        mta.connect(address=CLIENT)
        mta.helo("mail.example")
        assert verdict(mta.deliver(FAIL, ["<bob@example.net>"])) == "550"


def test_a_bad_file_keeps_the_old_settings_and_says_so(dns: NameServer) -> None:
    address = inet_socket()
    good = ini(address, dns.address)
    with SpfmilterDaemon(good) as daemon:
        before = wait_for_workers(daemon, 2)
        reload(daemon, ini(address, dns.address, mailfrom="x = y", policy="mode = perhaps"))
        assert "reload refused: 2 problems" in daemon.notifications()[-1]
        daemon.wait_for_log(r"configuration problem .*mode.*perhaps")
        daemon.wait_for_log(r"error: configuration problem .*mailfrom")
        daemon.wait_for_log("configuration rejected, old settings stay in force")
        assert wait_for_workers(daemon, 2) == before
        assert ask(address, FAIL) == "550"
        daemon.ini_path.unlink()
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("reload refused: 1 problem in ", count=1)
        assert ask(address, FAIL) == "550"
        os.mkfifo(daemon.ini_path)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("reload refused: .* is a named pipe", count=1)
        reload(daemon, ini(address, dns.address, policy="mode = monitor"))
        assert "refused" not in daemon.notifications()[-1]
        assert ask(address, FAIL) == "continue"


def test_a_service_and_the_languages_come_into_force_by_reload() -> None:
    """They are used in refusals alone. Firma.cn is looked at by its name, and the client by its own in HELO."""
    address = inet_socket()
    bulk = "include = spf.bulk.example\nhosts = bulk.example"
    zone: ZoneData = {
        "firma.cn": [{"TXT": "v=spf1 mx -all"}],
        "spf.bulk.example": [{"TXT": f"v=spf1 ip4:{CLIENT} -all"}],
        "other.example": [{"TXT": "v=spf1 -all"}],
    }

    def reply() -> str:
        with MilterClient(address, timeout=10) as mta:
            mta.greet(CLIENT, "out.bulk.example")
            return " ".join(mta.mail("<a@firma.cn>", "SMTPUTF8").lines)

    with ScriptedDNS(zone) as dns, SpfmilterDaemon(ini(address, dns.address)) as daemon:
        assert "include:spf.bulk.example" not in reply()
        reload(daemon, ini(address, dns.address) + f"[service:Bulk Mail]\n{bulk}\n")
        told = reply()
        assert "add include:spf.bulk.example" in told
        assert "send through Bulk Mail" in told
        reload(daemon, ini(address, dns.address, reply="languages = auto") + f"[service:Other]\n{bulk}\n")
        told = reply()
        assert "Message refused:" in told
        assert "Other" in told
        assert "Bulk Mail" not in told
        assert "\u90ae\u4ef6" in told, "mail, in Chinese"
        none = f"[service:Other]\n{bulk.replace('spf.bulk', 'other')}\n"
        reload(daemon, ini(address, dns.address) + none)
        assert "include:other.example" not in reply(), "its record does not let the client send"


def test_what_needs_a_restart_is_named_every_time(dns: NameServer) -> None:
    address, metrics = inet_socket(), f"127.0.0.1:{free_port()}"
    other = ini(
        inet_socket(), dns.address, milter="socket_mode = 0666\nsocket_group = mail", metrics=f"listen = {metrics}"
    )
    keys = ("milter key=socket ", "milter key=socket_mode", "milter key=socket_group", "metrics key=listen")
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        for times in (1, 2, 3):
            reload(daemon, other)
            counts = [daemon.log().count(f"setting needs a restart section={key}") for key in keys]
            assert counts == [times] * len(keys), daemon.log()
        assert ask(address) == "continue"
        reload(daemon, ini(address, dns.address))
        assert daemon.log().count("needs a restart") == 3 * len(keys)
        assert daemon.log().count('fix="systemctl restart spfmilter"') == 3 * (len(keys) - 1)
        assert daemon.log().count('fix="systemctl restart spfmilter, then spfmilter attach --apply"') == 3


def test_the_number_of_workers_and_the_log_change_by_reload(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        wait_for_workers(daemon, 2)
        for number in (4, 1, 3):
            reload(daemon, ini(address, dns.address, milter=f"workers = {number}"))
            wait_for_workers(daemon, number)
            assert ask(address) == "continue"
        reload(daemon, ini(address, dns.address, log="format = json"))
        before = len(daemon.log())
        ask(address)
        daemon.wait_for_log(r'"event": "message"')
        fresh = [line for line in daemon.log()[before:].splitlines() if "pass.example" in line]
        assert json.loads(fresh[0])["spf_mailfrom"] == "pass"
        reload(daemon, ini(address, dns.address, log="level = error"))
        until(lambda: len(children(daemon)) == 2, 10, "the old generation's end")
        before = len(daemon.log())
        assert ask(address) == "continue"
        reload(daemon, ini(address, dns.address))
        assert "message" not in daemon.log()[before:]


def test_a_second_sighup_during_a_reload_is_heeded(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address, reply="fail = first.")) as daemon:
        daemon.rewrite(ini(address, dns.address, reply="fail = second."))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("RELOADING=1")
        daemon.rewrite(ini(address, dns.address, reply="fail = third."))
        daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=3)
        with greeted(address) as mta:
            assert "third." in said(mta)


def test_sighup_while_draining_changes_nothing(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        with greeted(address) as mta:
            daemon.signal(signal.SIGTERM)
            daemon.wait_for_notification("STOPPING=1")
            daemon.rewrite(ini(address, dns.address, policy="mode = monitor"))
            daemon.signal(signal.SIGHUP)
            assert said(mta).startswith("550"), "an open session goes on"
            until(lambda: refused(address), 2, "connections are refused while the daemon drains")
            mta.quit()
        assert daemon.process.wait(120) == 0
        log = daemon.log()
    assert "reloaded" not in log
    assert "disconnected" not in log


def test_sigterm_gives_drain_timeout_to_sessions_of_an_old_generation_too(dns: NameServer) -> None:
    """Their worker drains since the reload: its time for the stop begins with the stop."""
    address = inet_socket()
    text = ini(address, dns.address, milter="drain_timeout = 8s")
    with SpfmilterDaemon(text) as daemon, greeted(address) as old, greeted(address) as stays:
        reload(daemon, text)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > 8.5, 12, "longer than drain_timeout")
        stopped = time.monotonic()
        daemon.signal(signal.SIGTERM)
        daemon.wait_for_notification("STOPPING=1")
        assert said(old).startswith("550")
        old.quit()
        assert daemon.process.wait(120) == 0
        seconds = time.monotonic() - stopped
        log = daemon.log()
        with pytest.raises(MilterError):
            said(stays)
    assert 8.0 <= seconds < 10.0 * patience()
    assert "sessions disconnected after drain_timeout sessions=1" in log


def test_the_supervisors_own_start_is_not_lost_to_an_early_sighup(dns: NameServer) -> None:
    """A reload that is asked for before the first workers serve."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        reload(daemon, ini(address, dns.address))
        for pid in children(daemon):
            with suppress(ProcessLookupError):  # one that was replaced may end at this moment
                os.kill(pid, signal.SIGKILL)
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.log().count("reloaded") == 2, 10, daemon.log)
        assert ask(address) == "continue"
        assert set(wait_for_workers(daemon, 2)) <= set(group_members(daemon.process.pid))


def test_a_storm_of_reloads_while_sessions_stay_open(dns: NameServer) -> None:
    """The number of processes is bounded, the first reload is in force at once, and the newest settings win."""
    address = inet_socket()
    texts = [ini(address, dns.address, milter="drain_timeout = 1s", reply=f"fail = {n}.") for n in range(40)]
    command = changed({"daemon.fleet.RELOAD_INTERVAL": 0.2})
    most = 0
    with SpfmilterDaemon(texts[0], command=command) as daemon, ExitStack() as sessions:
        asked = sessions.enter_context(greeted(address))
        reload(daemon, texts[1])
        for text in texts[2:]:
            done = daemon.log().count(" reloaded ")  # before the signals: all of them may be heeded at once
            daemon.rewrite(text)
            for _ in range(20):
                daemon.signal(signal.SIGHUP)
                most = max(most, len(children(daemon)))
            sessions.enter_context(greeted(address))
            # The storm goes on until some have been done; not each, since they are done as one.
            until(lambda done=done: daemon.log().count(" reloaded ") > done, 20, "a reload")
        until(lambda: " 39." in said_anew(address), 20, "the newest settings are in force")
        assert most <= 10 * 2
        assert "reload waiting draining=8" in daemon.log()
        with pytest.raises(MilterError):
            said(asked)
        assert "worker exited unexpectedly" not in daemon.log()
    print(f"\n{most} workers at most, {daemon.log().count(' reloaded ')} reloads for {38 * 20} signals")


def test_the_second_of_two_reloads_waits_while_sessions_are_open_and_no_longer(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address, reply="fail = first."), command=patient()) as daemon:
        with greeted(address) as mta:
            reload(daemon, ini(address, dns.address, reply="fail = second."))
            daemon.rewrite(ini(address, dns.address, reply="fail = third."))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_log("reload waiting draining=1")
            assert " second." in said_anew(address)
            assert " first." in said(mta)
        until(lambda: " third." in said_anew(address), 20, "the last generation has gone, and the reload is done")


def patient() -> tuple[str, ...]:
    """The daemon with a pause between reloads that no test outlasts."""
    return changed({"daemon.fleet.RELOAD_INTERVAL": 3600.0})


def said_anew(address: str) -> str:
    """The text that refuses a message in a new session."""
    with greeted(address) as mta:
        return said(mta)
