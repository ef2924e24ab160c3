from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Identity
from spfmilter.web import form

IP = "203.0.113.7"


@pytest.mark.parametrize(
    ("mail_from", "helo", "identity", "local", "domain", "greeting"),
    [
        ("alice@example.com", "", Identity.MAILFROM, "alice", "example.com", "unknown"),
        ("<alice@example.com>", "mx.example.com", Identity.MAILFROM, "alice", "example.com", "mx.example.com"),
        ("example.com", "", Identity.MAILFROM, "postmaster", "example.com", "unknown"),
        ("Bob Smith <alice@example.com>", "", Identity.MAILFROM, "alice", "example.com", "unknown"),
        (" example.com. ", "", Identity.MAILFROM, "postmaster", "example.com", "unknown"),
        ("@example.com", "", Identity.MAILFROM, "postmaster", "example.com", "unknown"),
        ('"a@b"@example.com', "", Identity.MAILFROM, '"a@b"', "example.com", "unknown"),
        ("bücher.example", "", Identity.MAILFROM, "postmaster", "xn--bcher-kva.example", "unknown"),
        ("", "mx.example.com", Identity.HELO, "postmaster", "mx.example.com", "mx.example.com"),
    ],
)
def test_what_was_typed_becomes_a_check(mail_from, helo, identity, local, domain, greeting) -> None:
    check = form.read({"ip": f" {IP} ", "mail_from": mail_from, "helo": helo}).check
    assert check is not None
    assert (check.identity, check.local, check.domain, check.helo) == (identity, local, domain, greeting)
    assert str(check.address) == IP


@pytest.mark.parametrize(
    ("fields", "complained"),
    [
        ({"ip": ""}, {"ip", "mail_from"}),
        ({"ip": "203.0.113.256", "mail_from": "a@example.com"}, {"ip"}),
        ({"ip": "mail.example.com", "mail_from": "a@example.com"}, {"ip"}),
        *(({"ip": ip, "mail_from": "a@example.com"}, {"ip"}) for ip in ("10.0.0.7", "127.0.0.1", "fd00::7", "::1")),
        ({"ip": IP}, {"mail_from"}),
        ({"ip": IP, "mail_from": "alice"}, {"mail_from"}),
        ({"ip": IP, "mail_from": "alice@[192.0.2.1]"}, {"mail_from"}),
        ({"ip": IP, "mail_from": "a@" + "x" * 400 + ".example"}, {"mail_from"}),
        ({"ip": IP, "mail_from": "a@example.com", "helo": "localhost"}, {"helo"}),
        ({"helo": "[192.0.2.1]"}, {"ip", "helo"}),
    ],
)
def test_each_field_that_is_wrong_is_named(fields, complained) -> None:
    read = form.read(fields)
    assert read.check is None
    assert set(read.complaints) == complained


@pytest.mark.parametrize(
    ("ip", "address"),
    [
        ("64:ff9b::203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("64:ff9b::10.0.0.7", None),  # a private address behind the translator
    ],
)
def test_an_ipv4_client_behind_a_translator_is_checked_as_the_daemon_checks_it(ip: str, address: str | None) -> None:
    found = form.read({"ip": ip, "mail_from": "a@example.com"}, (ip_network("64:ff9b::/96"),))  # type: ignore[arg-type]
    assert (str(found.check.address) if found.check else None) == address
    assert found.values["ip"] == ip
    assert set(found.complaints) == (set() if address else {"ip"})


def test_no_field_is_no_complaint() -> None:
    assert form.read({"lang": "en"}) is form.EMPTY


@given(st.fixed_dictionaries({}, optional={name: st.text(max_size=400) for name in form.FIELDS}))
def test_any_input_is_a_check_or_an_error(fields) -> None:
    read = form.read(fields)
    assert (read.check is None) == bool(read.complaints or not fields)
    assert all(value.isprintable() and len(value) <= 320 for value in read.values.values())
