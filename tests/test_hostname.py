"""Which names can be those of mail servers."""

import pytest

from spfmilter.hostname import is_host, usable_name


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mail.example.com", True),
        ("_x.example.com", True),
        ("Mail.example.com", False),
        ("mail.example.com.", False),
        ("unknown", False),
        ("", False),
        ("203.0.113.7", False),
        ("[203.0.113.7]", False),
        ("a..b", False),
        ("<b>.example.com", False),
        ("a b.example", False),
        ("b\u00fccher.example", False),
        ("a." * 126 + "b", True),
        ("a." * 126 + "bc", False),
    ],
)
def test_the_form_of_a_host_name(name, expected) -> None:
    assert is_host(name) is expected
