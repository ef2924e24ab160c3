"""What a hostile MTA, client and DNS might send, made from a seed: the same seed makes the same session.

It knows the milter protocol's packets and what is tried with them. It sends nothing and checks nothing.
"""

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lab import milterwire as wire
from lab.dnsmessage import compose, parse_query
from lab.dnszone import RCODES, Zone
from tests.fuzz.words import FIELDS, LARGEST, MACROS, TERMS, TEXTS, VALUES

CLIENT = "203.0.113.7"  # has no name and is in no record but that of pass.fuzz.example
RELAY = "192.0.2.2"  # trusted where a configuration has relays
KNOWN: dict[str, list[Any]] = {
    "pass.fuzz.example": [{"TXT": f"v=spf1 ip4:{CLIENT} -all"}],
    "fail.fuzz.example": [{"TXT": "v=spf1 ip4:198.51.100.1 -all"}],
    "mail.fuzz.example": [{"A": CLIENT}],
}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a session; a macro packet belongs to the step after it."""

    command: bytes
    data: bytes = b""

    @property
    def wire(self) -> bytes:
        """As it is sent."""
        return wire.packet(self.command, self.data)


@dataclass(slots=True)
class Play:
    """A session: what is sent, the DNS behind it, and how the connection ends.

    Attributes:
        name: its seed, by which it can be made again.
        offer: version, actions and steps of the negotiation.
        packets: what follows the negotiation.
        stream: where the order or the packets are broken, the octets to send, in place of offer and packets.
        reset: whether the connection is reset in the end, instead of closed.
        utf8: whether it says SMTPUTF8 anywhere, so that a reply may be UTF-8.
    """

    name: str
    zone: Mapping[str, list[Any]]
    offer: tuple[int, int, int]
    packets: list[Packet]
    stream: bytes = b""
    reset: bool = False

    @property
    def utf8(self) -> bool:
        """Whether a reply may be UTF-8."""
        return any(b"smtputf8" in packet.data.lower() for packet in self.packets)


def play(name: str) -> Play:
    """The session of a seed."""
    return _Author(name).play()


class _Author:
    """Writes one session."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.random = random.Random(name)
        self.domain = f"s{name.replace('/', '-')}.fuzz.example"

    def play(self) -> Play:
        zone = self._zone()
        packets: list[Packet] = []
        offer = self._offer()
        # What the MTA allows is not negotiated anew, and not known, in a further SMTP session on the connection.
        for number in range(self._few(3) if offer[1] == wire.ALL_ACTIONS else 1):
            if number:
                packets.append(Packet(b"K"))
            packets += self._connection()
        done = Play(self.name, zone, offer, packets, reset=self.random.random() < 0.2)
        if self.random.random() < 0.5:
            done.stream = self._broken(done)
        return done

    # -- the session -------------------------------------------------------------------------------------------------

    def _few(self, most: int) -> int:
        """Mostly one."""
        return self.random.choice((1, 1, 1, self.random.randint(1, most)))

    def _offer(self) -> tuple[int, int, int]:
        if self.random.random() < 0.7:
            return wire.VERSION, wire.ALL_ACTIONS, wire.ALL_STEPS
        chance = self.random
        version = chance.choice((2, 3, 4, 5, 6, 7, 99, 0x7FFFFFFF))
        actions = chance.choice((1, 0x11, 0x1F, 0x3F, wire.ALL_ACTIONS, 0x7FFFFFFF))
        steps = chance.choice((1, 0x7F, 0x3FF, wire.ALL_STEPS, chance.getrandbits(21), 0x7FFFFFFF, wire.HDR_LEADSPC))
        return version, actions, steps

    def _connection(self) -> list[Packet]:
        found = [*self._macros(b"C"), Packet(b"C", self._connect())]
        for _ in range(self._few(3) - (self.random.random() < 0.1)):
            found += [*self._macros(b"H"), Packet(b"H", self._string(self._text()) + b"\0")]
        count = self._few(4)
        for number in range(count):
            found += self._message(whole=number == count - 1)
        return found

    def _connect(self) -> bytes:
        name = self._string(self._text()) + b"\0"
        port = struct.pack(">H", self.random.randrange(65536))
        kind = self.random.random()
        if kind < 0.65:
            hosts = (*[CLIENT] * 9, RELAY, RELAY, "127.0.0.1", "10.0.0.1", "0.0.0.0", "255.255.255.255")  # noqa: S104
            address = self.random.choice(hosts)
            return name + b"4" + port + address.encode() + b"\0"
        if kind < 0.85:
            hosts = ("2001:db8::7", "::1", "::ffff:203.0.113.7", "fe80::1", "::", "IPv6:2001:db8::9")
            address = self.random.choice(hosts)
            return name + b"6" + port + address.encode() + b"\0"
        if kind < 0.95:
            path = self._string(self._text())[: self.random.choice((0, 5, 100))]
            return name + b"L" + port + path + b"\0"
        return name + b"U"

    def _message(self, *, whole: bool) -> list[Packet]:
        steps: list[list[Packet]] = [[*self._macros(b"M"), Packet(b"M", self._arguments(self._address()))]]
        recipients = self.random.choice((1, 1, 1, 2, 3, 300 if self.random.random() < 0.1 else 1))
        steps += [[*self._macros(b"R"), Packet(b"R", self._arguments(self._address()))] for _ in range(recipients)]
        steps.append([*self._macros(b"T"), Packet(b"T")])
        # One field at least: libmilter ignores an end that follows DATA, where it was sent, and gives no answer.
        fields = self.random.choice((1, 3, 6, 1200 if self.random.random() < 0.1 else 2))
        steps += [[Packet(b"L", self._header())] for _ in range(fields)]
        steps += [[*self._macros(b"N"), Packet(b"N")], [Packet(b"B", self._text()[:LARGEST] or b"x")]]
        steps.append([*self._macros(b"E"), Packet(b"E")])
        if not whole and self.random.random() < 0.5:
            steps = [*steps[: self.random.randrange(len(steps))], [Packet(b"A")]]
        if self.random.random() < 0.2:
            # Before MAIL: libmilter does not see the header after a command that is unknown, and gives no answer.
            steps.insert(0, [Packet(b"U", self._string(self._text()) + b"\0")])
        return [packet for step in steps for packet in step]

    def _macros(self, step: bytes) -> list[Packet]:
        found = []
        for _ in range(self.random.choice((0, 1, 1, 2))):
            pairs = b""
            for _ in range(self.random.choice((0, 1, 3, 6, 500 if self.random.random() < 0.05 else 2))):
                name = self.random.choice(MACROS).encode() if self.random.random() < 0.9 else self._string(self._text())
                plain = {"j": b"mx.example.net", "{client_addr}": CLIENT.encode()}.get(name.decode("latin-1"))
                value = plain if plain is not None and self.random.random() < 0.7 else self._string(self._text())[:4000]
                pairs += name + b"\0" + value + b"\0"
            found.append(Packet(b"D", step + _even(pairs[: LARGEST - 1])))
        return found

    def _address(self) -> bytes:
        text = self._text()
        if self.random.random() < 0.4:
            return b"<%b@fail.fuzz.example>" % text  # refused, with what it says in the notice
        domains = (self.domain, f"i.{self.domain}", "pass.fuzz.example", "fail.fuzz.example")
        domain = self.random.choice(domains).encode()
        shapes = (b"<u@%b>", b"<%b>", b"%b", b"<>", b"<%b@%b>", b"<%b@%b>", b"<u@%b@%b>", b"<@%b:u@%b>")
        shape = self.random.choice(shapes)
        filling = [text, domain] if self.random.random() < 0.5 else [domain, domain]
        return shape % tuple(filling[: shape.count(b"%b")])

    def _arguments(self, first: bytes) -> bytes:
        """Strings of which each ends with NUL; one that is in the first begins the next."""
        more = b""
        for _ in range(self.random.choice((0, 0, 1, 3, 3000 if self.random.random() < 0.1 else 2))):
            more += self._text()[:2000] + b"\0"
        return (first[:LARGEST] + b"\0" + more)[: LARGEST + 1] + b"\0"

    def _header(self) -> bytes:
        name = self.random.choice(FIELDS) if self.random.random() < 0.9 else self._string(self._text())
        value = self._text()
        if self.random.random() < 0.7:
            value = self.random.choice(VALUES).replace(b"%(n)s", self.domain.encode())
        return self._string(name or b"X")[: LARGEST // 2] + b"\0" + self._string(value)[: LARGEST // 2] + b"\0"

    def _text(self) -> bytes:
        """Untrusted text: known to be odd, or known to be good, or both in one."""
        chance = self.random.random()
        good = self.random.choice((self.domain, f"i.{self.domain}", "mail.fuzz.example", "user", "a b")).encode()
        if chance < 0.35:
            return good
        odd = self.random.choice(TEXTS)
        if chance < 0.7:
            return odd[:LARGEST]
        if chance < 0.85:
            place = self.random.randrange(len(good) + 1)
            return (good[:place] + odd[:200] + good[place:])[:LARGEST]
        return self.random.randbytes(self.random.randrange(40))

    @staticmethod
    def _string(text: bytes) -> bytes:
        """Without NUL: for a string that is the only one of its packet."""
        return text.replace(b"\0", b"\x01") or b"x"

    # -- the DNS -----------------------------------------------------------------------------------------------------

    def _zone(self) -> dict[str, list[Any]]:
        names = [self.domain, f"i.{self.domain}", f"e.{self.domain}"]
        honest = {name: self._entries() for name in names}
        spoilt = self.random.random() < 0.4
        if not spoilt:
            return honest
        known, salt = Zone(honest), self.random.random()
        return {name: [{"RAW": partial(_spoil, known, salt)}] for name in names}

    def _entries(self) -> list[Any]:
        entries: list[Any] = [{"TXT": self._record()}]
        extra: tuple[Callable[[], Any], ...] = (
            lambda: {"A": CLIENT},
            lambda: {"A": "198.51.100.9"},
            lambda: {"AAAA": "2001:db8::7"},
            lambda: {"MX": [10, self.domain]},
            lambda: {"MX": [0, ""]},
            lambda: {"TXT": self._text()[:3000]},
            lambda: {"TXT": self._record()},
            lambda: {"TXT": []},
            lambda: {"RCODE": self.random.choice(list(RCODES))},
            lambda: {"TRUNCATE": True},
            lambda: {"WRONG_ID": "FIRST"},
            lambda: {"WRONG_QUESTION": "FIRST"},
            lambda: {"FORMERR_ON_EDNS": True},
            lambda: {"TTL": self.random.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF))},
        )
        entries += [self.random.choice(extra)() for _ in range(self.random.randrange(4))]
        if self.random.random() < 0.03:
            entries.append({self.random.choice(("A", "MX", "TXT")): "TIMEOUT"})
        return entries

    def _record(self) -> bytes:
        terms = [self.random.choice(TERMS).format(n=self.domain) for _ in range(self.random.randrange(14))]
        record = " ".join(["v=spf1", *terms, self.random.choice(("-all", "~all", "?all", "all", "", "-all"))])
        octets = record.encode("latin-1")
        if self.random.random() < 0.2:
            place = self.random.randrange(len(octets))
            octets = octets[:place] + self.random.choice(TEXTS)[:500] + octets[place:]
        return octets

    # -- broken sessions ---------------------------------------------------------------------------------------------

    def _broken(self, whole: Play) -> bytes:
        """The packets in another order, more or fewer of them, and some with their octets or their length changed."""
        packets = [Packet(b"O", struct.pack(">III", *whole.offer)), *whole.packets]
        for _ in range(self.random.randrange(6)):
            self._disturb(packets)
        chunks = [packet.wire for packet in packets]
        for _ in range(self.random.randrange(4)):
            place = self.random.randrange(len(chunks))
            chunks[place] = self._damaged(chunks[place])
        if self.random.random() < 0.3:
            del chunks[self.random.randrange(len(chunks)) + 1 :]
        return _survivable(b"".join(chunks))

    def _disturb(self, packets: list[Packet]) -> None:
        place, other = (self.random.randrange(len(packets)) for _ in range(2))
        match self.random.randrange(5):
            case 0:
                packets[place], packets[other] = packets[other], packets[place]
            case 1 if len(packets) > 2:
                del packets[place]
            case 2:
                packets.insert(place, packets[other])
            case 3:
                command = bytes([self.random.choice(b"ABCDEHKLMNOQRTUU\x00\xff8x")])
                packets.insert(place, Packet(command, self._text()))
            case _:
                packets[place] = Packet(packets[place].command, self._text())

    def _damaged(self, octets: bytes) -> bytes:
        match self.random.randrange(6 if octets else 1):
            case 0:
                place = self.random.randrange(len(octets) + 1)
                return octets[:place] + self.random.randbytes(1) + octets[place + 1 :]
            case 1:
                return octets[: self.random.randrange(len(octets))]
            case 2:
                return octets.rstrip(b"\0")
            case 3:
                lies = (0, 1, 2, 5, abs(len(octets) - 5), len(octets), 65536, 65537, 1 << 20, 0xFFFFFFFF)
                length = self.random.choice(lies)
                return struct.pack(">I", length) + octets[4:]
            case 4:
                data = self.random.choice((octets[5:] * 3, octets[5:] + b"x", self.random.choice(TEXTS) * 40))
                return wire.packet(octets[4:5] or b"M", data[: self.random.choice((100, 65534, 65535, 70000, 2000000))])
            case _:
                return octets + self.random.randbytes(self.random.randrange(8))


