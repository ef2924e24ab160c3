"""Messages that are decided later than at MAIL FROM: at each recipient, or when the header is known."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.edits import Edits
from spfmilter.headers import MAX_FORGED
from spfmilter.message import CARRY_ON
from spfmilter.model import Check, Condition, Disposition, DmarcPolicy, Result, SkipReason, Transaction
from spfmilter.reply import Reply
from spfmilter.session import Macros, Session
from tests.values import CASE, Known, new_case, no_extras, settings

RESULTS = {
    "fail.example": Result.FAIL,
    "soft.example": Result.SOFTFAIL,
    "pass.example": Result.PASS,
    "bad-host.example": Result.FAIL,
}
RCPT = """
[policy]
reject_at = rcpt
[recipient:lenient@]
fail = tag
softfail = accept
[recipient:patient@]
fail = defer
"""
MESSAGE = RCPT.replace("= rcpt", "= message")
LOGGED = "[log]\nrefused_recipients = yes\n"
POSTMASTER, LENIENT, PATIENT, OTHER = (f"<{name}@r.example>" for name in ("postmaster", "lenient", "patient", "other"))


def result(check: Check) -> Result:
    return RESULTS.get(check.domain, Result.NONE)


def session(ini: str, evidence: Known | None = None, client: tuple[str, int] = ("203.0.113.7", 25)) -> Session:
    begun = Session(settings(ini), "mx.example.net", evidence or Known(result), extras=no_extras, new_case=new_case)
    begun.connect("host.example.com", client)
    begun.hello("mail.example.com")
    return begun


def mail(connection: Session, sender: str = "<u@fail.example>") -> None:
    """MAIL FROM, which is not refused."""
    assert connection.mail(sender, (), Macros(queue_id="Q1")) == CARRY_ON


def recipients(connection: Session, *addresses: str) -> list[int]:
    """The reply code for each, 250 where there is no reply."""
    replies = [connection.recipient(address).reply for address in addresses]
    return [reply.code if reply is not None else 250 for reply in replies]


def end(connection: Session) -> tuple[Edits, Reply | None, Transaction]:
    outcome = connection.end_of_message("Q1")
    assert outcome.ended is not None
    return outcome.edits, outcome.reply, outcome.ended


# -- rcpt --------------------------------------------------------------------------------------------------------------


def test_each_recipient_is_answered_on_his_own() -> None:
    connection = session(RCPT)
    mail(connection)
    assert recipients(connection, OTHER, POSTMASTER, LENIENT, PATIENT, OTHER) == [550, 250, 250, 451, 550]
    edits, _, ended = end(connection)
    assert (ended.ended, ended.action.disposition) == ("message", Disposition.TAG), "the severest of those who take it"
    assert (ended.refused, ended.recipients) == (3, (POSTMASTER, LENIENT, PATIENT))
    assert edits.insert[-1].value.startswith("tag; 203.0.113.7 is not in the trusted sender list")


def test_the_notice_is_the_same_as_at_mail() -> None:
    at_mail = session("[policy]\nreject_at = mail\n").mail("<u@fail.example>", (), Macros()).reply
    connection = session(RCPT)
    mail(connection)
    assert connection.recipient(OTHER).reply == at_mail


def test_a_message_that_no_recipient_takes_was_refused() -> None:
    connection = session(RCPT)
    mail(connection)
    assert recipients(connection, OTHER, OTHER) == [550, 550]
    ended = connection.abandon().ended
    assert ended is not None
    assert (ended.ended, ended.action.disposition, ended.refused) == ("refused", Disposition.REJECT, 2)
    assert ended.recipients == (), "no rule about a recipient had a say"


def test_a_message_that_a_recipient_takes_and_that_is_then_aborted_was_not_refused() -> None:
    connection = session(RCPT)
    mail(connection)
    assert recipients(connection, OTHER, POSTMASTER) == [550, 250]
    ended = connection.abandon().ended
    assert ended is not None
    assert (ended.ended, ended.action.disposition, ended.refused) == ("abandoned", Disposition.ACCEPT, 1)


def test_the_exempt_get_the_mail_without_a_notice() -> None:
    connection = session(RCPT)
    mail(connection)
    assert recipients(connection, POSTMASTER, OTHER) == [250, 550]
    edits, _, ended = end(connection)
    assert str(ended.action.rule) == "[exempt] recipients = postmaster@, abuse@"
    assert [f.name for f in edits.insert] == [*["Authentication-Results"] * 2, *["Received-SPF"] * 2]


@pytest.mark.parametrize("sender", ["<u@pass.example>", "<u@soft.example>"])
def test_where_no_recipient_refuses_none_is_refused(sender: str) -> None:
    connection = session(RCPT)
    mail(connection, sender)
    assert recipients(connection, OTHER, POSTMASTER, LENIENT) == [250] * 3
    assert end(connection)[2].action.disposition is (Disposition.TAG if "soft" in sender else Disposition.ACCEPT)


def test_an_mta_that_does_not_tell_the_recipients_hears_it_at_the_end() -> None:
    connection = session(RCPT)
    mail(connection)
    _, reply, ended = end(connection)
    assert reply is not None
    assert (reply.code, ended.ended) == (550, "refused")


def test_what_recipients_of_one_kind_call_for_is_worked_out_once() -> None:
    evidence = Known(result)
    connection = session(f"{RCPT}[exempt]\nforwarders = .fwd.example\n", evidence)
    mail(connection)
    recipients(connection, *[f"<r{number}@r.example>" for number in range(20)], PATIENT)
    assert evidence.questions.count("host name") == 2


def test_a_helo_that_fails_does_not_spare_the_lookup_of_mail_from() -> None:
    """A recipient's rows may want it."""
    evidence = Known(result)
    connection = session(RCPT, evidence)
    connection.hello("bad-host.example")
    mail(connection)
    assert [check.domain for check in evidence.asked] == ["bad-host.example", "fail.example"]


