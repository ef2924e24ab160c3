"""Every combination of what the policy depends on, compared with a table that a person can check: table.txt."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from spfmilter.model import CONDITIONS, Check, Condition, DmarcPolicy, Problem, ProblemKind, Result, Verdict
from spfmilter.reply import Reply
from spfmilter.session import Macros, Session
from spfmilter.settings import Settings, SettingsError
from tests.values import Known, new_case, no_extras, settings

TABLE = (Path(__file__).parent / "table.txt").read_text()
RESULTS = [*Result, *Condition]
WORD_ORDER = ("accept", "tag", "quarantine", "defer", "reject")  # from the mildest to the most severe
STAGES = ("mail", "rcpt", "message")
MODES = ("enforce", "monitor")
REASONS: dict[str, str] = {  # each with the settings that it needs
    "-": "",
    "local": "",
    "network": "[exempt]\nnetworks = 203.0.113.0/24\n",
    "login": "",
    "private": "",
    "unknown": "",
    "sender": "[exempt]\nsenders = .example\n",
    "trust": "",
    "exempt-recipient": "",
    "forwarder": "[exempt]\nforwarders = .forwarder.test\n",
    "forwarder-spf": "[exempt]\nforwarder_spf = forwarder.test\n",
    "dmarc": "",
    "own-resolver": "",
    "deferred-long-ago": "",
    "relay": "[relays]\ntrusted = 198.51.100.2\n",
    "relay-refuses": "[relays]\ntrusted = 198.51.100.2\nrefuse = yes\n",
    "relay-lost": "[relays]\ntrusted = 198.51.100.2\n",
}
RELAYED = {"relay", "relay-refuses", "relay-lost"}
RECEIVED = (
    "from h.example (h.example [203.0.113.7]) by relay.test (Postfix) with ESMTP id X; Tue, 24 Nov 2026 10:00:00 +0000"
)
Key = tuple[str, ...]


def part(name: str) -> Iterator[list[str]]:
    """The cells of a part's lines; what stands behind a # is for people."""
    for line in TABLE.partition(f"\n[{name}]\n")[2].partition("\n\n\n[")[0].splitlines():
        cells = line.partition("#")[0].split()
        if cells:
            yield cells


def columns(name: str) -> list[str]:
    """The results in a part's heading."""
    heading = next(line for line in TABLE.partition(f"\n[{name}]\n")[2].splitlines() if "unreachable  " in line)
    return heading[heading.index("none") :].split()


def sections() -> dict[str, str]:
    """The INI text of each section."""
    names = columns("sections")
    return {
        name: f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in zip(names, entry, strict=True) if v != "-")
        for name, *entry in part("sections")
    }


def words() -> dict[Key, str]:
    """The word by identity, sections and result."""
    names = columns("words")
    return {
        (identity, which, result): word
        for identity, which, *entry in part("words")
        for result, word in zip(names, entry, strict=True)
    }


SECTIONS, WORDS, SAID = sections(), words(), list(part("said"))


def expected(reason: str, identity: str, which: str, result: str, stage: str, mode: str) -> tuple[int, list[str]]:
    """The line of [said] that fits first, by its place, and what it says."""
    key = (reason, identity, result, WORDS[identity, which, result], stage, mode)
    for place, line in enumerate(SAID):
        if all(cell == "*" or value in cell.split(",") for cell, value in zip(line, key, strict=False)):
            return place, line[line.index("|") + 1 :]
    raise AssertionError(f"no line for {key}")


def chosen(reason: str, identity: str, which: str, stage: str, mode: str) -> Settings:
    """The settings of a combination."""
    check = {"helo": "helo", "mailfrom": "mailfrom", "null": "helo, mailfrom"}[identity]
    text = f"[policy]\nreject_at = {stage}\nmode = {mode}\ncheck = {check}\n"
    text += "yield_to_dmarc = yes\n" if reason == "dmarc" and stage == "message" else ""
    text += REASONS[reason] + SECTIONS["policy.helo"] + SECTIONS["policy.mailfrom"]
    domain = SECTIONS["domain:.example"] if "domain" in which else "[domain:.example]\n"
    text += domain + ("trust = 203.0.113.7\n" if reason == "trust" else "")
    text += SECTIONS["recipient:sales@"] if "recipient" in which else ""
    return settings(text)


class World(Known):
    """The DNS and the past, as the reason and the result will have it."""

    def __init__(self, reason: str, result: str) -> None:
        condition = result if result in list(Condition) else ""
        plain = next((r for r, c in CONDITIONS.items() if c == condition), None) or Result(result)
        self._kind = ProblemKind.OWN_RESOLVER if reason == "own-resolver" else ProblemKind.DNS_FAILURE
        forwarder = Result.PASS if reason == "forwarder-spf" else Result.FAIL
        super().__init__(
            lambda check: forwarder if check.domain == "forwarder.test" else plain,
            conditions=frozenset({Condition(condition)} if condition else ()),
            names=("mx.forwarder.test",) if reason == "forwarder" else (),
            dmarc={"author.test": DmarcPolicy(domain="author.test", policy="reject")},
            deferred_for=5 * 3600.0 if reason == "deferred-long-ago" else 60.0,
        )

    def verdict(self, check: Check) -> Verdict:
        """With the reason for a temperror."""
        found = super().verdict(check)
        if found.result is not Result.TEMPERROR:
            return found
        return replace(found, problem=Problem(kind=self._kind, text="no answer"))


def said(reply: Reply | None) -> str:
    if reply is None:
        return "ok"
    return "reject" if reply.code == 550 else "defer"


