"""Recipients: whose rules are about them, and what one message comes to when they differ."""

from itertools import product

import pytest

from spfmilter.model import NO_OWN_RULES, Action, Addressee, Disposition, Rule
from spfmilter.policy import addressee, combine_recipients, could_part_ways, downgrade, part_ways, separates
from spfmilter.settings.schema import Mode, RejectAt
from tests.values import settings

ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition
OWN = """
[policy]
reject_at = rcpt
[recipient:joe@example.net]
[recipient:@example.net]
[recipient:joe@]
[recipient:sue+tag@example.net]
[recipient:ann@bücher.example]
[recipient:"a@b"@example.org]
"""


@pytest.mark.parametrize(
    ("recipient", "section"),
    [
        ("<joe@example.net>", "joe@example.net"),
        ("<JOE@Example.NET>", "joe@example.net"),
        ("joe@example.net.", "joe@example.net"),
        ('<"joe"@example.net>', "joe@example.net"),
        ("<@relay.example:joe@example.net>", "joe@example.net"),
        ("<ann@example.net>", "@example.net"),
        ("<joe@other.example>", "joe@"),
        ("<joe>", "joe@"),
        ("<joe@sub.example.net>", "joe@"),
        ("<ann@sub.example.net>", ""),
        ("<ann@xn--bcher-kva.example>", "ann@bücher.example"),
        ("<ann@BÜCHER.example>", "ann@bücher.example"),
        ("<joe+tag@example.net>", "joe@example.net"),
        ("<joe+a+b@example.net>", "joe@example.net"),
        ("<Joe+tag@other.example>", "joe@"),
        ('<"joe+tag"@example.net>', "joe@example.net"),
        ("<sue+tag@example.net>", "sue+tag@example.net"),  # has rules of its own
        ("<sue@example.net>", "@example.net"),
        ("<+joe@example.org>", ""),
        ("<ann+joe@other.example>", ""),
        ("<joe@example.net@x.example>", ""),
        ("<a@b@example.org>", ""),
        ("<>", ""),
    ],
)
def test_the_most_specific_section_applies(recipient: str, section: str) -> None:
    chosen = section.replace("bücher", "xn--bcher-kva")
    assert addressee(recipient, settings(OWN), "") == Addressee(section=chosen)


@pytest.mark.parametrize(
    ("recipient", "understood", "section"),
    [
        # Postfix reads a whole address in these; of a user of this host, Sendmail tells the name only.
        ("<joe%example.net>", "joe@example.net", "joe@example.net"),
        ("<example.net!ann>", "ann@example.net", "@example.net"),
        ("<joe@example.net>", "joe", "joe@example.net"),
        ('<"a@b"@example.org>', '"A@b"@example.org', '"a@b"@example.org'),
        ("<joe%example.net@mx.example.net>", "joe", "joe@"),
        # A table of the MTA's may lead elsewhere: both are the recipient, and the more specific section applies.
        ("<sales@example.net>", "joe@example.org", "@example.net"),
        ("<sales@example.org>", "joe@example.net", "joe@example.net"),
        # What appears only in the client's way of writing is no recipient.
        ("<@x(:joe@example.net):ann%example.org>", "ann@example.org", ""),
        ("<ann%example.org@example.net>", "ann@example.org", ""),
        ("<example.org!ann@example.net>", "ann@example.org", ""),
        ('<"ann@example.org"@example.net>', "ann@example.org", ""),
        ("<ann%example.org@example.net>", "ann%example.org@example.net", "@example.net"),
        ("<joe@example.net(x)>", "", ""),
    ],
)
def test_an_address_counts_as_the_mta_reads_it_and_as_written_where_that_is_plain(
    recipient: str, understood: str, section: str
) -> None:
    assert addressee(recipient, settings(OWN), understood) == Addressee(section=section)


def test_an_exempt_recipient_may_be_exempt_as_read_or_as_plainly_written() -> None:
    usual = settings("[policy]\nreject_at = rcpt")
    assert addressee("<abuse%example.net>", usual, "abuse@example.net").exempt
    assert addressee("<postmaster@example.net>", usual, "root@mx.example.net").exempt
    assert addressee("<postmaster>", usual, "").exempt


