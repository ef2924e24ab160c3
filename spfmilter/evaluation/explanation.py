"""Read a domain's own explanation of its fails, exp= (RFC 7208 section 6.2), and decide which names may hold it.

The sender sees the text in our reply. So it must belong to the sender's domain: otherwise a record could make us
disclose a text of another domain, or of our own network. Makes no lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spfmilter.dns.answer import RecordData
from spfmilter.spf import macros

_MAX_TEXT = 1024  # characters that are read
_MAX_EXPANDED = 4 * _MAX_TEXT


def is_of(target: str, domains: Sequence[str]) -> bool:
    """Tell whether a name is at or below one of the domains, or of the same organization."""
    name, domains = target.lower(), [domain.lower() for domain in domains]
    if any(name == domain or name.endswith("." + domain) for domain in domains):
        return True
    # Imported here: the public suffix list is large, and few explanations are outside the sender's domain.
    from spfmilter.evaluation.organization import organizational  # noqa: PLC0415

    owner = organizational(name)
    return owner is not None and owner in map(organizational, domains)


def expanded(records: Sequence[RecordData], value_of: Callable[[str], str]) -> str | None:
    """Return the explanation in these TXT records; None if there is not exactly one, or if it has an error."""
    if len(records) != 1 or not isinstance(records[0], bytes):
        return None
    try:
        text = records[0][:_MAX_TEXT].decode("ascii")
        return macros.parse(text, explanation=True).expand(value_of, _MAX_EXPANDED)
    except (UnicodeDecodeError, macros.MacroError):
        return None
