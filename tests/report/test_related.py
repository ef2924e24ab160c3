"""Which addresses belong together, and which names can be a mail server's."""

import pytest

from spfmilter.report.heaviest import Heaviest
from spfmilter.report.related import network_of


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8:0:0:1::7", "2001:db8::/64"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("<b>", "<b>"),
        ("", ""),
    ],
)
def test_the_network_of_an_address(client, expected) -> None:
    assert network_of(client) == expected


class Pile:
    """A group that counts."""

    size = 0


def test_memory_is_bounded_and_the_heavy_ones_stay() -> None:
    """However many keys there are: those that come often are found, and counted in full."""
    piles = Heaviest(Pile, lambda pile: pile.size, most=100)
    for number in range(50_000):
        piles[f"once {number}"].size += 1
        piles[f"often {number % 5}"].size += 1
        assert len(piles._groups) <= 100
    assert [(key, pile.size) for key, pile in piles.top(5)] == [(f"often {number}", 10_000) for number in range(5)]