def test_monitor_mode_refuses_no_recipient_and_says_what_it_would_have_done() -> None:
    connection = session(RCPT.replace("[policy]", "[policy]\nmode = monitor"))
    mail(connection)
    assert recipients(connection, OTHER, LENIENT) == [250, 250]
    ended = end(connection)[2]
    assert (ended.action.disposition, ended.action.would, ended.refused) == ("accept", "reject", 0)
    mail(connection)
    assert recipients(connection, OTHER) == [250]
    assert end(connection)[2].action.would is Disposition.REJECT


@pytest.mark.parametrize("others", [(POSTMASTER, OTHER), (OTHER, POSTMASTER), (POSTMASTER, OTHER, LENIENT)])
@pytest.mark.parametrize("ini", [RCPT, MESSAGE])
def test_monitor_mode_says_that_one_of_several_recipients_would_have_been_refused(
    ini: str, others: tuple[str, ...]
) -> None:
    """In enforce mode the others get it, by itself or in a message of their own."""
    connection = session(LOGGED + ini.replace("[policy]", "[policy]\nmode = monitor"))
    mail(connection)
    assert recipients(connection, *others) == [250] * len(others)
    edits, reply, ended = end(connection)
    assert (reply, ended.action.disposition, ended.action.would) == (None, Disposition.ACCEPT, Disposition.REJECT)
    assert str(ended.action.rule) == "[policy.mailfrom] fail = reject"
    assert ended.refused_recipients == (OTHER,)
    assert POSTMASTER in ended.recipients
    assert "would be: reject" in edits.insert[-1].value
    mail(connection)
    assert recipients(connection, POSTMASTER) == [250]
    assert end(connection)[2].action.would is None


def test_a_client_behind_a_relay_is_read_through_the_translators_prefix_as_one_that_connects() -> None:
    """[policy] nat64_prefixes, by default 64:ff9b::/96."""
    ended = relayed(RELAYS, hop("IPv6:64:ff9b::203.0.113.9"))[2]
    assert str(ended.facts.client.address) == "203.0.113.9"


def test_monitor_mode_tags_behind_a_relay_as_enforce_mode_would() -> None:
    connection = session(f"{MESSAGE}{RELAYS}".replace("[policy]", "[policy]\nmode = monitor"), client=RELAY)
    mail(connection)
    recipients(connection, POSTMASTER, OTHER)
    connection.header("Received", hop("203.0.113.9"))
    assert end(connection)[2].action.would is Disposition.TAG


def test_messages_on_one_connection_do_not_mix() -> None:
    connection = session(RCPT)
    mail(connection)
    assert recipients(connection, OTHER) == [550]
    connection.abandon()
    mail(connection, "<u@pass.example>")
    assert recipients(connection, OTHER) == [250]
    ended = end(connection)[2]
    assert (ended.action.disposition, ended.refused, ended.recipients) == (Disposition.ACCEPT, 0, ())
    mail(connection)
    assert recipients(connection, OTHER) == [550]


