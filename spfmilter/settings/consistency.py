"""Contradictions between settings: those that would have no effect, or need another setting.

Knows which key depends on which. Every finding has the line of the setting that would have no effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.addresses import parse_recipient
from spfmilter.model import Identity
from spfmilter.settings.effective import Settings
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.names import AUTO
from spfmilter.settings.schema import ExemptSection, RejectAt
from spfmilter.settings.values import nameserver

_BOTH = ""  # an address: all those of this host, of both families


def contradictions(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each contradiction."""
    policy = settings.policy
    if policy.yield_to_dmarc and policy.reject_at is not RejectAt.MESSAGE:
        yield settings.problem(
            "policy",
            "yield_to_dmarc",
            "the From field is known only with the whole header: write reject_at = message as well",
        )
    if policy.reject_at is RejectAt.MAIL:
        unknown = "no recipient is known at reject_at = mail: write reject_at = rcpt, or message, in [policy]"
        for pattern in settings.recipients:
            yield settings.problem(f"recipient:{pattern}", "", unknown)
        if settings.log.refused_recipients:
            yield settings.problem("log", "refused_recipients", unknown)
        usual = ExemptSection.model_fields["recipients"].default
        if settings.exempt.recipients and settings.exempt.recipients != usual:
            yield settings.problem("exempt", "recipients", unknown)
    contact = str(settings.reply.contact)
    if policy.reject_at is not RejectAt.MAIL and ("reply", "contact") in settings.lines and _refuses(contact, settings):
        yield settings.problem(
            "reply",
            "contact",
            f"{contact} refuses the senders who are told to write there: add it to [exempt] recipients as well",
        )
    if Identity.MAILFROM not in policy.check and settings.exempt.senders.any_if_pass:
        yield settings.problem(
            "exempt", "senders", '"if pass" needs the check of MAIL FROM: write mailfrom in [policy] check'
        )
    zones = settings.dns.private_zones.zones
    for place, domain in enumerate(settings.exempt.forwarder_spf):
        if zones.holds(domain):
            found = (
                f"{domain} is in a zone of [dns] private_zones, whose names are not looked up: leave that zone out "
                "there"
            )
            yield settings.problem("exempt", "forwarder_spf", found, place)
    yield from _services(settings)
    yield from _guessed_language(settings)
    yield from _requests(settings)
    yield from _whole_internet(settings)
    yield from _one_address(settings)


def _services(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each mail service that lacks something, or whose record is not looked up."""
    for name, section in settings.services.items():
        place = f"service:{name}"
        if not section.include:
            yield settings.problem(
                place, "include", "is missing: write the domain that the service's customers include"
            )
        elif settings.dns.private_zones.zones.holds(section.include):
            found = f"{section.include} is in a zone of [dns] private_zones, whose names are not looked up"
            yield settings.problem(place, "include", found)
        if not section.hosts:
            yield settings.problem(place, "hosts", "is missing: write the domain in which the service's hosts are")


def _refuses(contact: str, settings: Settings) -> bool:
    """Return whether mail to the contact is refused: an address that is not among ``[exempt] recipients``."""
    local, domain = parse_recipient(contact)
    if "@" not in contact or " " in contact or "/" in contact:  # a telephone number, a web page, or a sentence
        return False
    exempt = settings.exempt.recipients
    return not any(pattern in exempt for pattern in (f"{local}@{domain}", f"@{domain}", f"{local}@"))


def _guessed_language(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem if the sender's language is to be guessed only after another one, which is always there."""
    languages = settings.reply.languages
    if AUTO in languages and languages[0] != AUTO:
        yield settings.problem(
            "reply",
            "languages",
            f"{AUTO} has to be the first: write {', '.join([AUTO, *(tag for tag in languages if tag != AUTO)])}. The "
            "languages after it are for senders whose language cannot be guessed",
        )


def _requests(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for a digest of requests that the page does not take, and for requests without a place."""
    if settings.web.requests_mail and not settings.web.requests:
        yield settings.problem("web", "requests_mail", "the page takes no requests: write requests = yes as well")
    journal = settings.journal.url
    shared = settings.state.url is not None or (journal is not None and not journal.embedded)
    if settings.web.requests and not settings.state.folder and not shared:
        yield settings.problem("web", "requests", "there is no place for requests: write a folder into [state] folder")


def _whole_internet(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each network of all addresses whose clients would be trusted."""
    for section, key, networks, effect in (
        ("exempt", "networks", settings.exempt.networks, "no client would be checked: write only your own networks"),
        (
            "relays",
            "trusted",
            settings.relays.trusted,
            "any client could forge the Received fields: write only the addresses of your own servers",
        ),
    ):
        for place in networks.whole():
            message = f"{networks[place]} is every address, so {effect}"
            yield settings.problem(section, key, message, place)
    senders = settings.exempt.senders
    for place in senders.everywhere:
        for network in senders[place].networks:
            if network.prefixlen == 0:
                message = (
                    f"{network} is every address, so it is no condition: write only the networks of that domain's "
                    "servers"
                )
                yield settings.problem("exempt", "senders", message, place)


def _one_address(settings: Settings) -> Iterator[SettingProblem]:
    """Yield a problem for each listener at the address of another one, or at all addresses of this host.

    ``[web] listen`` counts only where the file sets it or ``[reply] help_url``.
    """
    socket, used = settings.milter.socket, []
    if socket.family in {"inet", "inet6"}:
        used.append((("milter", "socket"), socket.host, socket.port))
    for section, listen in (("metrics", settings.metrics.listen), ("web", settings.web.listen)):
        place = (section, "listen")
        if not listen or (section == "web" and place not in settings.lines and settings.reply.help_url is None):
            continue
        found = nameserver(listen)  # an address and a port, in the same form as a nameserver's
        # The socket of the metrics at [::] takes the port of IPv4 as well; the other two are for IPv6 alone.
        address = _BOTH if section == "metrics" and found.address == "::" else found.address
        for other, host, port in used:
            if port == found.port and _overlap(host, address):
                at = place if place in settings.lines else other
                message = (
                    f"port {port} is taken twice, by [{other[0]}] {other[1]} at {host or '::'} and by [{section}] "
                    f"listen at {found.address}: choose another port for one of them"
                )
                yield settings.problem(*at, message)
                break
        else:
            used.append((place, address, found.port))


def _overlap(one: str, other: str) -> bool:
    """Return whether two sockets at these addresses cannot listen on the same port."""
    if _BOTH in {one, other}:
        return True
    family = ":" in one
    return family == (":" in other) and (one == other or ("::" if family else "0.0.0.0") in {one, other})  # noqa: S104 - compared with, not bound to
