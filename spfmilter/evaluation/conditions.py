"""Recognise conditions of a result: a record that lets every host send, a domain without mail.

``seen_in`` makes no lookup. ``is_unreachable`` is called only if a policy entry names that condition.
"""

from __future__ import annotations

from spfmilter.dns.answer import Status, Type
from spfmilter.dns.private import Guarded
from spfmilter.model import Condition, Result
from spfmilter.spf.record import Record


def seen_in(top: tuple[Record, str] | None, term: str | None, result: Result, domain: str) -> Condition | None:
    """Return the condition that the evaluated record itself shows, or None.

    Args:
        top: the record at the top level, and its domain: the checked domain, or the target of its redirect.
        term: the directive of this record that matched.
        result: the result of the evaluation.
        domain: the checked domain.
    """
    if result is Result.PASS and term is not None and term.lstrip("+").lower() == "all":
        return Condition.WIDE_OPEN
    if result is not Result.FAIL or top is None or top[1] != domain:
        return None
    found = top[0]
    if found.redirect is None and len(found.directives) == 1:
        # A modifier such as exp= allows no host to send.
        return Condition.NO_MAIL if found.directives[0].mechanism == "all" else None
    return None


def is_unreachable(channel: Guarded, domain: str, deadline: float) -> bool:
    """Tell whether a domain cannot receive mail: a null MX (RFC 7505), or no MX and no address (RFC 5321 section 5.1).

    If a lookup fails, the domain counts as reachable.
    """
    for rdtype in (Type.MX, Type.A, Type.AAAA):
        channel.start(domain, rdtype)
    exchanges = channel.ask(domain, Type.MX, deadline)
    if exchanges.status is Status.DATA:
        hosts = [record[1] for record in exchanges.records if isinstance(record, tuple)]
        return bool(hosts) and not any(hosts)
    return exchanges.void and all(channel.ask(domain, rdtype, deadline).void for rdtype in (Type.A, Type.AAAA))
