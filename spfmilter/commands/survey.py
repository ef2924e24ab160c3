"""Try every milter that an MTA asks. Report each that does not answer, its effect on mail, and what to do.

Knows how an MTA's lists of milters and their sockets belong together. ``probe`` tries one socket.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spfmilter import units
from spfmilter.commands import milterlist, mta, probe
from spfmilter.commands.accessfix import OurSocket
from spfmilter.commands.postconf import Postfix
from spfmilter.commands.sendmailcf import OUR_NAME, SendmailConfig, place_of
from spfmilter.health.handshake import Place

_DENIED = os.strerror(errno.EACCES)
_START_SOCKET = f"systemctl enable --now {units.SOCKET}; if it is active: systemctl restart spfmilter"
_START = (
    "see whether the daemon runs (spfmilter status), and start it; if it runs, restart it, so that it has this socket: "
    "systemctl restart spfmilter"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A milter that an MTA asks, but that does not answer."""

    where: str  # the list that has it
    address: str
    reason: str
    effect: str  # on mail
    fix: str
    ours: bool = False
    asked: bool = True  # by the MTA now; False: only once it is attached

    def __str__(self) -> str:
        effect = f"{self.effect} meanwhile" if self.asked else f"Once attached, {self.effect} until this is corrected"
        return f"{self.where}: {self.address}: {self.reason}. {effect}. Fix: {self.fix}"


def former(postfix: Postfix, ours: str) -> set[str]:
    """Return the addresses in Postfix's lists that look like ours, differ from it, and where nothing answers."""
    usual = {
        address
        for milters in mta.all_milters(postfix).values()
        for milter in milters
        for address in milter.addresses
        if milterlist.is_usual(address) and address != ours
    }
    places = {address: mta.place_of(address, postfix) for address in usual}
    return {address for address, place in places.items() if place is not None and probe.why_silent(place)}


def of_postfix(postfix: Postfix, ours: str, leaving: Iterable[str], *, activated: bool = False) -> Iterator[Silent]:
    """Yield the milters that Postfix asks and that do not answer. Ours is tried first, and in any case.

    Args:
        postfix: its settings.
        ours: our address.
        leaving: addresses that are about to be removed from the lists.
        activated: whether systemd holds our socket.
    """
    leaving = set(leaving)
    tried = {milterlist.OURS, *leaving}
    attached = _asks(postfix, ours, leaving)
    our_socket = OurSocket(user=units.daemon_user(), activated=activated)
    milters = [("smtpd_milters", ours, _own_action(postfix, ours))] + [
        (name, address, milter.action)
        for name, members in mta.all_milters(postfix).items()
        for milter in members
        for address in milter.addresses
    ]
    for name, address, action in milters:
        if address in tried:
            continue
        tried.add(address)
        place = mta.place_of(address, postfix)
        mine = address == ours
        reason, fix = _trouble(
            place,
            postfix.mail_owner,
            our_socket if mine else None,
            absolute=postfix.chroot and address.startswith("unix:/"),
        )
        if reason:
            yield Silent(
                where=f"master.cf, {name}" if name in postfix.services else name,
                address=address,
                reason=reason,
                effect=mta.effect(action or postfix.default_action),
                fix=(fix or _start(our_socket)) if mine else _for_another(name, address),
                ours=mine,
                asked=attached or not mine,
            )


def _start(ours: OurSocket) -> str:
    return _START_SOCKET if ours.activated else _START


def _asks(postfix: Postfix, ours: str, leaving: Iterable[str]) -> bool:
    """Return whether Postfix asks us now, at our address or at a former one where nothing answers."""
    members = [milter for milters in mta.all_milters(postfix).values() for milter in milters]
    asked = {address for milter in members for address in milter.addresses}
    if any(milter.refers for milter in members):
        asked = (asked - {milterlist.OURS}) | {postfix.socket}
    places = [mta.place_of(address, postfix) for address in asked & set(leaving)]
    return ours in asked or any(place is not None and probe.why_silent(place) for place in places)


def _own_action(postfix: Postfix, ours: str) -> str:
    """Return the default_action that our own member of smtpd_milters has in braces; empty if it has none."""
    members = mta.all_milters(postfix)["smtpd_milters"]
    return next((milter.action for milter in members if milter.refers or ours in milter.addresses), "")


def _trouble(place: Place | None, user: str, ours: OurSocket | None, *, absolute: bool) -> tuple[str, str]:
    """Return why an MTA gets no answer at a place, and what to do if the socket is ours; empty if it gets one."""
    if place is None:
        return "", ""  # a notation that only Postfix may know
    who = probe.account(user)
    if place.family == "unix" and who is not None and (found := probe.barrier(place, who, ours)) is not None:
        return found.what, found.fix
    reason = probe.why_silent(place)
    if place.family == "unix" and reason == _DENIED and os.geteuid() != 0:
        return "", ""  # only we may not connect
    if reason and absolute:
        reason += f" (smtpd is chrooted, and looks for {place.path})"
    return reason, ""


def _for_another(name: str, address: str) -> str:
    what = f"start that filter, or take it out of {name}"
    return f"{what}; if it is a former address of spfmilter: spfmilter attach --apply --former {address}"


def for_sendmail(socket: str, config: SendmailConfig, *, activated: bool = False) -> tuple[str, str]:
    """Return why Sendmail would get no answer at our socket, and what to do; empty if it gets one.

    Args:
        socket: ours, in Sendmail's notation.
        config: the sendmail.cf of this host.
        activated: whether systemd holds our socket.
    """
    place, our_socket = place_of(socket), OurSocket(user=units.daemon_user(), activated=activated)
    reason, fix = _trouble(place, "root", our_socket, absolute=False)
    return (reason, fix or _start(our_socket)) if reason else _unsafe(place, config)


def of_sendmail(config: SendmailConfig, ours: str, *, activated: bool = False) -> Iterator[Silent]:
    """Yield the filters that Sendmail asks and that do not answer.

    Args:
        config: the sendmail.cf of this host.
        ours: our socket, in Sendmail's notation.
        activated: whether systemd holds our socket.
    """
    our_socket = OurSocket(user=units.daemon_user(), activated=activated)
    for found in config.filters:
        if not found.asked:
            continue
        mine, former = found.name == OUR_NAME, found.socket != ours
        reason, fix = _trouble(found.place, "root", our_socket if mine else None, absolute=False)
        if not reason:
            reason, fix = _unsafe(found.place, config)
        elif not mine:
            fix = "start that filter, or take its line out of sendmail.mc"
        elif former:
            fix = f"replace its line in sendmail.mc: [milter] socket is {ours}"
        if reason:
            yield Silent(
                where=f"sendmail.cf, X{found.name}",
                address=found.socket,
                reason=reason,
                effect=found.effect,
                fix=fix or _start(our_socket),
                ours=mine,
            )


def _unsafe(place: Place | None, config: SendmailConfig) -> tuple[str, str]:
    """Return why Sendmail does not connect to a unix socket that answers, and what to do; empty if it does."""
    found = probe.unsafe(place, config.trusted) if place is not None and place.family == "unix" else None
    return (found.what, found.fix) if found is not None else ("", "")
