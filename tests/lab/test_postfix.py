"""The private Postfix receives, delivers, holds, bounces and asks a milter, and leaves nothing behind."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import postfix
from lab.postfix import Postfix
from lab.processes import has_ipv6, until
from lab.smtp import SmtpDialogue
from tests.lab.recording_milter import RecordingMilter

pytestmark = pytest.mark.skipif(bool(postfix.unavailable()), reason=postfix.unavailable() or "available")

MESSAGE = "From: Alice <alice@example.com>\nTo: bob@example.net\nSubject: Greetings\n\nHello.\n.\n"
REFUSAL = b"y550-5.7.23 first line\r\n550 5.7.23 second line\0"


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder for milter sockets that Postfix's user may enter; pytest's own temporary folders are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="lab-sockets-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def send(server: Postfix, recipient: str = "bob@example.net", **client: str) -> SmtpDialogue:
    """One message through the server; the dialogue, for its transcript."""
    with SmtpDialogue("127.0.0.1", server.port) as smtp:
        if client:
            assert smtp.xclient(**client).code == 220
        smtp.ehlo("host.example.com")
        if smtp.mail("alice@example.com").code == 250 and smtp.rcpt(recipient).code == 250:
            smtp.data(MESSAGE)
        smtp.quit()
    return smtp


def test_a_message_from_a_chosen_client_is_delivered_and_read_back() -> None:
    with Postfix() as server:
        send(server, addr="203.0.113.7", name="host.example.com")
        [first] = server.delivered()
        assert (first.sender, first.recipient) == ("alice@example.com", "bob@example.net")
        assert first.message["Subject"] == "Greetings"
        assert "from host.example.com (host.example.com [203.0.113.7])" in first.message["Received"]
        assert b"Hello.\n.\n" in first.raw
        send(server, "anyone@example.net", addr="2001:db8::7")
        [second] = server.delivered()
        assert second.recipient == "anyone@example.net"
        assert "[IPv6:2001:db8::7]" in second.message["Received"]
        server.wait_for_log(r"client=unknown\[2001:db8::7\]")
        until(lambda: not server.queue(), 10, "the queue is empty again")


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")
def test_it_answers_on_ipv6_too() -> None:
    with Postfix(hostname="mx6.example.net") as server, SmtpDialogue("::1", server.port) as smtp:
        assert smtp.greeting.text.startswith("mx6.example.net ESMTP")
        assert smtp.xclient(addr="192.0.2.1").code == 220


def test_mail_for_elsewhere_is_refused() -> None:
    with Postfix() as server:
        assert "< 550 5.1.2 <bob@example.org>" in "\n".join(send(server, "bob@example.org").transcript)
        relaying = send(server, "bob@example.org", addr="203.0.113.7").transcript
        assert "< 554 5.7.1 <bob@example.org>: Relay access denied" in relaying


def test_a_quarantined_message_is_held_and_can_be_read(sockets: Path) -> None:
    quarantine = {"E": [b"qlooks forged\0", b"c"]}
    with (
        RecordingMilter(sockets / "milter", quarantine),
        Postfix(smtpd_milters=f"unix:{sockets}/milter") as server,
    ):
        send(server)
        [held] = server.queue()
        assert held["queue_name"] == "hold"
        assert held["sender"] == "alice@example.com"
        assert "Subject: Greetings" in server.cat(held["queue_id"])
        # The milter's reason ("looks forged") is nowhere to be read: Postfix logs this instead.
        server.wait_for_log("milter-hold: END-OF-MESSAGE .*: (milter triggers HOLD action|looks forged)")


def test_an_xclient_login_reaches_milters_as_an_authenticated_user(sockets: Path) -> None:
    with RecordingMilter(sockets / "milter") as milter, Postfix(smtpd_milters=f"unix:{sockets}/milter") as server:
        send(server, addr="203.0.113.7", name="host.example.com", login="alice")
        server.delivered()
    assert milter.macros["M"]["{auth_authen}"] == "alice"
    assert milter.macros["M"]["{auth_type}"] == "XCLIENT"
    # Postfix tells milters of the real client first, hangs up, and tells them of the other one in a second session.
    assert [fields[0] for command, fields in milter.asked if command == "C"] == ["[127.0.0.1]", "host.example.com"]


def test_a_chrooted_smtpd_finds_the_socket_below_the_queue_directory() -> None:
    server = Postfix(smtpd_milters="unix:/lab/milter", chroot=True)
    (server.queue_directory / "lab").mkdir()
    with RecordingMilter(server.queue_directory / "lab" / "milter", {"M": [REFUSAL]}), server:
        assert "< 550-5.7.23 first line" in send(server).transcript


@pytest.mark.parametrize(("action", "code"), [("accept", 250), ("tempfail", 451), ("reject", 550)])
def test_a_milter_that_is_away_means_the_default_action(action: str, code: int) -> None:
    with Postfix(smtpd_milters="unix:/nowhere/milter", milter_default_action=action) as server:
        with SmtpDialogue("127.0.0.1", server.port) as smtp:
            smtp.ehlo("host.example.com")
            assert smtp.mail("alice@example.com").code == code
        server.wait_for_log(r"connect to Milter service unix:/nowhere/milter")


def test_a_sender_reads_the_refusal_in_the_bounce(sockets: Path) -> None:
    with (
        RecordingMilter(sockets / "milter", {"M": [REFUSAL]}),
        Postfix(smtpd_milters=f"unix:{sockets}/milter") as receiver,
        Postfix(
            hostname="out.example.com", domains=["example.com"], relayhost=f"[127.0.0.1]:{receiver.port}"
        ) as sender,
    ):
        send(sender)
        [bounce] = sender.delivered()
    assert (bounce.sender, bounce.recipient) == ("", "alice@example.com")
    report = bounce.message.get_body(("plain",))
    assert report is not None
    assert "550-5.7.23 first line 550 5.7.23 second line" in " ".join(report.get_content().split())


def test_a_route_takes_one_domain_to_the_other_server() -> None:
    with (
        Postfix() as receiver,
        Postfix(
            hostname="out.example.com",
            domains=["example.com"],
            routes={"example.net": f"smtp:[127.0.0.1]:{receiver.port}"},
            main_cf={"smtp_helo_name": "spoken.example.com"},
        ) as sender,
    ):
        send(sender)
        [message] = receiver.delivered()
        assert "from spoken.example.com" in message.message.get_all("Received", [])[0]
        sender.wait_for_log(r"relay=127\.0\.0\.1.*status=sent")


def test_deferred_mail_waits_in_the_queue_and_flush_tries_it_again() -> None:
    receiver = Postfix()
    with Postfix(domains=["example.com"], relayhost=f"[127.0.0.1]:{receiver.port}") as sender:
        send(sender)
        sender.wait_for_log("status=deferred")
        until(lambda: [entry["queue_name"] for entry in sender.queue()] == ["deferred"], 10, "the message is deferred")
        with receiver:
            sender.flush()
            assert receiver.delivered()[0].sender == "alice@example.com"


def test_its_end_leaves_no_process_and_no_file() -> None:
    with Postfix() as server:
        send(server)
        server.delivered()
        processes = server.processes()
        assert len(processes) >= 4, "master, qmgr, pickup, smtpd at least"
    assert not server.processes()
    assert not [pid for pid in processes if Path(f"/proc/{pid}/exe").exists()]
    assert not server.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        SmtpDialogue("127.0.0.1", server.port)


def test_a_failed_start_is_an_error_with_the_log_and_leaves_nothing() -> None:
    server = Postfix()
    with (
        socket.create_server(("127.0.0.1", server.port)),
        pytest.raises(RuntimeError, match=r"(?s)start ended with 1.*(Address already in use|startup failed)"),
    ):
        server.start()
    assert not server.folder.exists()
