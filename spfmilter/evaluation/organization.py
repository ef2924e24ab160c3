"""Which domains belong to one organization: those below the same entry of the public suffix list.

The only owner of publicsuffixlist, whose list takes a tenth of a second to load: imported where it is needed.
"""

from __future__ import annotations

import functools

from publicsuffixlist import PublicSuffixList


def organizational(domain: str) -> str | None:
    """The organizational domain (RFC 7489 section 3.2) of an A-label name; None for a public suffix itself."""
    found: str | None = _suffixes().privatesuffix(domain)
    return found


@functools.cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
