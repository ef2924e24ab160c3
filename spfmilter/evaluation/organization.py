"""Find the domain of an organization: the one directly below an entry of the public suffix list.

The only owner of publicsuffixlist. Its list takes a tenth of a second to load: import this module where it is needed.
"""

from __future__ import annotations

import functools

from publicsuffixlist import PublicSuffixList


def organizational(domain: str) -> str | None:
    """Return the organizational domain (RFC 7489 section 3.2) of an A-label name; None for a public suffix."""
    found: str | None = _suffixes().privatesuffix(domain)
    return found


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
