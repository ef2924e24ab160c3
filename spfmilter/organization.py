"""The organization that a name in the DNS belongs to. Pure.

Knows no list of public suffixes: a list of its own would be out of date. So ``organization`` is a guess, which two
customers of one unusual registry share.
"""

from __future__ import annotations

# Second labels below which registries of countries sell names: co.uk, com.br, or.jp.
_SECOND = frozenset({
    "ac", "asso", "biz", "co", "com", "ed", "edu", "go", "gob", "gouv", "gov", "govt", "gv", "id", "info", "k12", "lg",
    "ltd", "mil", "ne", "net", "nhs", "nom", "or", "org", "plc", "police", "sch", "school", "web",
})  # fmt: skip


def organization(domain: str) -> str:
    """Return the part of a domain that was registered, as far as it can be told: two labels, or three."""
    labels = domain.lower().rstrip(".").split(".")
    registry = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND
    return ".".join(labels[-3 if registry else -2 :])
