"""The kinds of value that only the policy's sections have: INI text to a typed value, and back for ``config show``.

Knows the notation of each and its error messages. Knows no keys. The other kinds are in ``values`` and ``names``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spfmilter.model import Disposition, IPAddress
from spfmilter.settings.endpoints import is_network
from spfmilter.settings.ini import quoted
from spfmilter.settings.names import domain_or_subdomains
from spfmilter.settings.values import Network, network, one_of, split_list, to_ini

_SENDER = re.compile(r"(\S+)(\s+if\s+pass)?(?:\s+from((?:\s+\S+)+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """The value of a policy entry: a disposition, and for ``defer`` the one after the deferral."""

    disposition: Disposition
    afterwards: Disposition = Disposition.ACCEPT  # once the mail has been deferred for [policy] defer_at_most

    def __str__(self) -> str:
        follows = self.afterwards is not Disposition.ACCEPT
        return f"{self.disposition}, {self.afterwards}" if follows else str(self.disposition)


def policy_entry(text: str) -> PolicyEntry:
    """Read a disposition; behind ``defer``, a milder one may follow for mail that has been deferred for long enough."""
    words = split_list(text) or ("",)
    if words[0].lower().startswith("defer "):
        raise ValueError(f"{quoted(text)} has no comma between its words: write defer, tag or defer, quarantine")
    first, *more = (one_of(Disposition)(word) for word in words)
    if not more:
        return PolicyEntry(first)
    if first is not Disposition.DEFER or len(more) > 1 or more[0].refuses:
        raise ValueError(
            f"{quoted(text)} is not one word: only defer takes a second one, for mail that has been deferred for "
            "defer_at_most: accept, tag or quarantine, such as defer, tag"
        )
    return PolicyEntry(first, more[0])


@dataclass(frozen=True, slots=True)
class ExemptSender:
    """A sender domain whose mail is exempt, and the conditions: ``example.com if pass from 192.0.2.0/24``."""

    domain: str  # with a leading dot: all names below it
    if_pass: bool = False  # only if SPF passes for MAIL FROM
    networks: tuple[Network, ...] = ()  # only from these; empty: from everywhere

    def __str__(self) -> str:
        origin = ["from", *map(to_ini, self.networks)] if self.networks else []
        return " ".join([self.domain, *(["if pass"] if self.if_pass else []), *origin])

    def covers(self, address: IPAddress | None) -> bool:
        """Return whether the mail is exempt from this address of a client."""
        return not self.networks or (address is not None and any(address in network for network in self.networks))


def exempt_sender(text: str) -> ExemptSender:
    """Read a sender domain; ``if pass`` and ``from`` with networks may follow, as conditions that must all hold."""
    found = _SENDER.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{quoted(text)} is not a sender domain: write example.com, example.com if pass, or example.com from "
            "192.0.2.0/24 2001:db8::/32"
        )
    domain, passed, networks = found.groups()
    if is_network(domain):  # in a list of networks behind ``from`` that has commas, which separate the entries
        raise ValueError(
            f"{quoted(domain)} is an address or network, not a sender domain: write all networks of a domain behind "
            "its from, separated by blanks, such as example.com from 192.0.2.0/24 2001:db8::/32"
        )
    return ExemptSender(
        domain=domain_or_subdomains(domain),
        if_pass=passed is not None,
        networks=tuple(dict.fromkeys(map(network, (networks or "").split()))),
    )
