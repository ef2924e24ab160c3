"""Records that an attacker could publish to make us work: each family is bent on one thing.

Knows SPF's syntax and pyspf's weak spots (quadratic expressions, and lists without end). Each record exists under
several names, so that a cache does not hide what it costs.
"""

from collections.abc import Callable, Iterator
from typing import Any

_NAMES = 3
_PREFIX = "v=spf1 "
# A filter may refuse what is too long, and is then quick: what is just short enough has to be tried, too. Octets of the
# whole, and of a term: all that a DNS message holds; a record of ordinary limits; the same in small terms.
SHAPES = {"60 KB": (60_000, 60_000), "16 KB": (16_000, 16_000), "16 KB in terms": (16_000, 1_000)}
LOCAL_PART = "a." * 31 + "a"  # 63 octets, 32 parts: what macros multiply


def _one(head: str, unit: str, tail: str = "") -> Callable[[int], str]:
    """A term that grows: its head, the unit as often as there is room, its tail."""
    return lambda size: head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


# How a term of a family is made, by its length.
_TERMS: dict[str, Callable[[int], str]] = {
    "a name of one-letter labels": _one("a:", "a.", "1"),
    "a name with a last label that never ends": _one("a:", "a-"),
    "macros that are none": _one("a:", "%{"),
    "macros that do not end": _one("a:", "%{d1r"),
    "macros of a long local part": _one("exists:", "%{l}", ".example"),
    "macros turned round, cut, and with delimiters": _one("exists:", "%{l1r.-+,/_=}", ".example"),
    "a macro with a number without end": _one("exists:%{d", "9", "}.example"),
    "percent signs": _one("exists:", "%%", ".example"),
    "a mask without end": _one("a/", "9"),
    "an address without end": _one("ip4:", "1."),
    "colons": _one("ip6:", ":"),
    "slashes": _one("a", "/"),
    "dots": _one("include:", "."),
    "signs of equality": _one("a", "="),
    "an unknown modifier": _one("x=", "%{d}"),
    "an explanation's name": _one("exp=", "%{d}", ".example"),
    "a redirect's name": _one("redirect=", "%{d}", ".example"),
    "a word": _one("", "b"),
    "8-bit": lambda size: "a:" + "\u00e9" * ((size - 2) // 2),
}
# Terms of a fixed length: as many as there is room for.
_SHORT = {
    "ip4": "ip4:198.51.100.1",
    "ip6": "ip6:2001:db8:1:2:3:4:5:6/128",
    "addresses that are none": "ip4:198.51.100.999",
    "small modifiers": "x=%{d}",
    "includes of nothing": "include:nothing.example",
    "blanks": "",
}


def _texts() -> Iterator[tuple[str, str, str]]:
    """Every record of text: family, shape, text."""
    for shape, (whole, term) in SHAPES.items():
        room = whole - len(_PREFIX)
        for family, make in _TERMS.items():
            size = min(term, room)
            yield family, shape, _PREFIX + " ".join([make(size - 1)] * (room // size))
        for family, text in _SHORT.items():
            if whole == term:
                yield family, shape, _PREFIX + (text + " ") * (room // (len(text) + 1)) + "-all"


def _hosts(number: int) -> list[Any]:
    return [{"MX": [n, f"h{n}.example"]} for n in range(number)]


def _netblocks(owner: int, number: int) -> str:
    """A long list of networks; each is another, lest one that has been read already stand in for it."""
    return _PREFIX + f"ip4:198.{18 + owner}.{number}.1 " * 900 + "?all"


_EXCHANGES = "ten mx of ten hosts of 70 A (111 answers)"  # each name has a hundred hosts of its own
_INCLUDES = "ten includes of 900 ip4 (11 records)"  # each name includes ten of its own

# Families that are no text, or more than one answer.
_ANSWERS: dict[str, list[Any]] = {
    "a TXT record of 50,000 empty strings": [{"TXT": [""] * 50_000}],
    "1,300 TXT records that are no SPF": [{"TXT": f"verification={n:020d}"} for n in range(1_300)],
    "1,300 SPF records": [{"TXT": f"v=spf1 ip4:198.51.100.{n % 250} -all"} for n in range(1_300)],
    "an MX of 1,500 hosts": [{"TXT": "v=spf1 mx -all"}, *_hosts(1_500)],
    "a name of 3,000 addresses": [
        {"TXT": "v=spf1 a -all"},
        *({"A": f"198.51.{n // 250}.{n % 250}"} for n in range(3_000)),
    ],
    "an explanation of 60 KB": [{"TXT": "v=spf1 -all exp=text.example"}],
}


def _owner(number: int, shape: int, family: int) -> str:
    return f"r{number}.s{shape}.f{family}.example"


FAMILIES: dict[str, dict[str, list[str]]] = {}  # family -> shape -> the domains that have it
ZONE: dict[str, list[Any]] = {
    "plain.example": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}],
    "text.example": [{"TXT": "%{s}%_%%" * 7_500}],
}


def _publish(family: str, shape: str, entries: list[Any]) -> None:
    shapes = FAMILIES.setdefault(family, {})
    names = [_owner(number, len(shapes), len(FAMILIES)) for number in range(_NAMES)]
    shapes[shape] = names
    ZONE.update(dict.fromkeys(names, entries))


for _family, _shape, _text in _texts():
    _publish(_family, _shape, [{"TXT": _text}])
for _family, _entries in _ANSWERS.items():
    _publish(_family, "", _entries)
_publish(_INCLUDES, "", [])
for _number, _name in enumerate(FAMILIES[_INCLUDES][""]):
    ZONE[_name] = [{"TXT": _PREFIX + " ".join(f"include:i{n}.{_name}" for n in range(10)) + " -all"}]
    ZONE |= {f"i{n}.{_name}": [{"TXT": _netblocks(_number, n)}] for n in range(10)}
_publish(_EXCHANGES, "", [])
for _name in FAMILIES[_EXCHANGES][""]:
    ZONE[_name] = [{"TXT": _PREFIX + " ".join(f"mx:m{n}.{_name}" for n in range(10)) + " -all"}]
    ZONE |= {f"m{n}.{_name}": [{"MX": [host, f"h{host}.m{n}.{_name}"]} for host in range(10)] for n in range(10)}
    ZONE |= {
        f"h{host}.m{n}.{_name}": [{"A": f"198.51.100.{a}"} for a in range(70)] for host in range(10) for n in range(10)
    }
