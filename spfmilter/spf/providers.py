"""List the providers of free mailboxes: their users cannot change the SPF record of the domain in their address.

Knows each provider's own domains and the server that its users send through. Subdomains do not belong to a provider
unless they are listed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of free mailboxes."""

    name: str  # as its users know it
    domains: tuple[str, ...]  # its own, in which it gives mailboxes to anyone
    server: str  # to which users' mail programs send; empty: webmail alone
    port: int
    credential: str  # what users call the password of a mail program; empty: it is that of the mailbox
    hosts: tuple[str, ...] = ()  # its servers are called so, or end so, besides its domains

    def runs(self, host: str) -> bool:
        """Tell whether a host name, in lower case and without a final dot, is one of the provider's."""
        return any(host == name or host.endswith("." + name) for name in (*self.domains, *self.hosts))


_PROVIDERS = (
    Provider(
        name="Gmail", domains=("gmail.com", "googlemail.com"), server="smtp.gmail.com", port=465,
        credential="app password", hosts=("google.com",),
    ),
)  # fmt: skip
_BY_DOMAIN = {domain: provider for provider in _PROVIDERS for domain in provider.domains}


def provider_of(domain: str) -> Provider | None:
    """Return the provider whose own domain this is; None: there is none."""
    return _BY_DOMAIN.get(domain.lower())
