"""Plays one session to the daemon, as an MTA that keeps the order of steps would, or without any regard for it.

It knows when a reply is due and how a connection ends. What is sent is `grammar`'s, what may come back is `oracle`'s.
"""

import selectors
import socket
import struct
import time
from contextlib import suppress

from lab import milterwire as wire
from lab.miltersocket import MilterSocket
from lab.milterwire import MilterError
from tests.fuzz import oracle
from tests.fuzz.grammar import Packet, Play

TIMEOUT = 20.0  # seconds: far beyond every time limit of the daemon under test, also on a busy machine
_STEPS = {
    step.command: step
    for step in (
        wire.CONNECT, wire.HELO, wire.MAIL, wire.RCPT, wire.DATA, wire.HEADER, wire.EOH, wire.BODY, wire.EOM,
        wire.UNKNOWN,
    )
}  # fmt: skip


def run(play: Play, address: str) -> list[str]:
    """Play a session; what is wrong with what came back."""
    try:
        if play.stream:
            came, whole = _flood(play, address)
            sent, _ = oracle.packets_of(play.stream)
            packets, rest = oracle.packets_of(came)
            wrong = [f"half a packet: {rest[:80]!r}"] if rest and whole else []
            due = sum(command in _STEPS or command == b"O" for command, _ in sent)
        else:
            packets, due = _Mta(play, address).deliver()
            wrong, whole = [], True
    except MilterError as error:
        return [str(error)]
    return [*wrong, *oracle.objections(packets, commands=due, utf8=play.utf8, whole=whole)]


class _Mta:
    """Takes the steps in order, waits for each reply that was agreed upon, and leaves out what the filter declined."""

    def __init__(self, play: Play, address: str) -> None:
        self.play = play
        self.socket = MilterSocket(address, timeout=TIMEOUT)
        self.came: list[tuple[bytes, bytes]] = []
        self.due = 0

    def deliver(self) -> tuple[list[tuple[bytes, bytes]], int]:
        """All that came, and how many replies were due."""
        try:
            self.socket.put(wire.packet(b"O", struct.pack(">III", *self.play.offer)))
            self._await("the negotiation")
            options = wire.parse_options(self.came[-1][1])
            self._steps(options)
            self._leave()
        finally:
            self.socket.close()
        return self.came, self.due

    def _steps(self, options: wire.Options) -> None:
        refused = False
        last = b""
        for packet in self.play.packets:
            if packet.command == b"K" and (last != b"E" or self.came[-1][0] != b"c"):
                return  # libmilter heeds it only straight after a message that was taken, and ignores what follows
            if packet.command in {b"M", b"A", b"K"}:
                refused = False
            if refused or not self._wanted(packet, options):
                continue
            self.socket.put(packet.wire)
            last = packet.command if packet.command != b"D" else last
            step = _STEPS.get(packet.command)
            if step is not None and options.answers(step):
                self._await(step.name)
                refused = packet.command == b"M" and self.came[-1][0] != b"c"

    @staticmethod
    def _wanted(packet: Packet, options: wire.Options) -> bool:
        step = _STEPS.get(packet.command)
        return step is None or options.wants(step)

    def _await(self, awaited: str) -> None:
        self.due += 1
        while True:
            self.came.append(self.socket.packet(awaited))
            if self.came[-1][0] not in {b"i", b"m", b"q"} or awaited != "eom":
                return

    def _leave(self) -> None:
        """Say goodbye and read to the end: a packet that comes now belongs to no step."""
        if self.play.reset:
            return
        self.socket.put(wire.packet(b"Q"))
        try:
            command, data = self.socket.packet("the end")
        except MilterError as error:
            if "closed by the filter" in str(error):
                return
            raise
        raise MilterError(f"a packet that belongs to no step: {command + data!r}")


def _flood(play: Play, address: str) -> tuple[bytes, bool]:
    """Send everything, without regard to replies, and then read to the end: the filter must end the connection itself.

    Returns:
        What came, and whether it is all: where the filter hangs up on what it has not read, the end gets lost.
    """
    port, _, host = address.partition(":")[2].partition("@")
    waiting, came, deadline = play.stream, b"", time.monotonic() + TIMEOUT
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock, selectors.DefaultSelector() as selector:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while time.monotonic() < deadline:
            events = sum(event for _, event in selector.select(timeout=1))
            if events & selectors.EVENT_READ:
                data = _received(sock)
                if not data:
                    return came, data is not None
                came += data
            if events & selectors.EVENT_WRITE:
                waiting = waiting[_sent(sock, waiting) :]
                if not waiting and play.reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return came, False
                if not waiting:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_WR)
                    selector.modify(sock, selectors.EVENT_READ)
    raise MilterError(f"the connection was not ended within {TIMEOUT:g} s")


def _received(sock: socket.socket) -> bytes | None:
    """What has come; nothing at the end, None at a rude one."""
    try:
        return sock.recv(65536)
    except OSError:
        return None


def _sent(sock: socket.socket, waiting: bytes) -> int:
    """How much has gone out; all of it where the filter has hung up on nonsense."""
    try:
        return sock.send(waiting[:65536])
    except BlockingIOError:
        return 0
    except OSError:
        return len(waiting)
