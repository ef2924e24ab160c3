"""Settings that are well-formed and have no effect: they need another setting, or another setting comes before them.

A finding is no error: the daemon follows the other settings. A value equal to the default is never a finding, since the
shipped file has all defaults. ``consistency`` finds settings that contradict each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from spfmilter.addresses import patterns_of
from spfmilter.model import CONDITIONS, Condition, Disposition, Identity, Result
from spfmilter.settings.effective import Settings
from spfmilter.settings.entries import ExemptSender
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.namelist import TextList
from spfmilter.settings.schema import TABLES, FieldKind, PolicyEntries, attribute_of

# Section and key, perhaps with the place of an entry in the list; and why it has no effect.
Finding = tuple[tuple[str, str] | tuple[str, str, int], str]

_TOLD = 10  # findings about the entries of one list that are each reported

_KEYS: tuple[Result | Condition, ...] = (*Result, *Condition)


def without_effect(settings: Settings, *, is_public: bool) -> tuple[SettingProblem, ...]:
    """Return each setting that has no effect, in the order of the file.

    Args:
        settings: all of them.
        is_public: this host has an address of the public Internet.
    """
    found = [(place, f"has no effect: {why}") for place, why in _found(settings)]
    found += _unknown_address(settings, is_public=is_public)
    problems, counts = [], Counter[tuple[str, str]]()
    for (section, key, *place), message in found:
        if not key or _differs(settings, section, key):
            entry = next(iter(place), None)
            counts[section, key] += 1
            if counts[section, key] <= _TOLD:
                problems.append(settings.problem(section, key, message, entry))
    for (section, key), number in counts.items():
        if number > _TOLD:
            problems.append(settings.problem(section, key, f"{number - _TOLD} more entries have no effect"))
    return tuple(sorted(problems, key=lambda problem: (problem.file or "", problem.line or 0)))


def _found(settings: Settings) -> Iterator[Finding]:
    yield from _socket(settings)
    yield from _own_addresses(settings)
    yield from _unread_entries(settings)
    yield from _needs_a_disposition(settings)
    yield from _shadowed(settings)
    yield from _in_nat64(settings)
    yield from _single_labels(settings)
    if settings.relays.refuse and not settings.relays.trusted:
        yield ("relays", "refuse"), "trusted is empty, so no server counts as a relay"
    if settings.headers.skipped and FieldKind.AUTHENTICATION_RESULTS not in settings.headers.write:
        yield ("headers", "skipped"), "write has no authentication-results, the only field that says so"
    if len(settings.headers.authserv_id) > 1 and not settings.headers.remove_forged:
        yield ("headers", "authserv_id"), "names after the first are those of fields to remove, and remove_forged = no"
    if not settings.reply.suggest_services:
        for name in settings.services:
            yield (f"service:{name}", ""), "[reply] suggest_services = no"
    if not settings.dns.cache_entries:
        for key in ("cache_max_ttl", "serve_stale"):
            yield ("dns", key), "cache_entries = 0 remembers no answer"


def _socket(settings: Settings) -> Iterator[Finding]:
    family = settings.milter.socket.family
    if family != "unix":
        why = "spfmilter.socket sets it" if family == "systemd" else "only a unix socket has one"
        for key in ("socket_mode", "socket_group"):
            yield ("milter", key), why


def _own_addresses(settings: Settings) -> Iterator[Finding]:
    own, place = settings.policy.own_addresses, ("policy", "own_addresses")
    if not _with_wide_open(settings):
        yield place, "no policy entry is called wide_open"
        return
    for address in own:
        if not address.is_global:
            yield place, f"{address} is an address of documentation, which no host has"


def _unknown_address(settings: Settings, *, is_public: bool) -> Iterator[Finding]:
    """Yield each ``wide_open`` that needs a public address of this server. The text is the whole message."""
    if settings.policy.own_addresses or is_public:
        return
    for name in _with_wide_open(settings):
        message = (
            "cannot work, but for records that name every address: no public address of this server is known, as "
            "behind NAT. Write the addresses at which others reach your MTA into [policy] own_addresses"
        )
        yield (name, Condition.WIDE_OPEN), message


def _with_wide_open(settings: Settings) -> list[str]:
    return [name for name, entries in _sections(settings) if entries.entry(Condition.WIDE_OPEN) is not None]


def _unread_entries(settings: Settings) -> Iterator[Finding]:
    """Yield the entries of an identity that is not checked."""
    checked = settings.policy.check
    for identity, name in TABLES.items():
        if identity not in checked:
            for key in _KEYS:
                yield (name, key), f"[policy] check has no {identity}"
    if Identity.MAILFROM not in checked:
        for domain, section in settings.domains.items():
            why = "it is about MAIL FROM, and [policy] check has no mailfrom"
            yield from (((f"domain:{domain}", entry), why) for entry in _KEYS)
            if section.record and domain not in settings.exempt.forwarder_spf:
                yield (f"domain:{domain}", "record"), why


def _needs_a_disposition(settings: Settings) -> Iterator[Finding]:
    """Yield settings for messages that are tagged, held, deferred or refused, if the policy never does that."""
    used = _dispositions(settings, _KEYS)
    if Disposition.DEFER not in used:
        yield ("policy", "defer_at_most"), "no policy entry says defer"
    if not used & {Disposition.TAG, Disposition.QUARANTINE, *_made_tags(settings)}:
        for key in ("tag_subject", "tag_header"):
            yield ("headers", key), "no policy entry says tag or quarantine"
    harsh = {result for result in Result if not _dispositions(settings, _entries_for(result)) <= {Disposition.ACCEPT}}
    for result in Result:
        if result not in harsh:
            yield ("reply", result), f"every policy entry for {result} says accept"
    if not harsh - {Result.PASS}:
        for key in ("forwarders", "forwarder_spf"):
            yield ("exempt", key), "every policy entry but that of pass says accept"
    if Result.FAIL not in harsh:
        yield ("policy", "yield_to_dmarc"), "every policy entry for fail says accept"


def _made_tags(settings: Settings) -> Iterable[Disposition]:
    """Return the dispositions that become a tag for mail from a relay."""
    tags = bool(settings.relays.trusted) and not settings.relays.refuse
    return (Disposition.REJECT, Disposition.DEFER) if tags else ()


def _entries_for(result: Result) -> tuple[Result | Condition, ...]:
    return (result, CONDITIONS[result]) if result in CONDITIONS else (result,)


def _dispositions(settings: Settings, keys: Iterable[Result | Condition]) -> set[Disposition]:
    """Return the dispositions of the entries of these keys, with those that follow a deferral."""
    found = {entries.entry(key) for _, entries in _sections(settings) for key in keys}
    return {each for entry in found if entry is not None for each in (entry.disposition, entry.afterwards)}


def _shadowed(settings: Settings) -> Iterator[Finding]:
    """Yield settings that have no effect because another setting comes before them."""
    for place in settings.exempt.networks.among(settings.relays.trusted):
        network = settings.exempt.networks[place]
        yield ("exempt", "networks", place), f"{network} is in [relays] trusted, which goes first"
    for pattern in settings.recipients:
        if pattern in settings.exempt.recipients:
            yield (f"recipient:{pattern}", ""), "the recipient is in [exempt] recipients, which goes first"
    senders = settings.exempt.senders
    for domain, section in settings.domains.items():
        patterns = [domain] if domain.startswith(".") else patterns_of(domain)
        exempt = any(senders[place] == ExemptSender(name) for name in patterns for place in senders.places(name))
        if exempt and domain not in settings.exempt.forwarder_spf:
            yield (f"domain:{domain}", ""), "the domain is in [exempt] senders, which goes first"
        for place in section.trust.among(settings.exempt.networks):
            network = section.trust[place]
            yield (f"domain:{domain}", "trust", place), f"{network} is in [exempt] networks, which goes first"


def _single_labels(settings: Settings) -> Iterator[Finding]:
    """Yield names of one label for a sender's domain, which has two or more (RFC 7208 section 4.3)."""
    why = "has one label only, and SPF is checked for names of two or more"
    for domain in settings.domains:
        if "." not in domain:
            yield (f"domain:{domain}", ""), f"{domain} {why}"
    lists: tuple[tuple[str, TextList[Any]], ...] = (
        ("senders", settings.exempt.senders),
        ("forwarder_spf", settings.exempt.forwarder_spf),
    )
    for key, names in lists:
        for place, name in enumerate(names.keys()):
            if "." not in name:
                yield ("exempt", key, place), f"{name} {why}"


