"""Which addresses belong together, and which names can be a mail server's."""

import pytest

from spfmilter.report.heaviest import Heaviest
from spfmilter.report.related import network_of, usable_name


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


@pytest.mark.parametrize(
    ("name", "client", "expected"),
    [
        ("Mail.Example.com.", "203.0.113.7", "mail.example.com"),
        ("mx7.example.com", "203.0.113.7", "mx7.example.com"),
        ("unknown", "203.0.113.7", ""),
        ("[203.0.113.7]", "203.0.113.7", ""),
        ("203.0.113.7", "203.0.113.7", ""),
        (None, "203.0.113.7", ""),
        ("203-0-113-7.dsl.example", "203.0.113.7", ""),
        ("7.113.0.203.static.example", "203.0.113.7", ""),
        ("host203000113007.example", "203.0.113.7", ""),
        ("cb007107.dyn.example", "203.0.113.7", ""),
        ("2001-0db8-0000-0000.example", "2001:db8::7", ""),
        ("mail.example.com", "2001:db8::7", "mail.example.com"),
        ("mail.example.com", "nonsense", "mail.example.com"),
        ("<b>.example.com", "203.0.113.7", ""),
        ("$(reboot).example.com", "203.0.113.7", ""),
        ("a b.example", "203.0.113.7", ""),
    ],
)
def test_the_name_of_a_mail_server(name, client, expected) -> None:
    assert usable_name(name, client) == expected


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
