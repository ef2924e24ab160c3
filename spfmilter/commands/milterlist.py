"""Lists of milters in Postfix's settings: their members, which of them are ours, and the lists that we want.

Knows the syntax of ``smtpd_milters``. Pure: reads no file and opens no connection.

Our address is in a parameter of its own in main.cf, and the lists refer to it. So we still know an address as ours
after ``[milter] socket`` has changed, when nothing answers there any more.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

PARAMETER = "spfmilter_socket"  # of main.cf; postconf(5) allows parameters of one's own
REFERENCE = f"${PARAMETER}"
OURS = "spfmilter:"  # replaces the value of our parameter, which may be a former address, in an expanded member
_REFERENCE = re.compile(rf"\$(?:\({PARAMETER}\)|\{{{PARAMETER}\}}|{PARAMETER}\b)")
_ACTION = re.compile(r"\bdefault_action\s*=\s*(\w+)")
# Where an earlier spfmilter may have been, if nothing answers there now: the default socket, or a path with our name.
_USUAL = frozenset({"inet:127.0.0.1:8890", "inet:[::1]:8890"})


class IndirectError(Exception):
    """A parameter that a list refers to holds an address of ours. The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Milter:
    """One member of a list."""

    text: str  # as it is written
    addresses: tuple[str, ...]  # more than one only if the member is a parameter that holds a list
    action: str = ""  # its own default_action; empty: that of Postfix

    @property
    def refers(self) -> bool:
        """Return whether it refers to our parameter."""
        return _REFERENCE.search(self.text) is not None

    @property
    def indirect(self) -> bool:
        """Return whether it refers to a parameter that is not ours."""
        return "$" in _REFERENCE.sub("", self.text)

    def referring(self) -> str:
        """Return the member with our parameter instead of its address. Its options in braces stay."""
        if self.refers:
            return self.text
        if not self.text.startswith("{"):
            return REFERENCE
        return re.sub(r"(?<=\{)(\s*)[^\s,{}]+", rf"\g<1>{REFERENCE}", self.text, count=1)


def split(value: str) -> Iterator[str]:
    """Yield the members of a list as they are written. Commas and blanks separate them, but not inside braces."""
    member, depth = "", 0
    for c in value:
        depth += (c == "{") - (c == "}")
        if depth <= 0 and (c == "," or c.isspace()):
            if member:
                yield member
            member = ""
        else:
            member += c
    if member:
        yield member


def address_of(member: str, queue_directory: str) -> str:
    """Return a member's address, in one spelling for each socket."""
    inside = member[1:-1] if member.startswith("{") and member.endswith("}") else member
    words = inside.replace(",", " ").split()
    address = words[0] if words else ""
    for written, meant in (
        ("local:", "unix:"),
        (f"unix:{queue_directory}/", "unix:"),
        ("inet:localhost:", "inet:127.0.0.1:"),
    ):
        if address.startswith(written):
            address = meant + address.removeprefix(written)
    return address


def members(value: str, queue_directory: str, expanded: Mapping[str, str]) -> list[Milter]:
    """Return the members of a list.

    Args:
        value: the list as it stands in main.cf or master.cf.
        queue_directory: Postfix's; relative paths begin there.
        expanded: for each member that refers to a parameter, its text with the parameter's value.
    """
    found = []
    for text in split(value):
        whole = expanded.get(text, text)
        addresses = tuple(address_of(part, queue_directory) for part in split(whole))
        action = _ACTION.search(whole)
        found.append(Milter(text=text, addresses=addresses, action=action[1] if action else ""))
    return found


def is_usual(address: str) -> bool:
    """Return whether an address looks like one of ours: the default socket, or a path with our name."""
    return address in _USUAL or (address.startswith("unix:") and "spfmilter" in address)


def with_ours(present: Iterable[Milter], current: str, former: Collection[str], *, first: bool) -> list[str]:
    """Return a list with our milter once, by reference.

    Args:
        present: the list as it is.
        current: our address.
        former: addresses that were ours.
        first: put ours first, even if the list does not have it yet; False: keep its place, and do not add it.

    Raises:
        IndirectError: a parameter in the list holds a former address.
    """
    mine, others, place = [], [], None
    for milter in present:
        if not _is_ours(milter, {OURS, current, *former}):
            others.append(milter.text)
            continue
        if milter.indirect:
            _refuse_former(milter, current, former)
        place = len(others) if place is None else place
        mine.append(milter.text if milter.indirect else milter.referring())
    if first:
        place = 0
    if place is None:
        return others
    return [*others[:place], *(mine[:1] or [REFERENCE]), *others[place:]]


def without_ours(present: Iterable[Milter], ours: Collection[str]) -> list[str]:
    """Return a list without our milter.

    Raises:
        IndirectError: a parameter in the list holds an address of ours.
    """
    left = []
    for milter in present:
        if not _is_ours(milter, {OURS, *ours}):
            left.append(milter.text)
        elif milter.indirect:
            raise IndirectError(_by_hand(milter, next(a for a in milter.addresses if a in {OURS, *ours})))
    return left


def _is_ours(milter: Milter, ours: Collection[str]) -> bool:
    return milter.refers or any(address in ours for address in milter.addresses)


def _refuse_former(milter: Milter, current: str, former: Collection[str]) -> None:
    for address in milter.addresses:
        if address in former and address != current:
            raise IndirectError(_by_hand(milter, address))


def _by_hand(milter: Milter, address: str) -> str:
    shown = REFERENCE if address == OURS else address
    return (
        f"the list has {milter.text}, and that parameter of main.cf holds {shown}, an address of spfmilter: take it "
        "out there by hand, then run this again"
    )
