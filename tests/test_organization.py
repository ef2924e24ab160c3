"""The organization that a name belongs to."""

import pytest

from spfmilter.organization import organization


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("example.com", "example.com"),
        ("a.b.Example.com.", "example.com"),
        ("mail.example.co.uk", "example.co.uk"),
        ("mail.example.com.br", "example.com.br"),
        ("co.uk", "co.uk"),
        ("www.de", "www.de"),
        ("mail.example.de", "example.de"),
        ("localhost", "localhost"),
        ("", ""),
        ("..", ""),
    ],
)
def test_the_organization_of_a_domain(domain, expected) -> None:
    assert organization(domain) == expected