@pytest.mark.parametrize(
    ("recipient", "understood"),
    [
        ("<@x(:postmaster@):victim%example.net>", "victim@example.net"),
        ("<@x(:postmaster@):victim%example.net>", ""),
        ("<@(:postmaster@example.net>", ""),
        ("<victim%example.net@lists.example>", "victim@example.net"),
        ("<victim%example.net@lists.example>", "victim"),
        ("<example.net!victim@lists.example>", "victim@example.net"),
        ('<"victim@example.net"@lists.example>', "victim@example.net"),
        ("<postmaster@(x)victim@example.net>", '"postmaster@victim"@example.net'),
    ],
)
def test_what_a_client_writes_around_an_address_exempts_no_recipient(recipient: str, understood: str) -> None:
    usual = settings("[policy]\nreject_at = rcpt\n[exempt]\nrecipients = postmaster@, abuse@, @lists.example")
    assert not addressee(recipient, usual, understood).exempt


@pytest.mark.parametrize(
    ("recipient", "exempt"),
    [
        ("<postmaster@example.net>", True),
        ("<PostMaster>", True),
        ("<postmaster+x@example.net>", True),
        ("<postmaster+x>", True),
        ("<joe+x@example.org>", True),
        ("<x+postmaster@example.net>", False),
        ("<abuse@anything.example>", True),
        ("<joe@example.org>", True),
        ("<ann@example.org>", False),
        ("<ann@lists.example>", True),
        ("<ann@sub.lists.example>", False),
        ("<postmaster-of-none@example.net>", False),
        ("<postmaster%example.net@x.example>", False),
    ],
)
def test_exempt_recipients(recipient: str, *, exempt: bool) -> None:
    ini = "[policy]\nreject_at = rcpt\n[exempt]\nrecipients = postmaster@, abuse@, joe@example.org, @lists.example"
    assert addressee(recipient, settings(ini), "").exempt is exempt


def test_without_rules_for_recipients_all_are_alike() -> None:
    assert addressee("<postmaster@example.net>", settings("[exempt]\nrecipients ="), "") == NO_OWN_RULES


# -- together ----------------------------------------------------------------------------------------------------------


def act(disposition: Disposition) -> Action:
    return Action(disposition=disposition, rule=Rule(section="s", key="k", value=disposition))


@pytest.mark.parametrize(
    ("called_for", "rcpt", "message"),
    [
        ([ACCEPT], ACCEPT, ACCEPT),
        ([TAG, ACCEPT], TAG, TAG),
        ([ACCEPT, QUARANTINE, TAG], QUARANTINE, QUARANTINE),
        ([REJECT], REJECT, REJECT),
        ([REJECT, DEFER], DEFER, DEFER),  # the recipient that defers shall get it later
        ([REJECT, ACCEPT], ACCEPT, TAG),  # at RCPT, the other has been refused alone
        ([DEFER, ACCEPT], ACCEPT, TAG),
        ([REJECT, DEFER, TAG], TAG, TAG),
        ([REJECT, QUARANTINE], QUARANTINE, QUARANTINE),
    ],
)
def test_what_becomes_of_a_message_for_several(
    called_for: list[Disposition], rcpt: Disposition, message: Disposition
) -> None:
    for order in (called_for, called_for[::-1]):
        actions = [act(disposition) for disposition in order]
        assert combine_recipients(actions, RejectAt.RCPT, Mode.ENFORCE).disposition is rcpt
        assert combine_recipients(actions, RejectAt.MESSAGE, Mode.ENFORCE).disposition is message


@pytest.mark.parametrize(
    ("called_for", "would"),
    [
        ([ACCEPT], ACCEPT),
        ([ACCEPT, REJECT], REJECT),
        ([ACCEPT, DEFER], DEFER),
        ([TAG, REJECT, DEFER], REJECT),
        ([QUARANTINE, TAG], QUARANTINE),
        ([REJECT, DEFER], DEFER),  # as in enforce mode
    ],
)
@pytest.mark.parametrize("stage", [RejectAt.RCPT, RejectAt.MESSAGE])
def test_monitor_mode_refuses_no_recipient_alone_so_a_refusal_counts_for_the_message(
    called_for: list[Disposition], would: Disposition, stage: RejectAt
) -> None:
    for order in (called_for, called_for[::-1]):
        actions = [act(disposition) for disposition in order]
        assert combine_recipients(actions, stage, Mode.MONITOR).disposition is would


