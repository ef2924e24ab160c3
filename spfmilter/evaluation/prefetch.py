"""Sends early what an evaluation will ask for: a record's lookups go out as soon as the record is there.

Knows which lookups a record leads to, in the order of RFC 7208 section 4.6; decides nothing. The evaluation asks the
same channel afterwards, one question after the other, and finds the answers there; what was not foreseen it simply asks
itself. So the verdict is the same with and without, and a cold one costs the depth of the record in round trips.
"""

from __future__ import annotations

from collections.abc import Callable

from spfmilter.dns.answer import Answer, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.private import Guarded
from spfmilter.evaluation.limits import MAX_ALL_TERMS, MAX_CHARACTERS
from spfmilter.model import Check
from spfmilter.spf import record
from spfmilter.spf.macros import MAX_LOCAL, MacroString
from spfmilter.spf.record import Directive, RecordError
from spfmilter.zones import Zones

# Addresses of mail servers that are sent for ahead: more are read for nothing where they turn out to be too many.
_MAX_HOSTS = 30
_MAX_TEXT = 4096  # bytes of TXT records that are worth reading twice: here, and when they are evaluated


class Prefetch:
    """Sends the lookups of one check ahead, for no more terms than the lookup limit allows."""

    def __init__(self, check: Check, channel: Channel, lookup_limit: int, guarded: Guarded | None = None) -> None:
        """``guarded`` is the same channel, for the names that a record gives; by default no name is private."""
        self._client, self._left = channel, lookup_limit  # the client's own name is asked for, private or not
        self._channel = guarded or Guarded(channel, Zones())
        self._check, self._domain = check, check.domain
        self._bits = check.address.max_prefixlen
        self._address, self._address_type = int(check.address), Type.A if self._bits == 32 else Type.AAAA
        # What stands for no name (RFC 8616 section 4), or takes lookups itself: see Evaluator.
        fits = check.local.isascii() and len(check.local) <= MAX_LOCAL
        self._skipped = frozenset("p" if fits else "pls")
        self._characters = self._terms = 0  # of the records read so far
        self._hosts_left = _MAX_HOSTS

    def start(self) -> None:
        """Send the first question; the others follow from its answer."""
        if self._check.record:
            self._terms_of(self._domain, self._check.record)
        elif self._domain:
            self._record_of(self._domain)

    def _record_of(self, domain: str) -> None:
        self._channel.start(domain, Type.TXT, lambda answer: self._read(domain, answer))

    def _read(self, domain: str, answer: Answer) -> None:
        text = _record_text(answer)
        if text is not None:
            self._terms_of(domain, text)

    def _terms_of(self, domain: str, text: str) -> None:
        """Read a record that has come, and send what its terms need, up to the one that decides."""
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS:
            return
        try:
            found = record.parse(text)
        except RecordError:
            return
        self._terms += found.terms
        if self._terms > MAX_ALL_TERMS:
            return
        for directive in found.directives:
            if directive.mechanism == "all" or directive.lists(self._address, self._bits):
                return
            if directive.mechanism in record.LOOKUP_MECHANISMS and not self._term(directive, domain):
                return
        if found.redirect is not None and self._take_one():
            target = self._expand(found.redirect, domain)
            if target:
                self._record_of(target)

    def _take_one(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def _term(self, directive: Directive, domain: str) -> bool:
        """Send a term's lookups. Return False if the limit is reached."""
        if not self._take_one():
            return False
        target = domain if directive.target is None else self._expand(directive.target, domain)
        if not target:
            return True
        match directive.mechanism:
            case "include":
                self._record_of(target)
            case "a":
                self._channel.start(target, self._address_type)
            case "exists":
                self._channel.start(target, Type.A)
            case "mx":
                self._channel.start(target, Type.MX, self._hosts)
            case "ptr":
                self._client.start(self._check.address.reverse_pointer, Type.PTR, self._names(target.lower()))
        return True

    def _hosts(self, answer: Answer) -> None:
        exchanges = sorted(r for r in answer.records if isinstance(r, tuple))
        if len(exchanges) <= record.MAX_HOSTS:  # more is a permerror, and none of them is looked up
            for _, exchange in exchanges:
                if exchange and self._hosts_left:
                    self._hosts_left -= 1
                    self._channel.start(exchange, self._address_type)

    def _names(self, target: str) -> Callable[[Answer], None]:
        def then(answer: Answer) -> None:
            for name in (str(r).lower() for r in answer.records[: record.MAX_HOSTS]):
                if name == target or name.endswith("." + target):
                    self._channel.start(name, self._address_type)

        return then

    def _expand(self, spec: MacroString, domain: str) -> str:
        """Return the domain that a term names; empty if it is unknown or not a domain."""
        if spec.letters & self._skipped:
            return ""
        expanded = spec.expand_domain(lambda letter: self._value(letter, domain))
        return expanded if expanded.isascii() else ""

    def _value(self, letter: str, domain: str) -> str:
        """Return the value of a macro letter (RFC 7208 section 7.3) in the record of ``domain``."""
        check = self._check
        match letter:
            case "d":
                return domain
            case "s":
                return check.sender
            case "l":
                return check.local
            case "o":
                return check.domain
            case "h":
                return check.helo or "unknown"
            case "v":
                return "in-addr" if self._bits == 32 else "ip6"
            case _:  # i
                return str(check.address) if self._bits == 32 else ".".join(f"{self._address:032X}")


def _record_text(answer: Answer) -> str | None:
    """Return the SPF record in an answer, if there is exactly one and it is short enough to be read twice."""
    texts = [r for r in answer.records if isinstance(r, bytes)]
    found = [text for text in texts if record.VERSION.match(text)]
    if len(found) != 1 or not found[0].isascii() or sum(map(len, texts)) > _MAX_TEXT:
        return None
    return found[0].decode("ascii")
