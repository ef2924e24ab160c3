"""The values of one transaction, made short: whatever a test does not name is unsuspicious."""

from ipaddress import ip_address
from typing import Any

from spfmilter.addresses import parse_reverse_path
from spfmilter.model import Action, Check, Client, Disposition, Facts, Identity, Result, Rule, Verdict
from spfmilter.settings import Settings, parse

CLIENT = "203.0.113.7"


def settings(text: str = "") -> Settings:
    """The settings of an INI text."""
    return parse(text)


def facts(
    sender: str = "<user@example.com>",
    *,
    address: str | None = CLIENT,
    helo: str | None = "mail.example.com",
    **other: Any,
) -> Facts:
    """A transaction's facts; `local=True` is a client on the MTA's unix socket."""
    client = Client(address=ip_address(address) if address else None, local=other.pop("local", False))
    return Facts(
        client=client, helo=helo, reverse_path=parse_reverse_path(sender), **{"hostname": "mx.example.net", **other}
    )


def check(identity: Identity = Identity.MAILFROM, **other: Any) -> Check:
    """The check of `user@example.com`, or of the host `mail.example.com`."""
    address = ip_address(other.pop("address", CLIENT))
    usual: dict[str, Any] = {"local": "user", "domain": "example.com", "said": "user@example.com"}
    if identity is Identity.HELO:
        usual = {"local": "postmaster", "domain": "mail.example.com", "said": "mail.example.com"}
    return Check(identity=identity, address=address, helo="mail.example.com", **{**usual, **other})


def verdict(result: Result, identity: Identity = Identity.MAILFROM, **other: Any) -> Verdict:
    """A verdict on `check(identity)`, or on another check; a fail has matched -all."""
    about = other.pop("check", None) or check(identity)
    if result in {Result.FAIL, Result.SOFTFAIL} and "term" not in other:
        other |= {"term": "-all" if result is Result.FAIL else "~all", "term_domain": about.domain}
    return Verdict(check=about, result=result, **other)


def action(disposition: Disposition, decided: Verdict | None = None, withheld: Disposition | None = None) -> Action:
    """What was decided, by some rule."""
    rule = Rule(section="policy.mailfrom", key="fail", value=disposition)
    return Action(disposition=disposition, rule=rule, verdict=decided, withheld=withheld)