def test_recipients_without_a_message_or_of_an_exempt_one_are_let_through() -> None:
    connection = session(RCPT)
    assert recipients(connection, OTHER) == [250]
    connection.mail("<u@fail.example>", (), Macros(authenticated="joe"))
    assert recipients(connection, OTHER) == [250]
    assert end(connection)[2].plan.skip is SkipReason.AUTHENTICATED


# -- message -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("addresses", "code", "disposition"),
    [
        ([OTHER], 550, Disposition.REJECT),
        ([OTHER, OTHER], 550, Disposition.REJECT),
        ([OTHER, PATIENT], 451, Disposition.DEFER),
        ([POSTMASTER, LENIENT], 250, Disposition.TAG),
        ([POSTMASTER], 250, Disposition.ACCEPT),
        ([], 550, Disposition.REJECT),
    ],
)
def test_at_the_end_there_is_one_answer(addresses: list[str], code: int, disposition: Disposition) -> None:
    connection = session(MESSAGE)
    mail(connection)
    assert recipients(connection, *addresses) == [250] * len(addresses)
    edits, reply, ended = end(connection)
    assert (reply.code if reply is not None else 250, ended.action.disposition) == (code, disposition)
    assert ended.refused == 0
    assert ended.ended == ("message" if reply is None else "refused")
    assert bool(edits.insert) is (reply is None)


SEPARATE = (452, "4.5.3")


def answers(connection: Session, *addresses: str) -> list[tuple[int, str] | None]:
    """Code and status for each, None where the recipient is taken."""
    replies = [connection.recipient(address).reply for address in addresses]
    return [(reply.code, reply.status) if reply is not None else None for reply in replies]


def test_who_would_take_it_and_who_would_not_do_not_share_a_message() -> None:
    """An exempt recipient beside others would otherwise have them all get it."""
    connection = session(MESSAGE)
    mail(connection)
    assert answers(connection, POSTMASTER, OTHER, LENIENT, PATIENT, OTHER) == [None, SEPARATE, None, SEPARATE, SEPARATE]
    _, reply, ended = end(connection)
    assert (reply, ended.action.disposition, ended.separated) == (None, Disposition.TAG, 3)
    mail(connection)
    assert answers(connection, OTHER, POSTMASTER, PATIENT, LENIENT) == [None, SEPARATE, None, SEPARATE]
    _, reply, ended = end(connection)
    assert reply is not None
    assert (reply.code, ended.action.disposition, ended.separated) == (451, Disposition.DEFER, 2)
    mail(connection)
    assert answers(connection, POSTMASTER) == [None]
    assert end(connection)[2].separated == 0, "nothing is left of the message before"


@pytest.mark.parametrize("sender", ["<u@pass.example>", "<u@soft.example>", "<u@none.example>"])
def test_mail_that_all_of_them_take_is_not_separated(sender: str) -> None:
    connection = session(MESSAGE)
    mail(connection, sender)
    assert answers(connection, POSTMASTER, OTHER, LENIENT, PATIENT) == [None] * 4
    assert end(connection)[2].separated == 0


def test_for_recipients_of_one_class_nothing_is_worked_out_at_rcpt() -> None:
    evidence = Known(result)
    connection = session(f"{MESSAGE}[exempt]\nforwarders = .fwd.example\n", evidence)
    mail(connection)
    assert answers(connection, *[f"<r{number}@r.example>" for number in range(20)]) == [None] * 20
    assert evidence.questions == []
    assert answers(connection, *[PATIENT, POSTMASTER] * 10) == [None, SEPARATE] * 10
    assert evidence.questions.count("host name") == 2, "once for each kind"


@pytest.mark.parametrize("strict", [True, False])
def test_what_dmarc_says_is_not_known_at_rcpt_and_counts_at_the_end(*, strict: bool) -> None:
    """A fail that may yet be left to DMARC is separated, and the message that was taken is decided with its header."""
    connection = session(YIELD, Known(result, dmarc=STRICT))
    mail(connection)
    assert answers(connection, OTHER, POSTMASTER) == [None, SEPARATE]
    connection.header("From", "ann@author.example" if strict else "ann@other.example")
    assert (end(connection)[1] is None) is strict