def conversation(reason: str, identity: str, result: str, by: Settings) -> list[str]:
    """What one message meets at MAIL, RCPT and the end."""
    session = Session(by, "mx.test", World(reason, result), extras=no_extras, new_case=new_case)
    clients: dict[str, object] = {"local": "/run/socket", "unknown": None, "private": ("10.0.0.1", 25)}
    session.connect(
        "relay.test", ("198.51.100.2", 25) if reason in RELAYED else clients.get(reason, ("203.0.113.7", 25))
    )
    session.hello("relay.test" if reason in RELAYED else "h.example")
    macros = Macros(authenticated="joe" if reason == "login" else "")
    reply = session.mail("<>" if identity == "null" else "<u@sender.example>", (), macros).reply
    if reply is not None:
        return [said(reply), "-", "-"]
    recipient = "postmaster" if reason == "exempt-recipient" else "sales"
    reply = session.recipient(f"<{recipient}@r.test>").reply
    if reply is not None:
        assert session.abandon().ended is not None
        return ["ok", said(reply), "-"]
    session.header("Received", "nonsense" if reason == "relay-lost" else RECEIVED)
    session.header("From", "A <a@author.test>")
    outcome = session.end_of_message("Q")
    if outcome.reply is not None:
        return ["ok", "ok", said(outcome.reply)]
    assert outcome.ended is not None
    action = outcome.ended.action
    return ["ok", "ok", f"would:{action.would}" if action.would is not None else action.disposition.value]


def which_apply(stage: str) -> list[str]:
    """The sections that there can be: none for recipients where they are not known."""
    return ["-", "domain"] if stage == "mail" else ["-", "domain", "recipient", "domain+recipient"]


@pytest.mark.parametrize("reason", REASONS)
def test_every_combination_has_the_outcome_of_the_table(reason: str) -> None:
    different = []
    for stage, mode, identity in product(STAGES, MODES, ["helo", "mailfrom", "null"]):
        for which in which_apply(stage):
            by = chosen(reason, identity, which, stage, mode)
            for result in RESULTS:
                _, should = expected(reason, identity, which, result, stage, mode)
                found = conversation(reason, identity, result, by)
                if found != should:
                    different.append((stage, mode, identity, which, result.value, found, should))
    assert different == []


BY_WORD: Mapping[str, Mapping[str, Result | Condition]] = {
    "helo": dict(
        zip(WORD_ORDER, (Result.NONE, Result.PASS, Result.TEMPERROR, Result.SOFTFAIL, Result.FAIL), strict=True)
    ),
    "mailfrom": dict(
        zip(
            WORD_ORDER, (Result.PASS, Result.NONE, Result.NEUTRAL, Result.TEMPERROR, Condition.UNREACHABLE), strict=True
        )
    ),
}


class TwoResults(Known):
    """One for the HELO name, another for the sender's domain."""

    def __init__(self, helo: str, mailfrom: str) -> None:
        results = {"h.example": BY_WORD["helo"][helo], "sender.test": BY_WORD["mailfrom"][mailfrom]}
        given = {domain for domain, result in results.items() if result is Condition.UNREACHABLE}
        self._given = given
        super().__init__(
            lambda check: Result.NONE if check.domain in given else Result(results[check.domain]),
            deferred_for=60.0,
        )

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """The condition of that domain only."""
        return condition is Condition.UNREACHABLE and verdict.check.domain in self._given


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("mode", MODES)
def test_of_two_identities_the_more_severe_word_is_done_and_named(mode: str, stage: str) -> None:
    by = settings(
        f"[policy]\nreject_at = {stage}\nmode = {mode}\n" + SECTIONS["policy.helo"] + SECTIONS["policy.mailfrom"]
    )
    different = []
    for (helo, *entry), mailfrom in product(part("both"), WORD_ORDER):
        should = entry[WORD_ORDER.index(mailfrom)]
        session = Session(by, "mx.test", TwoResults(helo, mailfrom), extras=no_extras, new_case=new_case)
        session.connect("h.example", ("203.0.113.7", 25))
        session.hello("h.example")
        outcome, ended = session.mail("<u@sender.test>", (), Macros()), None
        if outcome.reply is None and (outcome := session.recipient("<sales@r.test>")).reply is not None:
            ended = session.abandon().ended
        if outcome.reply is None:
            outcome = session.end_of_message("Q")
        ended = outcome.ended or ended
        assert ended is not None
        action = ended.action
        found = f"{action.would or action.disposition}/{action.rule.section.removeprefix('policy.')}"
        refused = mode == "enforce" and should.split("/")[0] in {"defer", "reject"}
        if found != should or (outcome.reply is not None) != refused:
            different.append((helo, mailfrom, found, should))
    assert different == []


def test_every_line_of_the_table_is_needed_and_no_word_is_missing() -> None:
    used = {
        expected(reason, identity, which, result, stage, mode)[0]
        for reason, identity, result, stage, mode in product(
            REASONS, ["helo", "mailfrom", "null"], RESULTS, STAGES, MODES
        )
        for which in which_apply(stage)
    }
    assert sorted(used) == list(range(len(SAID)))
    assert len(WORDS) == 3 * 4 * len(RESULTS)
    assert [line[0] for line in part("both")] == list(WORD_ORDER)
    assert set(columns("sections")) == set(columns("words")) == set(RESULTS)


def test_where_no_recipient_is_known_its_rules_are_an_error() -> None:
    with pytest.raises(SettingsError):
        chosen("-", "mailfrom", "recipient", "mail", "enforce")
