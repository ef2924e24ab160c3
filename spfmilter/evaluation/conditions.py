"""Recognise conditions of a result: a record that lets every host send, a domain without mail.

``seen_in`` and ``lets_every_host_pass`` make no lookup. ``is_unreachable`` is called only if a policy entry names that
condition.
"""

from __future__ import annotations

import functools

from spfmilter.dns.answer import Status, Type
from spfmilter.dns.private import Guarded
from spfmilter.model import Condition, Result
from spfmilter.spf.record import Directive, Record, parse

# The addresses that hosts of the Internet have, by the bits of an address: the first one, and the one after the last.
# A record that passes half of them, or more, names no network (docs/decisions/0036-wide-open.md).
_INTERNET = {32: (0, 1 << 32), 128: (0x2 << 124, 0x4 << 124)}  # IPv6: 2000::/3, which contains all assigned networks
_MOST = {bits: (end - first) // 2 for bits, (first, end) in _INTERNET.items()}


def seen_in(top: tuple[Record, str] | None, result: Result, domain: str, *, is_open: bool) -> Condition | None:
    """Return the condition that the evaluated records themselves show, or None.

    Args:
        top: the record at the top level, and its domain: the checked domain, or the target of its redirect.
        result: the result of the evaluation.
        domain: the checked domain.
        is_open: whether the term that matched lets every host pass: see ``lets_every_host_pass``.
    """
    if result is Result.PASS and is_open:
        return Condition.WIDE_OPEN
    if result is not Result.FAIL or top is None or top[1] != domain:
        return None
    found = top[0]
    if found.redirect is None and len(found.directives) == 1:
        # A modifier such as exp= allows no host to send.
        return Condition.NO_MAIL if found.directives[0].mechanism == "all" else None
    return None


def lets_every_host_pass(found: Record, matched: Directive, bits: int, *, included: bool) -> bool:
    """Return whether the record lets most hosts of the Internet pass, so that its pass is no evidence.

    Args:
        found: the record.
        matched: its directive that has matched.
        bits: 32 or 128, of an address of the client's family.
        included: whether the record that the directive includes lets most hosts pass.
    """
    if matched.result is not Result.PASS:
        return False
    match matched.mechanism:
        case "all":
            return True
        case "include":
            return included
        case "ip4" | "ip6":
            return _lists_most(found.text, bits)
        case "a" | "mx":
            return _size(matched, bits) >= _MOST[bits]
        case _:
            return False


@functools.lru_cache(maxsize=256)  # long lists are popular, and their records come again and again
def _lists_most(text: str, bits: int) -> bool:
    """Return whether the ip4 or ip6 terms of a record let half of the Internet pass, or more.

    Networks that other such terms refuse are subtracted, even if these terms come later: that favours the record.
    """
    mechanism = "ip4" if bits == 32 else "ip6"
    first, end = _INTERNET[bits]
    spans, refused = [], 0
    for directive in parse(text).directives:
        if directive.mechanism == "all":
            break
        if directive.mechanism != mechanism:
            continue
        size = _size(directive, bits)
        if directive.result is Result.PASS:
            start = directive.network // size * size
            spans.append((max(start, first), min(start + size, end)))
        else:
            refused += size
    passed, reached = 0, first
    for start, stop in sorted(spans):  # they may overlap
        passed += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return passed - refused >= _MOST[bits]


def _size(directive: Directive, bits: int) -> int:
    """Return how many addresses a network of the directive has."""
    return 1 << (bits - (directive.prefix4 if bits == 32 else directive.prefix6))


def is_unreachable(channel: Guarded, domain: str, deadline: float) -> bool:
    """Return whether a domain cannot receive mail: a null MX (RFC 7505), or neither MX nor address.

    Without an MX, mail goes to the domain's address (RFC 5321 section 5.1). If a lookup fails, the domain
    counts as reachable.
    """
    for rdtype in (Type.MX, Type.A, Type.AAAA):
        channel.start(domain, rdtype)
    exchanges = channel.ask(domain, Type.MX, deadline)
    if exchanges.status is Status.DATA:
        hosts = [record[1] for record in exchanges.records if isinstance(record, tuple)]
        return bool(hosts) and not any(hosts)
    return exchanges.void and all(channel.ask(domain, rdtype, deadline).void for rdtype in (Type.A, Type.AAAA))
