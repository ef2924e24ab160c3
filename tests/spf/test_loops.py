"""A term that leads back to a record above it, in the trace of an evaluation."""

import pytest

from spfmilter.model import RecordStep, TermStep
from spfmilter.spf.loops import Loop, loop_at

FIRST = RecordStep(domain="e.example", text="v=spf1 include:i.example -all")
INNER = RecordStep(domain="i.example", text="v=spf1 include:e.example ?all")
PINNED = RecordStep(domain="e.example", text="v=spf1 include:e.example -all")


@pytest.mark.parametrize(
    ("leads_to", "above", "loop"),
    [
        (INNER, (FIRST, INNER), Loop(domain="i.example", direct=True)),
        (FIRST, (FIRST, INNER), Loop(domain="e.example", direct=False)),
        (INNER, (FIRST,), None),
        (None, (FIRST, INNER), None),
        (FIRST, (PINNED,), None),  # a record in the settings may include the published one of its domain
    ],
)
def test_where_a_term_leads_back(leads_to: RecordStep | None, above: tuple[RecordStep, ...], loop: Loop | None) -> None:
    assert loop_at(TermStep(text="include:x", matched=None, record=leads_to), above) == loop
