"""Which exemptions let in more than somebody probably means, and why. Pure.

``spfmilter exempt add`` asks for ``--force`` there (docs/decisions/0057-exemption-policy.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.exemptions.exemption import Exemption, Network
from spfmilter.spf.providers import provider_of

# IPv4: 65 536 addresses. Few senders have more; the networks of a country or of a large provider do. IPv6: a /32 is
# what a registry gives to a provider as a whole (RIPE-738 section 5.1), so that a wider network is that of several.
WIDEST = {4: 16, 6: 32}
LONGEST = 366 * 86400  # seconds; what lasts longer is a setting, and belongs into the INI file

# Below a country's domain these words are no organization's name but a registry's: they repeat the generic domains of
# RFC 1591 section 2 (com, edu, gov, mil, net, org), or are the short forms that registries use (co.uk, ac.jp, or.kr).
_REGISTRY_WORDS = frozenset(("ac", "co", "com", "edu", "go", "gob", "gov", "mil", "ne", "net", "or", "org"))


def dangers(exemption: Exemption) -> Iterator[str]:
    """Yield why an exemption needs ``--force``, a clause for each reason."""
    if exemption.network is not None:
        yield from _wide(exemption.network)
    elif exemption.domain:
        yield from _anyones(exemption.domain)
    name = exemption.forwarder or exemption.forwarder_spf or (exemption.domain if exemption.network is None else "")
    if name and is_public_suffix(name):
        yield f"{name} is not one organization's domain: anyone can register a name below it"
    if exemption.until is None:
        yield "it would never end: a permanent exemption belongs into the INI file, where the next reader sees it"
    elif exemption.until - exemption.added > LONGEST:
        yield "it would last longer than a year: a permanent exemption belongs into the INI file"


def _wide(network: Network) -> Iterator[str]:
    if network.prefixlen == 0:
        yield f"{network} is every address, so that no client would be refused any more"
    elif network.prefixlen < WIDEST[network.version]:
        yield (
            f"{network} is wider than /{WIDEST[network.version]}: so many addresses are not those of one sender, but "
            "of a provider with all of its customers, or of a country"
        )


def _anyones(domain: str) -> Iterator[str]:
    name = domain.removeprefix(".")
    if provider_of(name) is not None:
        yield f"{name} gives mailboxes to anyone, and forged mail in its name is common: name the client, by --from"


def is_public_suffix(pattern: str) -> bool:
    """Return whether anyone can register a name below this one, as far as the name itself shows it.

    The Public Suffix List is not used (docs/decisions/0034-dmarc.md).
    """
    labels = pattern.removeprefix(".").split(".")
    if len(labels) == 1:
        return True
    return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _REGISTRY_WORDS
