"""The values of one transaction, made short: fields that a test does not name are unsuspicious."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from ipaddress import ip_address
from typing import Any

from spfmilter import caseid, policy, reply
from spfmilter.addresses import parse_reverse_path
from spfmilter.exemptions.exemption import Exemption
from spfmilter.exemptions.inforce import InForce, pack, unpack
from spfmilter.language import PAGE_DOMAIN, available
from spfmilter.languagetable import language_names
from spfmilter.model import (
    NO_OWN_RULES,
    Action,
    Addressee,
    Check,
    Client,
    Condition,
    Disposition,
    DmarcPolicy,
    Facts,
    Identity,
    IPAddress,
    Plan,
    Result,
    Rule,
    Verdict,
)
from spfmilter.policy import Evidence, NoEvidence
from spfmilter.reply import Extras, Reply
from spfmilter.settings import Settings, parse

CLIENT = "203.0.113.7"


@cache
def settings(text: str = "") -> Settings:
    """The settings of an INI text; those of the same text are the same."""
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


def at_mail(ini: str) -> str:
    """Return the INI text with refusals at MAIL FROM, unless it names a stage itself.

    That was the default when most tests were written, and it is the shortest conversation.
    """
    if "reject_at" in ini:
        return ini
    head, section, rest = ini.partition("[policy]\n")
    keys, bracket, others = rest.partition("\n[")
    if not section:
        return f"{ini.rstrip()}\n[policy]\nreject_at = mail\n"
    if rest.startswith("["):
        return f"{head}{section}reject_at = mail\n{rest}"
    return f"{head}{section}{keys.rstrip()}\nreject_at = mail\n{bracket.lstrip()}{others}"


def check(identity: Identity = Identity.MAILFROM, **other: Any) -> Check:
    """The check of `user@example.com`, or of the host `mail.example.com`."""
    address = ip_address(other.pop("address", CLIENT))
    usual: dict[str, Any] = {"local": "user", "domain": "example.com", "as_sent": "user@example.com"}
    if identity is Identity.HELO:
        usual = {"local": "postmaster", "domain": "mail.example.com", "as_sent": "mail.example.com"}
    return Check(identity=identity, address=address, helo="mail.example.com", **{**usual, **other})


def verdict(result: Result, identity: Identity = Identity.MAILFROM, **other: Any) -> Verdict:
    """A verdict on `check(identity)`, or on another check; a fail has matched -all."""
    about = other.pop("check", None) or check(identity)
    if result in {Result.FAIL, Result.SOFTFAIL} and "term" not in other:
        other |= {"term": "-all" if result is Result.FAIL else "~all", "term_domain": about.domain}
    return Verdict(check=about, result=result, **other)


def action(disposition: Disposition, decided: Verdict | None = None, would: Disposition | None = None) -> Action:
    """What was decided, by some rule."""
    rule = Rule(section="policy.mailfrom", key="fail", value=disposition)
    return Action(disposition=disposition, rule=rule, verdict=decided, would=would)


def decide(
    planned: Plan,
    verdicts: Sequence[Verdict],
    by: Settings,
    evidence: Evidence = policy.NO_EVIDENCE,
    addressee: Addressee = NO_OWN_RULES,
    author: str = "",
) -> Action:
    """What is done with a message of which nothing more is known: the policy itself wants to be told."""
    return policy.decide(planned, verdicts, by, evidence, addressee, author)


def no_extras(_verdict: Verdict, _facts: Facts, case: str) -> Extras:
    """What a notice holds beyond the verdict: the case id."""
    return Extras(case=case)


CASE = "H1FC-402Z-GPWG"
PAGE_LANGUAGES = language_names(available(PAGE_DOMAIN))  # as the notice names them beside the link
NO_EXTRAS = Extras()  # a notice holds nothing beyond the verdict


def new_case() -> str:
    """A case id."""
    return CASE


def without_case(lines: Sequence[str]) -> list[str]:
    """The lines of a reply but the last, which names the case id: each message has another one."""
    assert re.search(rf"Case: {caseid.FORM}$", lines[-1]), lines
    return list(lines[:-1])


def reply_for(decided: Action, about: Facts, by: Settings, extras: Extras = NO_EXTRAS) -> Reply | None:
    """What the client is told, without a link unless one is given."""
    return reply.reply_for(decided, about, by, extras)


class Known(NoEvidence):
    """An Evidence that is written down; what it was asked is kept."""

    def __init__(
        self,
        result: Callable[[Check], Result],
        *,
        conditions: frozenset[Condition] = frozenset(),
        names: tuple[str, ...] = (),
        addresses: Mapping[str, tuple[str, ...]] | None = None,
        dmarc: Mapping[str, DmarcPolicy] | None = None,
        deferred_for: float = 0.0,
        exempt: Iterable[Exemption] = (),
        now: float = 0.0,
    ) -> None:
        """`names` are those of the client's address, whichever it is; `exempt` is as it is at the time `now`."""
        self._in_force = InForce(exemptions=unpack(pack(exempt)), now=now)
        self._result, self._conditions, self._names = result, conditions, names
        self._addresses, self._dmarc, self._deferred_for = addresses or {}, dmarc or {}, deferred_for
        self.asked: list[Check] = []
        self.questions: list[str] = []  # everything else
        self.notes: list[tuple[str, str, str, bool]] = []

    def verdict(self, check: Check) -> Verdict:
        """A verdict with the result that is written down."""
        self.asked.append(check)
        return verdict(self._result(check), check=check)

    def holds(self, condition: Condition, verdict: Verdict) -> bool:  # noqa: ARG002 - the protocol's
        """Whether it is among the conditions."""
        self.questions.append(condition)
        return condition in self._conditions

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:  # noqa: ARG002 - the protocol's
        """The first of the names that is wanted."""
        self.questions.append("host name")
        return next(filter(wanted, self._names), None)

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """Those that are written down."""
        return frozenset(map(ip_address, self._addresses.get(host, ())))

    def expect_dmarc(self, domain: str) -> None:
        """Kept as a question."""
        self.questions.append(f"dmarc expected: {domain}")

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """The one that is written down."""
        self.questions.append(f"dmarc: {domain}")
        return self._dmarc.get(domain)

    def exemptions(self) -> InForce:
        """Those that are written down."""
        return self._in_force

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Kept."""
        self.notes.append((section, key, why, applied))

    def deferred_for(self, key: str) -> float:
        """Always as long."""
        self.questions.append(f"deferred: {key}")
        return self._deferred_for
