from typing import Any

import pytest

from spfmilter.web.costs import costs_of
from tests.evaluation.world import ours

HOSTS: dict[str, Any] = {f"h{n}.example": [{"A": "203.0.113.9"}] for n in range(9)}


def record(lookups: int) -> list[dict[str, str]]:
    """A record with so many terms that need a lookup."""
    return [{"TXT": "v=spf1 " + "".join(f"a:h{n}.example " for n in range(lookups)) + "?all"}]


def costs(text: str, **other: Any) -> list[tuple[str, int, bool]]:
    zone = {"e.example": [{"TXT": text}, {"A": "203.0.113.9"}], **HOSTS, **other}
    return [(cost.term, cost.lookups, cost.at_least) for cost in costs_of(ours(zone, trace=True))]


def test_each_term_of_a_record_with_too_many_lookups_has_its_cost() -> None:
    """Those inside an include as well; where the limit was reached, and behind it, it may be more."""
    inside = {"b.example": record(3), "c.example": record(5), "d.example": record(2)}
    assert costs("v=spf1 a ip4:203.0.113.1 include:b.example include:c.example include:d.example ~all", **inside) == [
        ("a", 1, False),
        ("include:b.example", 4, False),
        ("include:c.example", 6, True),
        ("include:d.example", 1, True),
    ]


def test_an_include_of_an_include_costs_both() -> None:
    inside = {"b.example": [{"TXT": "v=spf1 include:c.example ?all"}], "c.example": record(5), "d.example": record(9)}
    assert costs("v=spf1 include:b.example redirect=d.example", **inside) == [
        ("include:b.example", 7, False),
        ("redirect=d.example", 4, True),
    ]


@pytest.mark.parametrize("text", ["v=spf1 a -all", "v=spf1 nonsense", "v=spf1 -all"])
def test_another_record_has_no_table(text: str) -> None:
    assert costs(text) == []


def test_what_a_record_holds_is_bounded_and_sanitized() -> None:
    many = "v=spf1 " + "".join(f"a:h{n % 9}.example " for n in range(40)) + "include:" + "x" * 300 + ".example"
    found = costs(many)
    assert len(found) == 12
    assert all(len(term) <= 100 for term, _, _ in found)
