"""Any resolv.conf gives addresses of nameservers, or none."""

from ipaddress import ip_address

from spfmilter.dns.resolver import _nameservers


def one_input(data: bytes) -> None:
    """The bytes of the file."""
    for address in _nameservers(data.decode("utf-8", "replace")):
        ip_address(address)