def test_monitor_mode_separates_no_recipients() -> None:
    connection = session(MESSAGE.replace("[policy]", "[policy]\nmode = monitor"))
    mail(connection)
    assert answers(connection, POSTMASTER, OTHER, LENIENT) == [None] * 3
    ended = end(connection)[2]
    assert (ended.action.would, ended.separated) == (Disposition.REJECT, 0)


def test_a_forwarders_mail_is_not_separated() -> None:
    known = Known(result, names=("mx.fwd.example",))
    connection = session(f"{MESSAGE}[exempt]\nforwarders = .fwd.example\n", known)
    mail(connection)
    assert answers(connection, POSTMASTER, OTHER) == [None, None]


@pytest.mark.parametrize(("refuse", "expected"), [("no", [None, None, None]), ("yes", [None, SEPARATE, None])])
@pytest.mark.parametrize("stage", ["message", "rcpt"])
def test_mail_from_a_relay_is_separated_only_where_it_may_be_refused(
    stage: str, refuse: str, expected: list[tuple[int, str] | None]
) -> None:
    """Nothing is known of the client behind it at RCPT: so what counts is whether any result would part them."""
    ini = f"{MESSAGE}[relays]\ntrusted = 198.51.100.0/24\nrefuse = {refuse}\n".replace("= message", f"= {stage}")
    evidence = Known(result)
    connection = session(ini, evidence, RELAY)
    mail(connection)
    assert answers(connection, POSTMASTER, OTHER, "<abuse@r.example>") == expected
    mail(connection)
    assert answers(connection, OTHER, PATIENT) == [None, None], "neither would take what the other refuses"
    assert evidence.asked == []


def test_a_message_that_some_take_only_when_its_header_is_known_is_tagged_by_the_rule_of_those_who_refuse() -> None:
    """Behind a relay that must not be refused, recipients of all classes share one message."""
    connection = session(f"{MESSAGE}{RELAYS}", client=RELAY)
    mail(connection)
    assert answers(connection, POSTMASTER, OTHER) == [None, None]
    connection.header("Received", hop("203.0.113.9"))
    edits, _, ended = end(connection)
    assert str(ended.action.rule) == "[policy.mailfrom] fail = reject, but other recipients take it"
    assert ended.recipients == (POSTMASTER,)
    assert edits.insert[-1].name == "X-SPF-Notice"


def test_a_message_that_is_given_up_before_its_end_was_not_decided() -> None:
    connection = session(MESSAGE)
    mail(connection)
    recipients(connection, OTHER)
    ended = connection.abandon().ended
    assert ended is not None
    assert (ended.ended, ended.action.disposition) == ("abandoned", Disposition.ACCEPT)


# -- DMARC -------------------------------------------------------------------------------------------------------------

YIELD = "[policy]\nreject_at = message\nyield_to_dmarc = yes\n"
STRICT = {"author.example": DmarcPolicy(domain="author.example", policy="reject")}


@pytest.mark.parametrize(
    ("authors", "yields"),
    [
        (["Ann <ann@author.example>"], True),
        (['"Ann, B" <ann@Author.Example> (c)'], True),
        (["ann@author.example"], True),
        (["ann@other.example"], False),
        ([], False),
        (["ann@author.example", "ann@author.example"], False),
        (["ann@author.example, joe@author.example"], False),
        (["ann@author.example <ann@other.example>"], False),
        (['"a" <ann@author.example> <b@other.example>'], False),
    ],
)
def test_a_fail_yields_to_the_policy_of_one_plain_author(authors: Sequence[str], *, yields: bool) -> None:
    connection = session(YIELD, Known(result, dmarc=STRICT))
    mail(connection)
    recipients(connection, OTHER)
    for author in authors:
        connection.header("From", author)
    _, reply, ended = end(connection)
    assert (reply is None) is yields
    assert (ended.action.override is not None) is yields


def test_the_policy_is_expected_as_soon_as_the_author_is_known_and_asked_for_at_the_end() -> None:
    evidence = Known(result, dmarc=STRICT)
    connection = session(YIELD, evidence)
    mail(connection)
    connection.header("From", "ann@author.example")
    assert evidence.questions == ["dmarc expected: author.example"]
    end(connection)
    assert evidence.questions == ["dmarc expected: author.example", "dmarc: author.example"]


