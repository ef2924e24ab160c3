"""Read the form of the check by hand. The result is a check, or a complaint for each wrong field.

Knows the form's fields. Does not know how they are shown. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Network

from spfmilter.addresses import dns_domain, embedded_ip4, is_private, parse_address, parse_reverse_path, written_address
from spfmilter.model import Check, IPAddress
from spfmilter.spf.checks import domain_check, helo_check, mail_from_check
from spfmilter.text import unicode_line
from spfmilter.web.wording import N_

FIELDS = ("ip", "mail_from", "helo")
_MAX_LENGTH = 320  # characters of a field: an address has 254 (RFC 5321 section 4.5.3.1.3)
_NO_SENDER = N_("Enter an email address or a domain, such as name@example.com or example.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The fields, to show them again, and either a check or a complaint for at least one field."""

    values: Mapping[str, str]
    complaints: Mapping[str, str]  # by field: keys of the catalogue
    check: Check | None = None


EMPTY = Form(values=dict.fromkeys(FIELDS, ""), complaints={})


def read(parameters: Mapping[str, str], nat64: Sequence[IPv6Network] = ()) -> Form:
    """Return the form that was sent; EMPTY if none of its fields was sent.

    Args:
        parameters: the fields by name, and others.
        nat64: the prefixes of translators, whose clients are IPv4 hosts for the daemon as well.
    """
    if not any(name in parameters for name in FIELDS):
        return EMPTY
    values = {name: unicode_line(parameters.get(name, "").strip(), _MAX_LENGTH) for name in FIELDS}
    values["mail_from"] = written_address(values["mail_from"])
    complaints = {}
    address = parse_address(values["ip"])
    address = address and embedded_ip4(address, nat64)
    if address is None:
        complaints["ip"] = N_("Enter an IP address, such as 203.0.113.7 or 2001:db8::7")
    elif is_private(address) or address.is_loopback:  # what our DNS says of these is private, too
        complaints["ip"] = N_("This is a private address. Enter the public IP address of the server")
    if values["helo"] and not dns_domain(values["helo"]):
        complaints["helo"] = N_("Enter the full name of the server, such as mail.example.com")
    sender = values["mail_from"]
    if not (_domain(sender) if sender else values["helo"]):
        complaints["mail_from"] = _NO_SENDER
    if complaints or address is None:
        return Form(values=values, complaints=complaints)
    return Form(values=values, complaints={}, check=_check(address, sender, values["helo"]))


def _domain(sender: str) -> str:
    return dns_domain(parse_reverse_path(sender).domain if "@" in sender else sender)


def _check(address: IPAddress, sender: str, helo: str) -> Check:
    if not sender:
        return helo_check(address, helo)
    if "@" not in sender:
        return domain_check(address, _domain(sender), helo, record="")
    return mail_from_check(address, parse_reverse_path(sender), helo, record="")
