"""The exceptions that let mail in: entries of ``[exempt]`` that were never used, and exemptions that end soon. Pure.

Knows how a row of the journal tells which entry was the reason. ``[exempt] recipients`` cannot be told: the journal
keeps no recipient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spfmilter.addresses import is_named, parse_address
from spfmilter.exemptions.exemption import Exemption
from spfmilter.journal.sums import UsedOverride
from spfmilter.model import OverrideType
from spfmilter.report.advice import NextStep, command, without
from spfmilter.settings import Settings
from spfmilter.settings.entries import ExemptSender
from spfmilter.settings.schema import ExemptSection
from spfmilter.settings.values import to_ini

SOON = 7 * 86_400_000  # milliseconds before its end
_KEYS = ("networks", "forwarders", "forwarder_spf", "senders")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExemptEntry:
    """An entry of ``[exempt]``, or an exemption that a command has made, and whether it was the reason for anything."""

    text: str  # such as "[exempt] forwarders: mx.example.org"
    used: bool  # in the span
    begun: int = 0  # milliseconds since 1970 UTC
    ends: int | None = None  # the same; None: never by itself
    steps: tuple[NextStep, ...] = ()  # that remove it

    def ends_soon(self, now: int) -> bool:
        """Return whether it will have ended in a week, and half of its time is over: one for a week has just begun."""
        return self.ends is not None and self.ends - now <= min(SOON, (self.ends - self.begun) / 2)


def of_settings(
    settings: Settings,
    overrides: Sequence[UsedOverride],
    clients: Callable[[], Iterable[str]],
    senders: Callable[[], Iterable[tuple[str, str | None]]],
) -> list[ExemptEntry]:
    """Return the entries that the INI file has in ``[exempt]``, but for the defaults.

    Args:
        settings: those of the file.
        overrides: that were a reason in the span.
        clients: returns the clients that ``networks`` exempted. Called only if there are entries.
        senders: returns the domains that ``senders`` exempted without a check, with their clients. The same.
    """
    used = {
        "networks": lambda: _used_networks(settings, clients()),
        "forwarders": lambda: _used_forwarders(settings, overrides),
        "forwarder_spf": lambda: {str(one.by) for one in overrides if _is_by(one, "forwarder_spf")},
        "senders": lambda: _used_senders(settings, overrides, senders()),
    }
    entries = []
    for key in _KEYS:
        values = getattr(settings.exempt, key)
        if not settings.rule("exempt", key).place or not values:
            continue
        hits = used[key]()
        texts = [to_ini(value) for value in values]
        # The defaults are there in case; the INI file that we ship names them.
        usual = {to_ini(value) for value in ExemptSection.model_fields[key].default}
        for text in texts:
            if text in usual:
                continue
            rest = without(key, text, texts, settings)
            entries.append(ExemptEntry(text=f"[exempt] {key}: {text}", used=text in hits, steps=(rest,)))
    return entries


def of_exemptions(
    exemptions: Sequence[Exemption], overrides: Sequence[UsedOverride], now: int, since: int
) -> list[ExemptEntry]:
    """Return the temporary exemptions in force. One that is younger than the span counts as used: it had no chance yet.

    Args:
        exemptions: as the store has them.
        overrides: that were a reason in the span.
        now: milliseconds since 1970 UTC.
        since: the same, the beginning of the span.
    """
    hits = {str(one.by) for one in overrides if one.type == OverrideType.EXEMPTION}
    return [
        ExemptEntry(
            text=f"exemption {one.id}: {one.subject}",
            used=one.id in hits or one.added * 1000 > since,
            begun=one.added * 1000,
            ends=one.until * 1000 if one.until is not None else None,
            steps=(command("remove it", "exempt", "remove", one.id),),
        )
        for one in exemptions
        if one.is_in_force(now / 1000)
    ]


def _is_by(override: UsedOverride, key: str) -> bool:
    """Return whether a forwarder was let in by this key."""
    return override.type == OverrideType.TRUSTED_FORWARDER and (override.rule or "").startswith(f"[exempt] {key} ")


def _used_networks(settings: Settings, clients: Iterable[str]) -> set[str]:
    left = list(settings.exempt.networks)
    used = set()
    for client in clients:
        address = parse_address(client)
        if address is None:
            continue
        hits = [network for network in left if address in network]
        used |= {to_ini(network) for network in hits}
        left = [network for network in left if network not in hits]
        if not left:
            break
    return used


def _used_forwarders(settings: Settings, overrides: Sequence[UsedOverride]) -> set[str]:
    hosts = [str(one.by) for one in overrides if _is_by(one, "forwarders")]
    return {entry for entry in settings.exempt.forwarders if any(is_named(host, (entry,)) for host in hosts)}


def _used_senders(
    settings: Settings, overrides: Sequence[UsedOverride], senders: Iterable[tuple[str, str | None]]
) -> set[str]:
    entries: Sequence[ExemptSender] = settings.exempt.senders
    passed = {str(one.by) for one in overrides if one.type == OverrideType.EXEMPT_SENDER}
    used = {str(entry) for entry in entries if entry.if_pass and entry.domain in passed}
    unchecked = [entry for entry in entries if not entry.if_pass]
    left = {str(entry) for entry in unchecked}
    for domain, client in senders if left else ():
        address = parse_address(client) if client is not None else None
        hit = next((entry for entry in unchecked if is_named(domain, (entry.domain,)) and entry.covers(address)), None)
        left.discard(str(hit))
        if not left:
            break
    return used | ({str(entry) for entry in unchecked} - left)