@pytest.mark.parametrize("sender", ["<u@pass.example>", "<u@soft.example>"])
def test_no_policy_is_asked_for_where_nothing_fails(sender: str) -> None:
    evidence = Known(result, dmarc=STRICT)
    connection = session(YIELD, evidence)
    mail(connection, sender)
    connection.header("From", "ann@author.example")
    end(connection)
    assert evidence.questions == []


# -- relays ------------------------------------------------------------------------------------------------------------

RELAY = ("198.51.100.2", 25)
RELAYS = "[relays]\ntrusted = 198.51.100.0/24\n[exempt]\nnetworks = 192.0.2.0/24\n"


def hop(client: str, name: str = "client.example", by: str = "host.example.com") -> str:
    """A Received field as Postfix writes it; the relay is called `host.example.com` here."""
    return f"from {name} ({name} [{client}])\n by {by} (Postfix) with ESMTPS id X; Tue, 24 Nov 2026 10:00:00 +0000"


def relayed(ini: str, *received: str, sender: str = "<u@fail.example>") -> tuple[Edits, Reply | None, Transaction]:
    """A message through the relay, with these Received fields."""
    connection = session(ini, client=RELAY)
    mail(connection, sender)
    assert recipients(connection, OTHER) == [250]
    connection.header("Received-SPF", "pass")
    for field in received:
        connection.header("Received", field)
    return end(connection)


def test_the_client_behind_a_relay_is_checked_and_the_relay_named() -> None:
    edits, reply, ended = relayed(RELAYS, hop("203.0.113.9"), hop("192.0.2.1"))
    assert reply is None
    assert (str(ended.facts.client.address), ended.facts.helo) == ("203.0.113.9", "client.example")
    assert ended.facts.relay is not None
    assert str(ended.facts.relay.address) == "198.51.100.2"
    assert str(ended.action.rule) == "[policy.mailfrom] fail = reject, but the relay would have to bounce it"
    assert ended.action.disposition is Disposition.TAG
    fields = {field.name: field.value.replace("\n", "") for field in edits.insert}
    assert "received through 198.51.100.2) client-ip=203.0.113.9;" in fields["Received-SPF"]
    assert len(edits.remove) == 1


def test_where_it_may_be_refused_it_is() -> None:
    _, reply, ended = relayed(RELAYS.replace("[relays]", "[relays]\nrefuse = yes"), hop("203.0.113.9"))
    assert reply is not None
    assert (reply.code, ended.ended) == (550, "refused")
    assert reply.lines[0].startswith("Message refused: 203.0.113.9 is not in the trusted sender list of fail.example")


def test_where_the_walk_fails_the_message_is_skipped() -> None:
    for received in ([], ["nonsense"], [hop("203.0.113.9", by="forged.example")]):
        edits, reply, ended = relayed(RELAYS, *received)
        assert (reply, ended.plan.skip, ended.action.disposition) == (None, SkipReason.RELAY, Disposition.ACCEPT)
        assert str(ended.action.rule) == "[relays] trusted = 198.51.100.0/24 (line 2)"
        assert (edits.insert, len(edits.remove)) == ((), 1)


def test_a_client_behind_a_relay_can_be_exempt() -> None:
    edits, _, ended = relayed(RELAYS, hop("192.0.2.1"))
    assert ended.plan.skip is SkipReason.NETWORK
    assert edits == Edits(), "our own side may bring our fields"


def test_a_relay_that_is_trusted_for_the_domain_is_not_walked_through() -> None:
    ini = f"{RELAYS}[domain:fail.example]\ntrust = 198.51.100.2"
    connection = session(ini, client=RELAY)
    mail(connection)
    assert end(connection)[2].plan.skip is SkipReason.TRUSTED_FOR_DOMAIN


def test_nothing_is_evaluated_before_the_client_is_known() -> None:
    evidence = Known(result)
    connection = session(RELAYS, evidence, RELAY)
    mail(connection)
    assert (connection.expected(), evidence.asked) == ((), [])
    connection.header("Received", hop("203.0.113.9"))
    end(connection)
    assert [check.domain for check in evidence.asked] == ["client.example", "fail.example"]


def test_others_are_checked_at_mail_as_ever() -> None:
    at_mail = "[policy]\nreject_at = mail\n"
    assert session(RELAYS + at_mail).mail("<u@fail.example>", (), Macros()).reply is not None


