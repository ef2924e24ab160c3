"""The socket between Postfix and the daemon: of each kind, attached by `spfmilter attach`, and with the daemon away."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.daemon import SpfmilterDaemon
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import HUNG, free_port, has_ipv6, until
from lab.smtp import Answer, SmtpDialogue
from tests.mta.site import HELO, MESSAGE, Site
from tests.mta.zones import LISTED, UNLISTED
from tests.values import at_mail


def refusal(server: Postfix) -> Answer:
    """What a forged sender is told at MAIL FROM."""
    return answer(server, UNLISTED)


def answer(server: Postfix, client: str) -> Answer:
    """What a client is told at MAIL FROM."""
    with SmtpDialogue("127.0.0.1", server.port) as smtp:
        smtp.xclient(addr=client, name="[UNAVAILABLE]")
        smtp.ehlo(HELO)
        return smtp.mail("alice@mail163.example")


def attach(ini: Path, server: Postfix, *options: str) -> str:
    """`spfmilter attach` for this Postfix."""
    done = run("attach", ini, server, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(command: str, ini: Path, server: Postfix, *options: str) -> subprocess.CompletedProcess[str]:
    """`spfmilter attach` or `detach` for this Postfix."""
    words = [sys.executable, "-m", "spfmilter", command, "-c", str(ini)]
    place = ["--postfix-config", str(server.config_directory)]
    return subprocess.run(  # noqa: S603 - no shell, own arguments
        [*words, *place, *options], check=False, capture_output=True, text=True, timeout=HUNG
    )


def test_attach_connects_a_chrooted_postfix_that_runs_to_a_unix_socket_in_its_queue_directory(name_server: Nsd) -> None:
    """The path is written so that it is right inside the chroot and outside; the socket is for Postfix's group."""
    server = Postfix(chroot=True)
    place = server.queue_directory / "spfmilter"
    place.mkdir()
    ini = (
        f"[milter]\nsocket = unix:{place}/socket\nsocket_group = postfix\n"
        f"[dns]\nnameservers = {name_server.address}\n[log]\nformat = json\n"
    )
    with SpfmilterDaemon(at_mail(ini)) as daemon, server:
        assert refusal(server).code == 250, "not attached yet"
        assert "spfmilter_socket = unix:spfmilter/socket" in attach(daemon.ini_path, server, "--apply")
        until(lambda: refusal(server).code == 550, 10, lambda: f"Postfix is attached:\n{server.log()}{daemon.log()}")
        assert (place / "socket").stat().st_mode & 0o777 == 0o660


def test_attach_follows_a_change_of_the_socket_and_detach_takes_it_back(name_server: Nsd) -> None:
    """The former address, where nothing listens any more, would cost every good message a 451."""
    former, present = free_port(), free_port()
    rest = at_mail(f"[dns]\nnameservers = {name_server.address}\n[log]\nformat = json\n")
    with (
        Postfix() as server,
        SpfmilterDaemon(f"[milter]\nsocket = inet:{former}@127.0.0.1\n{rest}") as daemon,
    ):
        attach(daemon.ini_path, server, "--apply")
        until(lambda: answer(server, LISTED).code == 250 and refusal(server).code == 550, 10, server.log)

        daemon.kill()
        daemon.rewrite(f"[milter]\nsocket = inet:{present}@127.0.0.1\n{rest}")
        refused = run("attach", daemon.ini_path, server, "--apply")
        assert refused.returncode == 69
        assert f"inet:127.0.0.1:{present}: Connection refused" in refused.stderr
        daemon.start()
        until(lambda: answer(server, LISTED).code == 451, 10, server.log)
        done = attach(daemon.ini_path, server, "--apply")
        assert f"spfmilter_socket = inet:127.0.0.1:{present} (before: inet:127.0.0.1:{former})" in done
        until(lambda: answer(server, LISTED).code == 250, 10, lambda: f"good mail is taken:\n{server.log()}")
        assert refusal(server).code == 550
        assert "nothing to change" in attach(daemon.ini_path, server, "--apply")

        detached = run("detach", daemon.ini_path, server, "--apply")
        assert detached.returncode == 0, detached.stderr
        until(lambda: refusal(server).code == 250, 10, server.log)


