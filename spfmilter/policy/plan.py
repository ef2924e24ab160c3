"""Which checks a message needs, and which setting exempts it from all checks.

Knows the exemptions and their order, and which identities to check. Knows no verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from spfmilter.addresses import dns_domain, is_private
from spfmilter.model import Check, Client, Facts, Identity, Plan, Rule, SkipReason
from spfmilter.policy.rules import domain_section
from spfmilter.policy.senders import exempt_by
from spfmilter.settings import Settings
from spfmilter.settings.networklist import NetworkList
from spfmilter.spf.checks import helo_check, mail_from_check, null_sender_check


def plan(facts: Facts, settings: Settings) -> Plan:
    """Return the checks to make for a message, in their order, or the reason to make none."""
    for reason, fits in EXEMPTIONS.items():
        if fits(facts, settings):
            return Plan(skip=reason, rule=exemption(reason, facts, settings))
    address, helo = facts.client.address, facts.helo or ""
    assert address is not None, "exempt as an unknown client"  # noqa: S101 - for the type checker
    wanted, path = settings.policy.check, facts.reverse_path
    if path.null:
        # RFC 7208 section 2.4: the MAIL FROM identity is then postmaster@HELO. It is one evaluation, reported as
        # HELO's. The tables of both identities apply to it, see ``rules.applied_entries``.
        return Plan(checks=(null_sender_check(address, helo),))
    checks = []
    if Identity.HELO in wanted:
        checks.append(helo_check(address, helo))
    if Identity.MAILFROM in wanted:
        checks.append(mail_from_check(address, path, helo, record=_pinned_record(path.domain, settings)))
    return Plan(checks=tuple(checks), sender_domain=dns_domain(path.domain))


def _pinned_record(domain: str, settings: Settings) -> str:
    """Return the administrator's record for a sender's domain; empty if the published one counts."""
    name = domain_section(dns_domain(domain), settings) if settings.domains else None
    return settings.domains[name].record if name is not None else ""


def helo_checks(facts: Facts, settings: Settings) -> tuple[Check, ...]:
    """Return the checks that are certain at HELO, before MAIL FROM."""
    helo, address = facts.helo or "", facts.client.address
    wanted = Identity.HELO in settings.policy.check and dns_domain(helo)
    if not wanted or address is None or is_relay(facts.client, settings):
        return ()
    if any(fits(facts, settings) for fits in EXEMPTIONS.values()):
        return ()
    return (helo_check(address, helo),)


def plan_behind(facts: Facts, found: Client | None, helo: str | None, settings: Settings) -> tuple[Facts, Plan]:
    """Return facts and plan for a message from a trusted relay, when its header is known.

    If no client was found, there is no check: the relay's own address would fail for every domain.

    Args:
        facts: those of the relay's connection.
        found: the originating client; None: the Received fields do not name it.
        helo: that client's HELO.
        settings: the exemptions and the identities to check.
    """
    if found is None:
        return facts, Plan(skip=SkipReason.RELAY, rule=exemption(SkipReason.RELAY, facts, settings))
    # The relay has logged in, not the client behind it.
    behind = replace(facts, client=found, helo=helo, authenticated="", relay=facts.client)
    return behind, plan(behind, settings)


def is_relay(client: Client, settings: Settings) -> bool:
    """Return whether the client is a trusted relay, so that the Received fields name the client to check."""
    address, trusted = client.address, settings.relays.trusted
    return bool(trusted) and address is not None and trusted.covers(address)


def awaits_header(facts: Facts, settings: Settings) -> bool:
    """Return whether the client to check is known only with the message's header.

    That is so for a trusted relay, unless the relay itself is trusted to send for the domain, such as a list server.
    """
    return is_relay(facts.client, settings) and not _is_trusted_for_domain(facts, settings)


# -- exemptions --------------------------------------------------------------------------------------------------------


def _in_network(facts: Facts, settings: Settings) -> bool:
    address = facts.client.address
    return address is not None and settings.exempt.networks.covers(address)


def _has_private_address(facts: Facts, settings: Settings) -> bool:
    address = facts.client.address
    return settings.exempt.private_clients and address is not None and is_private(address)


def _is_exempt_sender(facts: Facts, settings: Settings) -> bool:
    if not settings.exempt.senders:
        return False
    domain, address = dns_domain(facts.reverse_path.domain), facts.client.address
    return exempt_by(domain, address, settings, if_pass=False) is not None


def _is_trusted_for_domain(facts: Facts, settings: Settings) -> bool:
    if not settings.domains:
        return False
    name, address = domain_section(dns_domain(facts.reverse_path.domain), settings), facts.client.address
    return name is not None and address is not None and settings.domains[name].trust.covers(address)


# First match wins; the most specific exemptions come first.
EXEMPTIONS: Mapping[SkipReason, Callable[[Facts, Settings], bool]] = {
    SkipReason.LOCAL: lambda facts, _: facts.client.local,
    SkipReason.NETWORK: _in_network,
    SkipReason.AUTHENTICATED: lambda facts, settings: bool(facts.authenticated) and settings.exempt.authenticated,
    SkipReason.UNKNOWN_CLIENT: lambda facts, _: facts.client.address is None,
    SkipReason.PRIVATE: _has_private_address,
    SkipReason.SENDER: _is_exempt_sender,
    SkipReason.TRUSTED_FOR_DOMAIN: _is_trusted_for_domain,
}


def exemption(reason: SkipReason, facts: Facts, settings: Settings) -> Rule | None:
    """Return the line of the settings that exempts a message for this reason, or would; None if there is no line.

    There is none for TRUSTED_FOR_DOMAIN if the domain in MAIL FROM has no section.
    """
    match reason:
        case SkipReason.NETWORK:
            return settings.rule("exempt", "networks", _entry(settings.exempt.networks, facts))
        case SkipReason.PRIVATE:
            return settings.rule("exempt", "private_clients")
        case SkipReason.AUTHENTICATED:
            return settings.rule("exempt", "authenticated")
        case SkipReason.SENDER:
            domain, address = dns_domain(facts.reverse_path.domain), facts.client.address
            return settings.rule("exempt", "senders", exempt_by(domain, address, settings, if_pass=False))
        case SkipReason.RELAY:
            return settings.rule("relays", "trusted", _entry(settings.relays.trusted, facts))
        case SkipReason.TRUSTED_FOR_DOMAIN:
            name = domain_section(dns_domain(facts.reverse_path.domain), settings)
            if name is None:
                return None
            return settings.rule(f"domain:{name}", "trust", _entry(settings.domains[name].trust, facts))
        case SkipReason.LOCAL | SkipReason.UNKNOWN_CLIENT:
            return Rule(section="", key=reason, value="")  # no address: SPF cannot check anything


def _entry(networks: NetworkList, facts: Facts) -> int | None:
    """Return the place of the network that holds the client; None: none does."""
    address = facts.client.address
    return networks.find(address) if address is not None else None