def _even(pairs: bytes) -> bytes:
    """Names and values of macros, of which each name has its value.

    libmilter 8.17 reads beyond its memory where the last name has none (smfi_getsymval), and the worker dies: found by
    this fuzzer, and not ours to prevent. Only who reaches the socket can do it: an MTA sends pairs.
    """
    return pairs + b"x\0" if pairs.count(b"\0") % 2 else pairs


def _survivable(stream: bytes) -> bytes:
    """Broken packets, but for that which libmilter itself does not survive; what it is not, see `_even`."""
    safe, place = b"", 0
    while len(stream) - place >= 5:
        end = place + 4 + max(int.from_bytes(stream[place : place + 4], signed=True), 1)
        packet = stream[place:end]
        if packet[4:5] == b"D" and len(packet) == end - place:
            packet = wire.packet(b"D", packet[5:6] + _even(packet[6:]))
        safe, place = safe + packet, end
    return safe + stream[place:]


def _spoil(zone: Zone, salt: float, query: bytes) -> bytes | None:
    """An honest answer with octets changed, cut, or added; the same question always gets the same."""
    asked = parse_query(query)
    if asked is None:
        return None
    chance = random.Random(f"{salt}{asked.name!r}{asked.qtype}")
    octets = bytearray(compose(asked, zone.answer(asked.name, asked.qtype), limit=1200))
    for _ in range(chance.randrange(4)):
        place = chance.randrange(2, len(octets))
        match chance.randrange(5):
            case 0:
                octets[place] = chance.randrange(256)
            case 1:
                del octets[place:]
            case 2:
                octets[place:place] = chance.randbytes(chance.randrange(1, 30))
            case 3:
                octets[place : place + 2] = bytes([0xC0, chance.randrange(64)])  # a pointer, perhaps to itself
            case _:
                octets[chance.randrange(2, 12)] ^= 1 << chance.randrange(8)  # in the head: flags and counts
        if len(octets) < 13:
            break
    return bytes(octets)
