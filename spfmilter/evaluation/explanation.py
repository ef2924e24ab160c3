"""Read a domain's own explanation of its fails, exp= (RFC 7208 section 6.2), and decide which names may have it.

The sender sees the text in our reply. So it must belong to the sender's domain. Otherwise a record could make us
disclose a text of another domain, or of our own network. The caller passes a function that makes the lookups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spfmilter.dns.answer import RecordData
from spfmilter.evaluation import treewalk
from spfmilter.spf import macros
from spfmilter.zones import is_within

_MAX_TEXT = 1024  # characters that are read
_MAX_EXPANDED = 4 * _MAX_TEXT
_COUNTRY = 2  # letters of a country's top-level domain


def is_of(target: str, domains: Sequence[str], ask: treewalk.Ask) -> bool:
    """Tell whether a name belongs to the owner of one of the domains.

    It does at or below the domain, and where both have their last two labels in common (``example.com``). Below a
    country's top-level domain, registries also sell names with three labels (``example.co.uk``). There the DMARC record
    of the organizational domain has to tell (RFC 9989 section 4.10), and only there something is asked.
    """
    name, owners = target.lower(), dict.fromkeys(domain.lower() for domain in domains)
    if any(is_within(name, owner) for owner in owners):
        return True
    near = [owner for owner in owners if name.split(".")[-2:] == owner.split(".")[-2:]]
    if len(name.rpartition(".")[2]) > _COUNTRY:
        return bool(near)
    return any(is_within(name, treewalk.organizational(owner, ask)) for owner in near)


def expanded(records: Sequence[RecordData], value_of: Callable[[str], str]) -> str | None:
    """Return the explanation in these TXT records; None if there is not exactly one, or if it has an error."""
    if len(records) != 1 or not isinstance(records[0], bytes):
        return None
    try:
        text = records[0][:_MAX_TEXT].decode("ascii")
        return macros.parse(text, explanation=True).expand(value_of, _MAX_EXPANDED)
    except (UnicodeDecodeError, macros.MacroError):
        return None
