"""The SMTP client says what it is told to, byte by byte, and keeps the conversation; the server here is a script."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from lab.smtp import Answer, SmtpDialogue, on_the_wire

# What the script says, and in between how many bytes it awaits before it goes on.
Script = list[bytes | int]


class ScriptedServer:
    """Plays a script to its one client and keeps what it heard; holds the line open until told to hang up."""

    def __init__(self, script: Script, *, hang_up: bool) -> None:
        self.heard = b""
        self._script = script
        self._hang_up = hang_up
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def close(self) -> None:
        """Hang up, and wait for the end of the play."""
        self._over.set()
        self._thread.join(5)
        self._listener.close()

    def _play(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            for step in self._script:
                if isinstance(step, bytes):
                    connection.sendall(step)
                else:
                    self._hear(connection, step)
            if not self._hang_up:
                self._over.wait(5)

    def _hear(self, connection: socket.socket, length: int) -> None:
        end = len(self.heard) + length
        while len(self.heard) < end and (part := connection.recv(end - len(self.heard))):
            self.heard += part


class Stage:
    """Makes scripted servers and clients of theirs, and ends them all."""

    def __init__(self) -> None:
        self._servers: list[ScriptedServer] = []
        self._clients: list[SmtpDialogue] = []

    def play(self, *script: bytes | int, hang_up: bool = False, timeout: float = 5.0) -> SmtpDialogue:
        """A client of a server that plays this script after its greeting."""
        self._servers.append(ScriptedServer([b"220 ready\r\n", *script], hang_up=hang_up))
        self._clients.append(SmtpDialogue("127.0.0.1", self._servers[-1].port, timeout=timeout))
        return self._clients[-1]

    def heard(self) -> bytes:
        """All that the client of the last server sent."""
        self._servers[-1].close()
        return self._servers[-1].heard

    def close(self) -> None:
        """End all of them, the clients first."""
        for client in self._clients:
            client.close()
        for server in self._servers:
            server.close()


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_each_verb_is_written_as_the_wire_has_it(stage: Stage) -> None:
    wire = (
        b"EHLO host.example.com\r\nHELO host.example.com\r\nMAIL FROM:<> SMTPUTF8 BODY=8BITMIME\r\n"
        b"RCPT TO:<bob@example.net> NOTIFY=NEVER\r\nRSET\r\nVRFY \xff\r\nQUIT\r\n"
    )
    script = [part for line in wire.splitlines(keepends=True) for part in (len(line), b"250 ok\r\n")]
    smtp = stage.play(*script)
    smtp.ehlo("host.example.com")
    smtp.helo("host.example.com")
    smtp.mail("", "SMTPUTF8", "BODY=8BITMIME")
    smtp.rcpt("bob@example.net", "NOTIFY=NEVER")
    smtp.rset()
    smtp.raw(b"VRFY \xff")
    smtp.quit()
    assert stage.heard() == wire


def test_an_answer_of_several_lines_is_one_answer(stage: Stage) -> None:
    smtp = stage.play(8, "250-mx.example.net\r\n250-SIZE\r\n250 中文\r\n".encode())
    answer = smtp.ehlo("x")
    assert answer == Answer(code=250, lines=["mx.example.net", "SIZE", "中文"])
    assert answer.text == "mx.example.net\nSIZE\n中文"
    assert str(answer) == "250-mx.example.net\n250-SIZE\n250 中文"
    assert smtp.transcript == ["< 220 ready", "> EHLO x", "< 250-mx.example.net", "< 250-SIZE", "< 250 中文"]


def test_dots_are_stuffed_and_lines_are_ended(stage: Stage) -> None:
    wire = b"DATA\r\nSubject: x\r\n\r\n..\r\n..dot\r\nno. dot\r\n.\r\n"
    smtp = stage.play(6, b"354 go\r\n", len(wire) - 6, b"250 queued\r\n")
    assert smtp.data("Subject: x\n\n.\n.dot\r\nno. dot").text == "queued"
    assert stage.heard() == wire
    assert smtp.transcript[-2:] == ["> .", "< 250 queued"]


def test_a_refused_data_sends_no_content(stage: Stage) -> None:
    smtp = stage.play(6, b"554 5.5.1 no valid recipients\r\n")
    assert smtp.data("Subject: x\n").code == 554
    assert stage.heard() == b"DATA\r\n"


def test_bytes_keep_what_is_wrong_with_them() -> None:
    assert on_the_wire(b"a\nb\rc") == b"a\nb\rc\r\n"
    assert on_the_wire("") == b""


def test_pipelined_commands_go_out_before_any_answer(stage: Stage) -> None:
    wire = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    smtp = stage.play(len(wire), b"250 one\r\n550-no\r\n550 never\r\n554 nobody\r\n")
    answers = smtp.send_many("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
    assert [answer.code for answer in answers] == [250, 550, 554]
    assert answers[1].lines == ["no", "never"]


def test_a_chunk_goes_with_its_length(stage: Stage) -> None:
    wire = b"BDAT 4\r\n.\r\nxBDAT 0 LAST\r\n"
    smtp = stage.play(12, b"250 ok\r\n", len(wire) - 12, b"250 queued\r\n")
    smtp.bdat(b".\r\nx", last=False)
    smtp.bdat(b"")
    assert stage.heard() == wire


def test_xclient_values_are_xtext_and_ipv6_is_tagged(stage: Stage) -> None:
    wire = b"XCLIENT ADDR=IPV6:2001:db8::7 NAME=[UNAVAILABLE] LOGIN=a+2Bb+20c\r\n"
    smtp = stage.play(len(wire), b"220 again\r\n")
    assert smtp.xclient(addr="2001:db8::7", name="[UNAVAILABLE]", login="a+b c").code == 220
    assert stage.heard() == wire


def test_silence_is_an_error_that_tells_the_conversation(stage: Stage) -> None:
    smtp = stage.play(6, timeout=2)
    with pytest.raises(TimeoutError, match=r"(?s)after NOOP: no answer within 2 s.*< 220 ready.*> NOOP"):
        smtp.raw("NOOP")


def test_a_hang_up_is_an_error_that_tells_the_conversation(stage: Stage) -> None:
    smtp = stage.play(6, hang_up=True)
    with pytest.raises(ConnectionError, match=r"(?s)after NOOP: closed the connection.*> NOOP"):
        smtp.raw("NOOP")


def test_what_is_no_smtp_is_an_error(stage: Stage) -> None:
    smtp = stage.play(6, b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(ConnectionError, match=r"no SMTP answer: b'HTTP"):
        smtp.raw("NOOP")