def _in_nat64(settings: Settings) -> Iterator[Finding]:
    """Yield IPv6 networks whose clients count as IPv4."""
    for section, key, networks in (
        ("exempt", "networks", settings.exempt.networks),
        ("relays", "trusted", settings.relays.trusted),
        *((f"domain:{name}", "trust", section.trust) for name, section in settings.domains.items()),
    ):
        for prefix in settings.policy.nat64_prefixes:
            for place in networks.within(prefix):
                network = networks[place]
                why = f"clients in {network} count as IPv4 by [policy] nat64_prefixes: write their IPv4 addresses"
                yield (section, key, place), why


def _sections(settings: Settings) -> Iterator[tuple[str, PolicyEntries]]:
    """Yield the sections whose entries can apply."""
    for identity in settings.policy.check:
        yield TABLES[identity], settings.table(identity)
    if Identity.MAILFROM in settings.policy.check:
        yield from ((f"domain:{name}", section) for name, section in settings.domains.items())
    yield from ((f"recipient:{name}", section) for name, section in settings.recipients.items())


def _differs(settings: Settings, section: str, key: str) -> bool:
    """Return whether the file gives the key another value than the default."""
    found = settings.section(section)
    attribute = attribute_of(type(found), key) if found is not None else None
    if found is None or attribute is None:
        return False
    return bool(getattr(found, attribute) != type(found).model_fields[attribute].default)
