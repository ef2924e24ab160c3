"""One connection from the MTA as a value: events in, decisions out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from spfmilter.edits import Edits, Removal
from spfmilter.message import CARRY_ON, Outcome
from spfmilter.model import Check, Disposition, Identity, Result, SkipReason, Transaction, Verdict
from spfmilter.policy import NO_EVIDENCE, Evidence, NoEvidence
from spfmilter.session import Macros, Session
from tests.values import at_mail, new_case, no_extras, settings, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
CLIENT = ("203.0.113.7", 25)
RESULTS: Mapping[str, Result] = {
    "pass.example": Result.PASS,
    "soft.example": Result.SOFTFAIL,
    "fail.example": Result.FAIL,
    "mail.example.com": Result.NONE,
    "fail-host.example.com": Result.FAIL,
    "slow-host.example.com": Result.TEMPERROR,
}


class Asked(list[str], NoEvidence):
    """The domains that were evaluated, in order, with the results of the table."""

    def verdict(self, check: Check) -> Verdict:
        """The verdict of the table."""
        self.append(check.domain)
        return verdict(RESULTS.get(check.domain, Result.NONE), check=check)


def session(
    ini: str = "",
    *,
    helo: str | None = "mail.example.com",
    client: object = CLIENT,
    evidence: Evidence | None = None,
) -> Session:
    """A connection whose client has greeted."""
    begun = Session(
        settings(at_mail(ini)),
        "mx.example.net",
        Asked() if evidence is None else evidence,
        extras=no_extras,
        new_case=new_case,
    )
    begun.connect("host.example.com", client)
    if helo is not None:
        begun.hello(helo)
    return begun


def mail(
    connection: Session, sender: str = "<u@pass.example>", *parameters: str, macros: Macros | None = None
) -> Outcome:
    """MAIL FROM."""
    return connection.mail(sender, parameters, macros or Macros())


def code(outcome: Outcome) -> int:
    """The reply code, 250 where there is no reply."""
    return outcome.reply.code if outcome.reply is not None else 250


def finished(connection: Session, queue_id: str = "") -> tuple[Edits, Transaction]:
    """The end of a message that is under way."""
    outcome = connection.end_of_message(queue_id)
    assert outcome.reply is None
    assert outcome.ended is not None
    return outcome.edits, outcome.ended


# -- a message's life --------------------------------------------------------------------------------------------------


def test_a_message_that_is_taken_ends_with_its_data() -> None:
    connection = session()
    assert mail(connection) == CARRY_ON
    edits, ended = finished(connection)
    assert [f.name for f in edits.insert] == [*["Authentication-Results"] * 2, *["Received-SPF"] * 2]
    assert (ended.ended, str(ended.facts.reverse_path)) == ("message", "u@pass.example")
    assert [v.result for v in ended.verdicts] == [Result.NONE, Result.PASS]
    assert connection.abandon() == CARRY_ON, "it has ended once"


def test_a_message_that_is_refused_ends_at_mail() -> None:
    connection = session()
    outcome = mail(connection, "<u@fail.example>")
    assert outcome.reply is not None
    assert outcome.reply.lines[0].startswith(
        "Message refused: 203.0.113.7 is not in the trusted sender list of fail.example"
    )
    assert outcome.ended is not None
    assert (outcome.ended.ended, outcome.ended.action.disposition) == ("refused", Disposition.REJECT)
    assert connection.abandon() == CARRY_ON


@pytest.mark.parametrize("sender", ["<u@pass.example>", "<u@soft.example>"])
def test_a_message_that_another_filter_stops_is_abandoned(sender: str) -> None:
    connection = session()
    mail(connection, sender)
    ended = connection.abandon().ended
    assert ended is not None
    assert (ended.ended, str(ended.facts.reverse_path)) == ("abandoned", sender.strip("<>"))
    assert connection.end_of_message("Q") == CARRY_ON


def test_a_connection_without_a_message_ends_without_a_transaction() -> None:
    assert session().abandon() == CARRY_ON
    assert Session(settings(), "mx.example.net", NO_EVIDENCE, extras=no_extras, new_case=new_case).abandon() == CARRY_ON
    assert session().end_of_message("Q") == CARRY_ON


def test_a_header_field_without_a_message_is_ignored() -> None:
    connection = session()
    connection.header("Received-SPF", "pass")
    mail(connection)
    assert finished(connection)[0].remove == ()


def test_several_messages_on_one_connection_do_not_mix() -> None:
    connection = session()
    mail(connection, "<one@soft.example>")
    connection.header("Received-SPF", "pass")
    first = finished(connection, "Q1")
    mail(connection, "<two@fail.example>")
    mail(connection, "<three@pass.example>")
    second = finished(connection, "Q3")
    assert (first[1].queue_id, first[1].removed, second[1].queue_id, second[1].removed) == ("Q1", 1, "Q3", 0)
    assert first[1].action.disposition is Disposition.TAG
    assert second[1].action.disposition is Disposition.ACCEPT
    assert second[0].remove == ()
    assert "X-SPF-Notice" in [f.name for f in first[0].insert]
    assert "X-SPF-Notice" not in [f.name for f in second[0].insert]


def test_mail_after_a_reset_begins_anew() -> None:
    connection = session()
    mail(connection, "<one@soft.example>", macros=Macros(queue_id="Q1"))
    connection.header("Received-SPF", "pass")
    connection.abandon()
    mail(connection, "<two@pass.example>")
    edits, ended = finished(connection)
    assert (edits.remove, ended.queue_id, str(ended.facts.reverse_path)) == ((), "", "two@pass.example")


def test_mail_again_without_a_reset_begins_anew_too() -> None:
    connection = session()
    mail(connection, "<one@soft.example>")
    connection.header("Received-SPF", "pass")
    mail(connection, "<two@pass.example>")
    edits, ended = finished(connection)
    assert (edits.remove, str(ended.facts.reverse_path)) == ((), "two@pass.example")


@pytest.mark.parametrize(
    ("at_mail", "at_end", "queue_id"),
    [("", "Q9", "Q9"), ("Q1", "", "Q1"), ("Q1", "Q1", "Q1"), ("Q1", "Q9", "Q9"), ("", "", "")],
)
def test_the_queue_id_may_come_early_or_late(at_mail: str, at_end: str, queue_id: str) -> None:
    connection = session()
    mail(connection, macros=Macros(queue_id=at_mail))
    assert finished(connection, at_end)[1].queue_id == queue_id


def test_a_refused_or_abandoned_message_keeps_the_queue_id_that_it_had() -> None:
    connection = session()
    refused = mail(connection, "<u@fail.example>", macros=Macros(queue_id="Q1")).ended
    mail(connection, macros=Macros(queue_id="Q2"))
    abandoned = connection.abandon().ended
    assert refused is not None
    assert abandoned is not None
    assert (refused.queue_id, abandoned.queue_id) == ("Q1", "Q2")


# -- what the MTA tells ------------------------------------------------------------------------------------------------


def test_smtputf8_is_a_parameter_of_mail_in_any_case() -> None:
    connection = session()
    for parameters, expected in [(("SIZE=5", "smtputf8"), True), (("SMTPUTF8=x", "BODY=8BITMIME"), False), ((), False)]:
        mail(connection, "<u@pass.example>", *parameters)
        assert finished(connection)[1].facts.smtputf8 is expected


def test_the_mtas_name_is_its_macro_or_else_our_hosts() -> None:
    connection = session()
    mail(connection, macros=Macros(hostname="mta.example.net"))
    assert finished(connection)[1].facts.hostname == "mta.example.net"
    mail(connection)
    assert finished(connection)[1].facts.hostname == "mx.example.net"


@pytest.mark.parametrize(
    ("client_address", "skip"),
    [
        ("203.0.113.7", None),
        ("10.0.0.1", SkipReason.PRIVATE),
        ("64:ff9b::10.0.0.1", SkipReason.PRIVATE),  # [policy] nat64_prefixes, by default
        ("", SkipReason.UNKNOWN_CLIENT),
        ("?", SkipReason.UNKNOWN_CLIENT),
    ],
)
def test_where_the_connect_event_got_lost_the_macro_tells_the_address(
    client_address: str, skip: SkipReason | None
) -> None:
    asked = Asked()
    connection = Session(settings(), "mx.example.net", asked, extras=no_extras, new_case=new_case)
    connection.hello("mail.example.com")
    mail(connection, macros=Macros(client_address=client_address))
    assert finished(connection)[1].plan.skip == skip
    assert asked == ([] if skip else ["mail.example.com", "pass.example"])


def test_the_connect_event_is_believed_before_the_macro() -> None:
    connection = session()
    mail(connection, macros=Macros(client_address="127.0.0.1"))
    assert str(finished(connection)[1].facts.client.address) == "203.0.113.7"


def test_mail_without_helo_is_checked_by_its_sender() -> None:
    connection = session(helo=None)
    ended = mail(connection, "<u@fail.example>").ended
    assert ended is not None
    assert (ended.action.disposition, ended.facts.helo) == (Disposition.REJECT, None)


def test_a_login_exempts_its_own_message_only() -> None:
    asked = Asked()
    connection = session(evidence=asked)
    mail(connection, "<u@fail.example>", macros=Macros(authenticated="joe"))
    assert finished(connection)[1].plan.skip is SkipReason.AUTHENTICATED
    assert asked == []
    assert code(mail(connection, "<u@fail.example>")) == 550


# -- what is known ahead -----------------------------------------------------------------------------------------------


def test_each_message_asks_for_its_checks_again() -> None:
    """The verdict on HELO is not the session's to keep: the process's cache has it, if it holds."""
    asked = Asked()
    connection = session(evidence=asked)
    for sender in ("<a@pass.example>", "<b@soft.example>", "<>"):
        mail(connection, sender)
    assert asked == ["mail.example.com", "pass.example", "mail.example.com", "soft.example", "mail.example.com"]


def test_a_second_helo_counts() -> None:
    asked = Asked()
    connection = session(evidence=asked)
    mail(connection)
    connection.hello("fail-host.example.com")
    assert code(mail(connection)) == 550
    assert asked == ["mail.example.com", "pass.example", "fail-host.example.com"]


@pytest.mark.parametrize("sender", ["<u@pass.example>", "<>"])
def test_the_check_of_helo_is_known_since_helo(sender: str) -> None:
    """What is expected is what is evaluated, or else its lookups were sent in vain."""
    connection = session()
    expected = connection.expected()
    mail(connection, sender)
    checks = [found.check for found in finished(connection)[1].verdicts]
    assert [replace(check, null_sender=False) for check in checks[:1]] == list(expected)
    assert [(check.identity, check.domain, check.local) for check in expected] == [
        (HELO, "mail.example.com", "postmaster")
    ]


@pytest.mark.parametrize(
    "connection",
    [
        Session(settings(), "mx.example.net", NO_EVIDENCE, extras=no_extras, new_case=new_case),
        session(helo=None),
        session(client=None),
        session(client=("10.0.0.1", 25)),
        session(client=("127.0.0.1", 25)),
        session(client="/run/socket"),
        session("[policy]\ncheck = mailfrom"),
        session("[relays]\ntrusted = 203.0.113.7"),
    ],
    ids=["no client", "no HELO", "unknown client", "private", "exempt", "local", "HELO is not checked", "relay"],
)
def test_nothing_is_expected_that_may_not_be_evaluated(connection: Session) -> None:
    assert connection.expected() == ()


class Announced(Asked):
    """Everything that is said to the evidence, in order."""

    def expect(self, checks: Sequence[Check]) -> None:
        """The domains in one piece."""
        self.append(" ".join(check.domain for check in checks))


def test_all_checks_are_announced_before_the_first_is_evaluated() -> None:
    events = Announced()
    mail(session(evidence=events))
    assert events == ["mail.example.com pass.example", "mail.example.com", "pass.example"]


def test_nothing_is_announced_that_is_not_evaluated() -> None:
    events = Announced()
    mail(session(evidence=events), macros=Macros(authenticated="joe"))
    assert events == [""]


# -- forged fields -----------------------------------------------------------------------------------------------------


def test_fields_are_counted_by_name_and_removed_from_the_highest_index_down() -> None:
    connection = session()
    mail(connection)
    for name, value in [
        ("Authentication-Results", "other.example; spf=pass"),  # 1, of others
        ("Received-SPF", "pass"),  # 1
        ("Subject", "x"),
        ("authentication-results", "mx.example.net; spf=pass"),  # 2, forged
        ("X-SPF-Notice", "tag"),  # 1
        ("RECEIVED-SPF", "pass"),  # 2
        ("Authentication-Results", "(c) MX.example.net 1; spf=pass"),  # 3, forged
        ("Authentication-Results", "mx.example.net.evil; spf=pass"),  # 4, of others
    ]:
        connection.header(name, value)
    edits, ended = finished(connection)
    assert [removal.index for removal in edits.remove] == [3, 2, 2, 1, 1]
    assert set(edits.remove) == {
        Removal(name="Authentication-Results", index=3),
        Removal(name="authentication-results", index=2),
        Removal(name="RECEIVED-SPF", index=2),
        Removal(name="Received-SPF", index=1),
        Removal(name="X-SPF-Notice", index=1),
    }
    assert ended.removed == 5


def test_our_id_is_the_mtas_name_or_the_configured_one() -> None:
    for ini, hostname, own in [("", "mta.example.net", "mta.example.net"), ("[headers]\nauthserv_id = own", "", "own")]:
        connection = session(ini)
        mail(connection, macros=Macros(hostname=hostname))
        connection.header("Authentication-Results", "mx.example.net; spf=pass")
        connection.header("Authentication-Results", f"{own}; spf=pass")
        assert finished(connection)[0].remove == (Removal(name="Authentication-Results", index=2),)


@pytest.mark.parametrize(
    ("client", "macros", "removed"),
    [
        (CLIENT, Macros(), 1),
        (CLIENT, Macros(authenticated="joe"), 1),
        (("10.0.0.1", 25), Macros(), 1),
        (None, Macros(), 1),
        (("127.0.0.1", 25), Macros(), 0),
        ("/run/socket", Macros(), 0),
    ],
)
def test_only_our_own_sides_fields_are_left_untouched(client: object, macros: Macros, removed: int) -> None:
    connection = session(client=client)
    mail(connection, macros=macros)
    connection.header("Received-SPF", "pass")
    edits, ended = finished(connection)
    assert (len(edits.remove), ended.removed) == (removed, removed)


def test_with_remove_forged_off_nothing_is_removed_even_when_the_mta_shows_the_header() -> None:
    connection = session("[headers]\nremove_forged = no")
    mail(connection)
    connection.header("Received-SPF", "pass")
    assert finished(connection)[0].remove == ()


def test_the_settings_are_those_with_which_the_connection_began() -> None:
    old = session()
    new = session("[policy.mailfrom]\nfail = accept")
    assert (code(mail(old, "<u@fail.example>")), code(mail(new, "<u@fail.example>"))) == (550, 250)


def test_in_monitor_mode_a_refusal_is_a_notice() -> None:
    connection = session("[policy]\nmode = monitor")
    assert mail(connection, "<u@fail.example>") == CARRY_ON
    edits, transaction = finished(connection)
    assert edits.insert[-1].value.startswith("in monitor mode; would be: reject; 203.0.113.7 is not in the")
    assert (transaction.action.disposition, transaction.action.would) == (Disposition.ACCEPT, Disposition.REJECT)


@pytest.mark.parametrize("disposition", Disposition)
@pytest.mark.parametrize("stage", ["mail", "rcpt", "message"])
def test_monitor_mode_changes_nothing_of_a_message_but_adds(stage: str, disposition: Disposition) -> None:
    """Also what another filter before ours has written: it looks like a forged field."""
    tagging = "[headers]\ntag_subject = [SPF]\nauthserv_id = mx.example.net"
    connection = session(
        f"[policy]\nmode = monitor\nreject_at = {stage}\n[policy.mailfrom]\nfail = {disposition}\n{tagging}"
    )
    assert mail(connection, "<u@fail.example>") == CARRY_ON
    assert connection.recipient("<r@example.net>") == CARRY_ON
    connection.header("Received-SPF", "Fail (mailfrom) identity=mailfrom")
    connection.header("Authentication-Results", "mx.example.net; spf=fail smtp.mailfrom=fail.example")
    connection.header("X-SPF-Notice", "mine")
    connection.header("Subject", "=?utf-8?q?Hi=0AReceived-SPF:_pass?=")
    edits, transaction = finished(connection)
    assert (edits.remove, edits.replace, edits.quarantine) == ((), (), None)
    assert "Subject" not in {field.name for field in edits.insert}
    assert (transaction.removed, transaction.action.disposition) == (3, Disposition.ACCEPT)


def test_a_held_message_has_its_reason() -> None:
    connection = session("[policy.mailfrom]\nfail = quarantine")
    assert mail(connection, "<u@fail.example>") == CARRY_ON
    edits, ended = finished(connection)
    assert edits.quarantine == "SPF fail for fail.example from 203.0.113.7"
    assert ended.action.disposition is Disposition.QUARANTINE


@pytest.mark.parametrize(
    ("sender", "understood", "path"),
    [
        ("<u%pass.example>", "u@pass.example", "u@pass.example"),  # Postfix's allow_percent_hack
        ("<pass.example!u>", "u@pass.example", "u@pass.example"),  # Postfix's swap_bangpath
        ("<(u)>", "", ""),  # the empty sender
        ("<u@pass.example>", "other@fail.example", "u@pass.example"),  # plain: what is written counts
        ("<u@pass>", "u@pass.example", "u@pass.example"),  # Postfix's append_dot_mydomain
        ("<u>", "u@pass.example", "u@pass.example"),  # Postfix's append_at_myorigin
        ("<u@[192.0.2.1]>", "u@[192.0.2.1]", "u@[192.0.2.1]"),
        ("<u@pass>", None, "u@pass"),
        ("<u%pass.example>", None, "u%pass.example"),
        ("<u%pass.example>", "u%pass.example", "u%pass.example"),
    ],
)
def test_of_a_sender_that_is_not_plain_the_reading_of_the_mta_counts(
    sender: str, understood: str | None, path: str
) -> None:
    connection = session("[exempt]\nsenders = pass.example")
    mail(connection, sender, macros=Macros(mail_address=understood))
    ended = connection.end_of_message("Q").ended
    assert ended is not None
    assert str(ended.facts.reverse_path) == path
