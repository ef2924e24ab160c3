"""Find a record that leads back to itself, in the trace of an evaluation. Pure.

Such a record exceeds a limit at any size, and its trace repeats the same terms until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spfmilter.model import RecordStep, TermStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A record that leads back to itself."""

    domain: str  # whose record it is; untrusted input
    direct: bool  # by a term of its own, and not by way of other records


def loop_at(term: TermStep, above: Sequence[RecordStep]) -> Loop | None:
    """Return the record above to which a term leads back; None if it leads to another record, or to none.

    Args:
        term: a term of the last record in ``above``.
        above: the records that led there, the first one first.
    """
    found = term.record
    if found is None or not any(_is_same(found, record) for record in above):
        return None
    return Loop(domain=found.domain, direct=_is_same(found, above[-1]))


def _is_same(one: RecordStep, other: RecordStep) -> bool:
    """Return whether both are the same record. A pinned record may include the published one of its domain."""
    return (one.domain, one.text) == (other.domain, other.text)
