"""Send all lookups that a record needs as soon as the record arrives, before the evaluation asks for them.

Knows which lookups a record needs, in the order of RFC 7208 section 4.6. Decides nothing. The evaluation then asks the
same channel, one question after the other, and finds the answers there. It sends the questions that were not
prefetched. So the verdict does not depend on the prefetch. Without cached answers, an evaluation takes as many round
trips as records are nested.
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
from spfmilter.zones import Zones, is_within

# MX hosts whose addresses are prefetched. If a record has too many MX hosts, these answers are not needed.
_MAX_HOSTS = 30
_MAX_TEXT = 4096  # bytes; longer TXT answers are not read here, since the evaluation has to read them again


class Prefetch:
    """Send the lookups of one check early, for as many terms as the lookup limit allows."""

    def __init__(self, check: Check, channel: Channel, lookup_limit: int, guarded: Guarded | None = None) -> None:
        """Prepare a prefetch. ``guarded`` is the same channel, without private names; by default none is private."""
        self._client, self._left = channel, lookup_limit  # the client's reverse DNS may be private
        self._channel = guarded or Guarded(channel, Zones())
        self._check, self._domain = check, check.domain
        self._bits = check.address.max_prefixlen
        self._address, self._address_type = int(check.address), Type.A if self._bits == 32 else Type.AAAA
        # Macro letters that give no name (RFC 8616 section 4), or need lookups themselves: see Evaluator.
        fits = check.local.isascii() and len(check.local) <= MAX_LOCAL
        self._skipped = frozenset("p" if fits else "pls")
        self._characters = self._terms = 0  # of the records read so far
        self._hosts_left = _MAX_HOSTS

    def start(self) -> None:
        """Send the first question. Its answer leads to the others."""
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
        """Parse a record, and send the lookups of its terms. Stop at a term that matches without a lookup."""
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
        if len(exchanges) <= record.MAX_HOSTS:  # with more, the evaluation ends in a permerror before it looks them up
            for _, exchange in exchanges:
                if exchange and self._hosts_left:
                    self._hosts_left -= 1
                    self._channel.start(exchange, self._address_type)

    def _names(self, target: str) -> Callable[[Answer], None]:
        def then(answer: Answer) -> None:
            for name in (str(r).lower() for r in answer.records[: record.MAX_HOSTS]):
                if is_within(name, target):
                    self._channel.start(name, self._address_type)

        return then

    def _expand(self, spec: MacroString, domain: str) -> str:
        """Return the domain that a term names; empty if it is not known yet, or not a domain."""
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
    """Return the SPF record in an answer; None if there is not exactly one, or if the answer is long."""
    texts = [r for r in answer.records if isinstance(r, bytes)]
    found = [text for text in texts if record.VERSION.match(text)]
    if len(found) != 1 or not found[0].isascii() or sum(map(len, texts)) > _MAX_TEXT:
        return None
    return found[0].decode("ascii")