# -- the subject -------------------------------------------------------------------------------------------------------

SUBJECT = "[headers]\ntag_subject = [SPF]\n"


@pytest.mark.parametrize(
    ("ini", "sender", "subjects", "replaced", "added"),
    [
        ("", "<u@soft.example>", ["hello"], ["[SPF] hello"], False),
        ("", "<u@soft.example>", ["one", "two"], ["[SPF] one", "[SPF] two"], False),
        ("", "<u@soft.example>", [], [], True),
        ("", "<u@soft.example>", ["Re: [SPF] hello"], [], False),
        ("", "<u@pass.example>", ["hello"], [], False),
        ("[policy.mailfrom]\nsoftfail = quarantine", "<u@soft.example>", ["hello"], ["[SPF] hello"], False),
        ("[policy]\nmode = monitor", "<u@soft.example>", ["hello"], [], False),
    ],
)
def test_a_tagged_message_gets_its_prefix(
    ini: str, sender: str, subjects: list[str], replaced: list[str], *, added: bool
) -> None:
    connection = session(SUBJECT + ini)
    mail(connection, sender)
    for subject in subjects:
        connection.header("SUBJECT", subject)
    edits, _, _ = end(connection)
    assert [change.value for change in edits.replace] == replaced
    assert [field.value for field in edits.insert if field.name == "Subject"] == (["[SPF]"] if added else [])


@pytest.mark.parametrize(
    ("types", "value", "untagged"),
    [
        (["text/plain; charset=koi8-r"], "[SPF] =?koi8-r?b?0NLJ18XU?=", 0),
        (["text/plain; charset=koi8-r", "text/plain; charset=gbk"], "[SPF] =?koi8-r?b?0NLJ18XU?=", 0),  # the first
        (["multipart/mixed; boundary=x"], None, 1),
        ([], None, 1),
    ],
)
def test_a_raw_subject_is_read_by_the_messages_content_type(types: list[str], value: str | None, untagged: int) -> None:
    connection = session(SUBJECT)
    mail(connection, "<u@soft.example>")
    connection.header("Subject", "привет".encode("koi8-r").decode("utf-8", "surrogateescape"))
    for content_type in types:
        connection.header("Content-Type", content_type)
    edits, _, ended = end(connection)
    assert [change.value for change in edits.replace] == ([value] if value else [])
    assert (ended.untagged, ended.action.disposition) == (untagged, Disposition.TAG)


def test_of_many_subjects_the_first_and_the_last_are_tagged() -> None:
    connection = session(SUBJECT)
    mail(connection, "<u@soft.example>")
    for number in range(1, 100):
        connection.header("Subject", str(number))
    edits, _, _ = end(connection)
    assert [(change.index, change.value) for change in edits.replace] == [
        (place, f"[SPF] {place}") for place in (*range(1, 10), 99)
    ]


def test_the_log_is_told_of_the_condition_that_decided() -> None:
    known = Known(lambda _: Result.NONE, conditions=frozenset({Condition.UNREACHABLE}))
    for stage in ("mail", "message"):
        connection = session(f"[policy]\nreject_at = {stage}\n[policy.mailfrom]\nunreachable = tag", known)
        mail(connection, "<u@none.example>")
        _, _, ended = end(connection)
        assert ended.action.condition is Condition.UNREACHABLE
        assert ended.action.verdict is ended.verdicts[1]


# -- hostile -----------------------------------------------------------------------------------------------------------

BYTE = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"])  # that is no UTF-8
ANYTHING = st.text(
    st.one_of(st.sampled_from('<>@".;:,()[] \n=?\\'), st.characters(exclude_categories=["Cs"]), BYTE), max_size=40
)


@given(st.lists(ANYTHING, max_size=4), st.lists(st.tuples(st.sampled_from(["From", "Received", "Subject"]), ANYTHING)))
def test_no_untrusted_input_breaks_a_session(addresses: list[str], fields: list[tuple[str, str]]) -> None:
    everything = MESSAGE.replace("[policy]", "[policy]\nyield_to_dmarc = yes") + SUBJECT
    for client in (RELAY, ("203.0.113.7", 25)):
        connection = session(f"{everything}[relays]\ntrusted = 198.51.100.2\n", client=client)
        mail(connection, "<u@soft.example>")
        recipients(connection, *addresses)
        for name, value in fields:
            connection.header(name, value)
        edits, _, _ = end(connection)
        for change in edits.replace:
            change.value.encode()