def _as_default(server: Postfix, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds this Postfix's settings where Postfix looks by default."""
    bound = 'mount --bind "$0" /etc/postfix && exec "$@"'
    words = ["unshare", "--mount", "sh", "-c", bound, str(server.config_directory), *command]
    return subprocess.run(words, check=False, capture_output=True, text=True, timeout=HUNG)  # noqa: S603 - own arguments


def test_attach_reloads_the_default_instance_while_another_one_is_stopped(name_server: Nsd) -> None:
    """Without `-c`, `postfix status` and `postfix reload` go to every instance, and fail because of that one."""
    stopped = Postfix(main_cf={"multi_instance_enable": "yes", "multi_instance_name": "postfix-out"})
    instances = {
        "multi_instance_enable": "yes",
        "multi_instance_wrapper": "${command_directory}/postmulti -p --",
        "multi_instance_directories": str(stopped.config_directory),
    }
    ini = f"[milter]\nsocket = inet:{free_port()}@127.0.0.1\n[dns]\nnameservers = {name_server.address}\n"
    try:
        with Postfix(main_cf=instances) as server, SpfmilterDaemon(at_mail(ini)) as daemon:
            if (tried := _as_default(server, "true")).returncode:
                pytest.skip(f"no mount of one's own: {tried.stderr}")
            assert _as_default(server, "/usr/sbin/postfix", "status").returncode == 1
            words = [sys.executable, "-m", "spfmilter"]
            done = _as_default(server, *words, "attach", "-c", str(daemon.ini_path), "--apply")
            assert done.stdout.endswith("done: postfix -c /etc/postfix reload\n"), done
            until(lambda: refusal(server).code == 550, 10, server.log)

            daemon.kill()
            refused = _as_default(server, *words, "attach", "-c", str(daemon.ini_path), "--apply", "--former", "unix:a")
            assert (refused.returncode, refused.stdout) == (69, "")
            assert "Postfix was left as it is" in refused.stderr
            done = _as_default(server, *words, "detach", "-c", str(daemon.ini_path), "--apply")
            assert done.stdout.endswith("done: postfix -c /etc/postfix reload\n"), done
            until(lambda: refusal(server).code == 250, 10, server.log)
    finally:
        stopped.stop()


def test_a_former_address_written_by_hand_is_said_and_replaced_on_request(name_server: Nsd) -> None:
    by_hand = f"inet:127.0.0.1:{free_port()}"
    ini = f"[milter]\nsocket = inet:{free_port()}@127.0.0.1\n[dns]\nnameservers = {name_server.address}\n"
    with Postfix(smtpd_milters=by_hand) as server, SpfmilterDaemon(ini) as daemon:
        told = run("attach", daemon.ini_path, server, "--apply")
        assert told.returncode == 0
        assert f"warning: smtpd_milters: {by_hand}: Connection refused. Postfix defers every message" in told.stderr
        assert f"spfmilter attach --apply --former {by_hand}" in told.stderr
        done = run("attach", daemon.ini_path, server, "--apply", "--former", by_hand)
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: answer(server, LISTED).code == 250, 10, server.log)


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")
def test_an_ipv6_socket_serves_as_well(name_server: Nsd) -> None:
    with Site(name_server, family="inet6") as site:
        assert site.send("v6socket@mail163.example").answer.code == 550
        assert "spfmilter_socket = inet:[::1]:" in attach(site.daemon.ini_path, site.postfix)


@pytest.fixture(scope="module")
def mortal(name_server: Nsd) -> Iterator[Site]:
    """A site whose daemon may come and go; Postfix is told to defer meanwhile."""
    with Site(name_server) as running:
        yield running


def test_while_the_daemon_is_down_mail_is_deferred_and_afterwards_checked_again(mortal: Site) -> None:
    assert mortal.send("before@mail163.example").answer.code == 550
    with mortal.connect() as smtp:
        mortal.daemon.kill()
        assert smtp.mail("cut@mail163.example").code == 451
    assert mortal.send("down@mail163.example", LISTED).answer.code == 451
    mortal.postfix.wait_for_log(r"connect to Milter service inet:127\.0\.0\.1:\d+: Connection refused")
    mortal.daemon.start()
    assert mortal.send("after@mail163.example").answer.code == 550
    assert mortal.send("after@mail163.example", LISTED).accepted


def test_at_sigterm_the_message_under_way_is_finished(name_server: Nsd) -> None:
    with Site(name_server) as site:
        with site.connect(LISTED) as smtp:
            assert smtp.mail("last@mail163.example").code == 250
            site.daemon.signal(signal.SIGTERM)
            site.daemon.wait_for_notification("STOPPING=1")
            assert smtp.rcpt("bob@example.net").code == 250
            assert smtp.data(MESSAGE).code == 250
            smtp.quit()
        assert site.daemon.stop(10) == 0
        [message] = site.postfix.delivered()
        assert "spf=pass" in str(message.message["Authentication-Results"])


def test_while_the_last_message_is_finished_new_clients_are_deferred_at_once(name_server: Nsd) -> None:
    with Site(name_server) as site, site.connect(LISTED) as smtp:
        smtp.mail("last@mail163.example")
        site.daemon.signal(signal.SIGTERM)

        def is_deferred() -> bool:
            with site.connect(LISTED) as late:
                return late.mail("late@mail163.example").code == 451

        until(is_deferred, 20, "the workers have closed the socket")
        assert site.daemon.process.poll() is None