def test_no_recipient_loses_mail_because_of_another() -> None:
    for one, other in product(Disposition, Disposition):
        together = combine_recipients([act(one), act(other)], RejectAt.MESSAGE, Mode.ENFORCE).disposition
        assert together.refuses == (one.refuses and other.refuses), (one, other)


def test_a_refusal_that_is_not_sent_has_its_reason() -> None:
    rule = combine_recipients([act(REJECT), act(ACCEPT)], RejectAt.MESSAGE, Mode.ENFORCE).rule
    assert str(rule) == "[s] k = reject, but other recipients take it"
    assert downgrade(act(QUARANTINE), "x") == act(QUARANTINE)


# -- which recipients cannot share a message ---------------------------------------------------------------------------

PARTED = """
[policy]
reject_at = message
[policy.mailfrom]
softfail = tag
[recipient:lenient@]
fail = tag
[recipient:patient@]
fail = defer
[recipient:strict@]
softfail = reject
[recipient:alike@]
softfail = quarantine
"""


def kind(name: str) -> Addressee:
    return addressee(f"<{name}@r.example>", settings(PARTED), "")


@pytest.mark.parametrize(("one", "other"), list(product(Disposition, Disposition)))
def test_two_recipients_part_ways_where_one_would_be_refused(one: Disposition, other: Disposition) -> None:
    found = part_ways(*(Action(disposition=each, rule=Rule(section="s", key="k", value="")) for each in (one, other)))
    assert found is ((one in {DEFER, REJECT}) != (other in {DEFER, REJECT}))


@pytest.mark.parametrize(
    ("one", "other", "parted"),
    [
        ("postmaster", "bob", True),
        ("lenient", "bob", True),
        ("strict", "bob", True),
        ("patient", "bob", False),
        ("alike", "bob", False),
        ("bob", "eve", False),
        ("postmaster", "abuse", False),
        ("postmaster", "lenient", True),  # at HELO's softfail, say
    ],
)
def test_two_kinds_of_recipients_could_part_ways(one: str, other: str, parted: bool) -> None:
    tables = settings(PARTED.replace("softfail = tag", "softfail = tag\npermerror = reject"))
    assert could_part_ways(kind(one), kind(other), tables) is parted
    assert could_part_ways(kind(other), kind(one), tables) is parted


@pytest.mark.parametrize(
    ("ini", "parted"),
    [
        # A section's own entry for the result goes before the general entry of a condition, which is a finer result.
        ("[policy.mailfrom]\nfail = tag\nno_mail = reject\n[recipient:a@]\nfail = tag", True),
        ("[policy.mailfrom]\nnone = tag\nunreachable = reject\n[recipient:a@]\nnone = accept", True),
        ("[policy.mailfrom]\nfail = tag\n[domain:x.example]\nno_mail = reject\n[recipient:a@]\nfail = tag", True),
        ("[policy.mailfrom]\nfail = tag\n[domain:x.example]\nfail = tag\n[recipient:a@]\nfail = tag", False),
    ],
)
def test_an_entry_of_a_condition_parts_recipients_where_it_applies(ini: str, parted: bool) -> None:
    tables = settings(f"[policy]\nreject_at = message\n[exempt]\nrecipients =\n[policy.helo]\nfail = tag\n{ini}")
    one, other = (addressee(f"<{name}@r.example>", tables, "") for name in ("a", "b"))
    assert could_part_ways(one, other, tables) is parted
    assert could_part_ways(other, one, tables) is parted


@pytest.mark.parametrize(
    ("ini", "possible"),
    [
        ("[policy]\nreject_at = message", True),
        ("[policy]\nreject_at = message\nmode = monitor", False),
        ("[policy]\nreject_at = message\n[exempt]\nrecipients =", False),
        ("[policy]\nreject_at = message\n[exempt]\nrecipients =\n[recipient:a@]", True),
    ],
)
def test_where_recipients_are_not_distinguished_or_no_mail_is_refused_none_is_separated(
    ini: str, possible: bool
) -> None:
    assert separates(settings(ini)) is possible