# -- more forged fields than are removed -------------------------------------------------------------------------------

RELAYED = "[relays]\ntrusted = 203.0.113.7"
BEHIND = "from x.example (x.example [192.0.2.1]) by host.example.com (Postfix) with ESMTP id 1; today"


def flooded(ini: str, sender: str, fields: int = MAX_FORGED + 5) -> tuple[Edits, Reply | None, Transaction]:
    connection = session(ini)
    mail(connection, sender)
    connection.header("Received", BEHIND)
    for _ in range(fields):
        connection.header("Received-SPF", "pass")
    return end(connection)


@pytest.mark.parametrize("stage", ["mail", "rcpt", "message"])
def test_a_message_with_more_forged_fields_than_are_removed_is_refused_for_any_spf_result(stage: str) -> None:
    edits, reply, ended = flooded(f"[policy]\nreject_at = {stage}", "<u@pass.example>")
    assert edits == Edits()
    assert reply is not None
    assert (reply.code, reply.status, len(reply.lines)) == (550, "5.7.0", 2)
    assert "Received-SPF" in reply.lines[0]
    assert reply.lines[1] == f"Case: {CASE}"
    assert (ended.ended, ended.action.disposition) == ("refused", Disposition.REJECT)
    assert str(ended.action.rule) == "[headers] remove_forged = yes, and there are more than 1000 of them"


def test_as_many_as_are_removed_are_removed() -> None:
    edits, reply, ended = flooded("", "<u@pass.example>", MAX_FORGED)
    assert (len(edits.remove), reply, ended.removed) == (MAX_FORGED, None, MAX_FORGED)
    assert [edits.remove[0].index, edits.remove[-1].index] == [MAX_FORGED, 1]


def test_what_spf_refuses_is_refused_for_that() -> None:
    _, reply, ended = flooded(MESSAGE, "<u@fail.example>")
    assert reply is not None
    assert (reply.status, ended.action.rule.key) == ("5.7.23", "fail")


@pytest.mark.parametrize(
    ("ini", "disposition", "would", "removed"),
    [
        ("[policy]\nmode = monitor", Disposition.ACCEPT, Disposition.REJECT, 0),
        (RELAYED, Disposition.TAG, None, MAX_FORGED),
    ],
)
def test_where_it_cannot_be_refused_the_topmost_are_removed(
    ini: str, disposition: Disposition, would: Disposition | None, removed: int
) -> None:
    """But not in monitor mode, which removes nothing."""
    edits, reply, ended = flooded(ini, "<u@pass.example>")
    assert (reply, ended.action.disposition, ended.action.would) == (None, disposition, would)
    assert {removal.index for removal in edits.remove} == set(range(1, removed + 1))
    assert [field.name for field in edits.insert] == [*["Authentication-Results"] * 2, *["Received-SPF"] * 2]


@pytest.mark.parametrize("disposition", ["quarantine", "tag"])
def test_what_spf_does_with_a_message_that_cannot_be_refused_is_done(disposition: str) -> None:
    edits, _, ended = flooded(f"{RELAYED}\n[policy.mailfrom]\nsoftfail = {disposition}", "<u@soft.example>")
    assert (ended.action.disposition, ended.action.rule.key) == (disposition, "softfail")
    assert edits.insert[-1].value.startswith(f"{disposition}; ")
    assert (edits.quarantine is not None) == (disposition == "quarantine")


def test_a_relay_that_may_be_refused_is() -> None:
    _, reply, _ = flooded(f"{RELAYED}\nrefuse = yes", "<u@pass.example>")
    assert reply is not None


def test_your_own_clients_may_have_as_many_as_they_like() -> None:
    for ini in ("[exempt]\nnetworks = 203.0.113.7", f"{RELAYED}\n[exempt]\nnetworks = 192.0.2.1"):
        edits, reply, ended = flooded(ini, "<u@pass.example>")
        assert (edits.remove, reply, ended.action.disposition) == ((), None, Disposition.ACCEPT)


# -- a forged field inside another -------------------------------------------------------------------------------------

HIDING = "=?utf-8?q?Hi=0AAuthentication-Results:_mx.example.net;_spf=3Dpass?="


