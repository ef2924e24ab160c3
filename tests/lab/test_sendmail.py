"""The private Sendmail receives, delivers, holds, keeps and asks a milter, and leaves nothing behind."""

import base64
from pathlib import Path

import pytest

from lab import sendmail
from lab.processes import has_ipv6, until
from lab.sendmail import Sendmail
from lab.smtp import SmtpDialogue
from tests.lab.recording_milter import RecordingMilter

pytestmark = pytest.mark.skipif(bool(sendmail.unavailable()), reason=sendmail.unavailable() or "available")

MESSAGE = "From: Alice <alice@example.com>\nTo: bob@example.net\nSubject: Greetings\n\nHello.\n.\n"
REFUSAL = b"y550-5.7.23 first line\r\n550 5.7.23 second line\0"


def send(server: Sendmail, recipient: str = "bob@example.net", source: str = "127.0.0.1") -> SmtpDialogue:
    """One message through the server; the dialogue, for its transcript."""
    with SmtpDialogue("::1" if ":" in source else "127.0.0.1", server.port, source=source) as smtp:
        smtp.ehlo("host.example.com")
        if smtp.mail("alice@example.com").code == 250 and smtp.rcpt(recipient).code == 250:
            smtp.data(MESSAGE)
        smtp.quit()
    return smtp


def test_a_message_from_a_chosen_client_is_delivered_and_read_back() -> None:
    with Sendmail() as server:
        send(server, source="127.0.0.25")
        [first] = server.delivered()
        assert (first.sender, first.recipient) == ("alice@example.com", "bob@example.net")
        assert first.message["Subject"] == "Greetings"
        assert "from host.example.com ([127.0.0.25])" in first.message["Received"]
        assert b"Hello.\n.\n" in first.raw
        if has_ipv6():
            send(server, "anyone@example.net", source="::1")
            [second] = server.delivered()
            assert second.recipient == "anyone@example.net"
            assert "[IPv6:0:0:0:0:0:0:0:1]" in second.message["Received"]
        server.wait_for_log(r"to=<bob@example\.net>.*stat=Sent")
        until(lambda: not server.queue(), 10, "the queue is empty again")


def test_mail_for_elsewhere_is_refused_or_stays() -> None:
    with Sendmail() as server:
        assert "< 550 5.7.1 <bob@example.org>... Relaying denied" in "\n".join(
            send(server, "bob@example.org", source="127.0.0.25").transcript
        )
        send(server, "bob@example.org")
        server.wait_for_log(r"to=<bob@example\.org>.*stat=Deferred")
        [entry] = until(server.queue, 10, "the message stays in the queue")
        assert (entry["queue_name"], entry["sender"]) == ("deferred", "alice@example.com")
        assert entry["recipients"] == ["bob@example.org"]


def test_it_sends_mail_for_elsewhere_to_its_relayhost() -> None:
    with (
        Sendmail(hostname="next.example.org", domains=["example.org"]) as after,
        Sendmail(relayhost=f"[127.0.0.1]:{after.port}") as server,
    ):
        send(server, "bob@example.org")
        [message] = after.delivered()
        assert message.recipient == "bob@example.org"
        assert "by next.example.org" in message.message["Received"]


def test_an_authenticated_client_may_send_anywhere() -> None:
    with Sendmail(auth=True) as server, SmtpDialogue("127.0.0.1", server.port, source="127.0.0.25") as smtp:
        smtp.ehlo("host.example.com")
        assert smtp.raw(f"AUTH ANONYMOUS {base64.b64encode(b'alice').decode()}").code == 235
        smtp.mail("alice@example.com")
        assert smtp.rcpt("bob@example.org").code == 250


def test_a_quarantined_message_is_held_can_be_read_and_let_go() -> None:
    """The milter's socket is in the folder, by a path that Sendmail finds safe."""
    server = Sendmail(milters=[f"unix:{Sendmail.inside('milter')}"])
    with RecordingMilter(server.folder / "milter", {"E": [b"qlooks forged\0", b"c"]}), server:
        send(server)
        [held] = until(server.queue, 10, "the message is in the queue")
        assert (held["queue_name"], held["sender"], held["reason"]) == ("hold", "alice@example.com", "looks forged")
        assert "Greetings" in server.cat(held["queue_id"])
        server.release(held["queue_id"])
        assert len(server.delivered()) == 1


def test_a_refusal_of_the_milter_reaches_the_client() -> None:
    server = Sendmail(milters=[f"unix:{Sendmail.inside('milter')}"])
    with RecordingMilter(server.folder / "milter", {"M": [REFUSAL]}) as milter, server:
        transcript = send(server).transcript
        assert "< 550-5.7.23 <alice@example.com>... first line" in transcript
        assert "< 550 5.7.23 second line" in transcript
        assert [command for command, _ in milter.asked if command == "M"] == ["M"]


def test_with_a_milters_socket_in_a_world_writable_folder_it_does_not_start(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    folder.chmod(0o777)
    with (
        RecordingMilter(folder / "milter"),
        pytest.raises(RuntimeError, match=r"sendmail ended with 71:\n.*unsafe: World writable directory"),
    ):
        Sendmail(milters=[f"unix:{folder}/milter"]).start()


@pytest.mark.parametrize(("action", "code"), [("tempfail", "451"), ("reject", "550"), ("accept", "250")])
def test_without_a_milter_the_default_action_decides(action: str, code: str) -> None:
    with Sendmail(milters=["inet:1@127.0.0.1"], milter_default_action=action) as server:
        answers = [line for line in send(server).transcript if line.startswith("< ")]
    # Sendmail refuses by greeting with 554 where the filter cannot be had; a temporary failure is sent at MAIL FROM.
    assert any(line.startswith(f"< {code}") or (code == "550" and line.startswith("< 554")) for line in answers)


def test_nothing_is_left_behind() -> None:
    with Sendmail() as server:
        send(server)
        server.delivered()
        assert server.processes()
        folder, processes = server.folder, server.processes
    assert not folder.exists()
    assert processes() == []
