"""Contradictions between settings: those that would have no effect, or need another setting.

Knows which key depends on which. Every finding has the line of the setting that would have no effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.settings.effective import Settings
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.schema import ExemptSection, RejectAt
from spfmilter.settings.values import nameserver
from spfmilter.zones import Zones


def contradictions(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each contradiction."""
    policy = settings.policy
    if policy.yield_to_dmarc and policy.reject_at is not RejectAt.MESSAGE:
        yield _problem(
            settings,
            ("policy", "yield_to_dmarc"),
            "the From field is known only with the whole header: write reject_at = message as well",
        )
    if policy.reject_at is RejectAt.MAIL:
        unknown = "no recipient is known at reject_at = mail: write reject_at = rcpt, or message, in [policy]"
        for pattern in settings.recipients:
            yield _problem(settings, (f"recipient:{pattern}", ""), unknown)
        usual = ExemptSection.model_fields["recipients"].default
        if settings.exempt.recipients and settings.exempt.recipients != usual:
            yield _problem(settings, ("exempt", "recipients"), unknown)
    domains = settings.exempt.forwarder_spf
    zones = Zones(settings.dns.private_zones if domains else ())  # hundreds of zones
    for domain in filter(zones.holds, domains):
        found = (
            f"{domain} is in a zone of [dns] private_zones, whose names are not looked up: leave that zone out there"
        )
        yield _problem(settings, ("exempt", "forwarder_spf"), found)
    yield from _whole_internet(settings)
    yield from _one_address(settings)


def _whole_internet(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each network that holds every address, where its clients would be trusted."""
    for place, networks, effect in (
        (("exempt", "networks"), settings.exempt.networks, "no client would be checked: write only your own networks"),
        (
            ("relays", "trusted"),
            settings.relays.trusted,
            "any client could forge the Received fields: write only the addresses of your own servers",
        ),
    ):
        for network in networks:
            if network.prefixlen == 0:
                yield _problem(settings, place, f"{network} is every address, so {effect}")


def _one_address(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for listeners at one address; ``[web] listen`` counts only where the file sets it."""
    socket = settings.milter.socket
    taken = {(socket.host, socket.port): "[milter] socket"} if socket.family in {"inet", "inet6"} else {}
    for section, listen in (("metrics", settings.metrics.listen), ("web", settings.web.listen)):
        if not listen or (section, "listen") not in settings.lines:
            continue
        found = nameserver(listen)  # an address and a port, as those of a nameserver are
        other = taken.setdefault((found.address, found.port), f"[{section}] listen")
        if other != f"[{section}] listen":
            yield _problem(settings, (section, "listen"), f"{listen} is taken already, by {other}: choose another port")


def _problem(settings: Settings, place: tuple[str, str], message: str) -> SettingProblem:
    section, key = place
    return SettingProblem(message=message, line=settings.lines.get(place), section=section, key=key or None)