@pytest.mark.parametrize(("name", "more"), [("Subject", ""), ("Subject", SUBJECT), ("X-Any", "")])
def test_a_message_that_hides_a_forged_field_in_another_is_refused_for_any_spf_result(name: str, more: str) -> None:
    connection = session(more)
    mail(connection, "<u@pass.example>")
    connection.header(name, HIDING)
    _, reply, ended = end(connection)
    assert reply is not None
    assert str(reply).startswith(
        "550-5.7.0 Message refused: One header field of the message hides another one that only the receiving"
    )
    assert (
        str(ended.action.rule) == "[headers] remove_forged = yes, and one is hidden in another field or in the sender"
    )
    mail(connection, "<u@pass.example>")
    assert end(connection)[1] is None, "nothing is left of the message before"


def test_a_message_whose_notice_is_forged_inside_another_field_is_refused() -> None:
    connection = session("[headers]\ntag_header = X-Why")
    for name, refused in (("X-SPF-Notice", False), ("X-Why", True)):
        mail(connection, "<u@pass.example>")
        connection.header("Subject", f"Hi\r{name}: accept")
        assert (end(connection)[1] is not None) is refused


@pytest.mark.parametrize("more", ["", "[policy]\nreject_at = rcpt", "[policy]\nreject_at = message"])
def test_a_sender_that_hides_a_forged_field_is_refused(more: str) -> None:
    """The MTA writes it into Return-Path."""
    word = "=?utf-8?q?=0AAuthentication-Results=3A_mx.example.net=3B_spf=3Dpass?="
    connection = session(more)
    mail(connection, f"<{word}@pass.example>")
    assert end(connection)[1] is not None
    mail(connection, "<=?utf-8?q?Hi=0A?=@pass.example>")
    assert end(connection)[1] is None


def test_where_nothing_may_be_refused_or_removed_a_hidden_field_is_let_through() -> None:
    for ini in (
        "[headers]\nremove_forged = no",
        "[exempt]\nnetworks = 203.0.113.7",
        "[policy]\nmode = monitor",
        RELAYED,
    ):
        connection = session(ini)
        mail(connection, "<u@pass.example>")
        connection.header("Subject", HIDING)
        assert end(connection)[1] is None


# -- the recipients of refused mail ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_refused_recipients_are_named_if_the_settings_want_it(mode: str) -> None:
    connection = session(LOGGED + RCPT.replace("[policy]", f"[policy]\nmode = {mode}"))
    mail(connection)
    recipients(connection, OTHER, POSTMASTER, LENIENT, PATIENT)
    assert end(connection)[2].refused_recipients == (OTHER, PATIENT)


@pytest.mark.parametrize("mode", ["enforce", "monitor"])
def test_at_the_end_all_recipients_of_a_refused_message_are_named(mode: str) -> None:
    for sender, named in (("<u@fail.example>", ("<a@r.example>", OTHER)), ("<u@soft.example>", ())):
        connection = session(LOGGED + MESSAGE.replace("[policy]", f"[policy]\nmode = {mode}"))
        mail(connection, sender)
        recipients(connection, "<a@r.example>", OTHER)
        assert end(connection)[2].refused_recipients == named


def test_refused_recipients_are_named_also_where_all_were_and_no_message_came() -> None:
    connection = session(LOGGED + RCPT)
    mail(connection)
    many = [f"<{number}@r.example>" for number in range(60)]
    recipients(connection, *many)
    ended = connection.abandon().ended
    assert ended is not None
    assert (ended.ended, ended.refused_recipients) == ("refused", tuple(many[:50]))


@pytest.mark.parametrize("ini", [RCPT, MESSAGE])
def test_of_a_message_that_forged_fields_refuse_all_recipients_are_named(ini: str) -> None:
    connection = session(LOGGED + ini)
    mail(connection, "<u@pass.example>")
    recipients(connection, OTHER, POSTMASTER)
    connection.header("Subject", HIDING)
    _, reply, ended = end(connection)
    assert reply is not None
    assert ended.refused_recipients == (OTHER, POSTMASTER)


@pytest.mark.parametrize("ini", [RCPT, MESSAGE])
def test_by_default_no_refused_recipient_is_named(ini: str) -> None:
    connection = session(ini)
    mail(connection)
    recipients(connection, OTHER)
    ended = connection.abandon().ended
    assert ended is not None
    assert ended.refused_recipients == ()
