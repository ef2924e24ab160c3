"""What the daemon asks of an MTA, and how it serves one that has little to give."""

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterwire import BODY, DATA, EOH, HEADER, HELO, MAIL, RCPT, UNKNOWN
from tests.wire.running import CLIENT, Running, running

# <libmilter/mfapi.h> and <libmilter/mfdef.h>
ADDHDRS, CHGHDRS, QUARANTINE, SETSYMLIST = 0x01, 0x10, 0x20, 0x100
V2_ACTIONS, V2_STEPS = 0x3F, 0x7F
NR_FLAGS = 0x80 | 0x1000 | 0x2000
RESULT_FIELDS = [*["Received-SPF"] * 2, *["Authentication-Results"] * 2]  # each is put on top of the one before


def test_only_what_is_needed_is_asked_for(usual: Running) -> None:
    with usual.client() as mta:
        options = mta.negotiate()
        mta.quit()
    assert options.actions == ADDHDRS | CHGHDRS | QUARANTINE | SETSYMLIST
    assert [s.name for s in (RCPT, DATA, HEADER, EOH, BODY, UNKNOWN, HELO, MAIL) if options.wants(s)] == [
        "header",
        "helo",
        "mail",
    ]
    assert [s.name for s in (HELO, HEADER, MAIL) if options.answers(s)] == ["mail"]
    assert options.symlists == {
        "connect": ("j", "{client_addr}"),
        "mail": ("i", "{auth_authen}", "{mail_addr}"),
        "eom": ("i",),
    }


def test_in_monitor_mode_nothing_is_asked_for_but_to_add_fields(dns: ScriptedDNS) -> None:
    """And a filter before ours finds its fields untouched, whatever the MTA lets us do."""
    foreign = [("Received-SPF", "None (mailfrom) identity=mailfrom"), ("Authentication-Results", "h; spf=none")]
    ini = "[policy]\nmode = monitor\n[policy.mailfrom]\nneutral = quarantine\n[headers]\ntag_subject = [SPF]\n"
    with running(dns, ini) as serving, serving.client() as mta:
        assert mta.negotiate().actions == ADDHDRS | SETSYMLIST
        mta.connect("host.example", "inet", CLIENT, macros={"j": "h"})
        mta.helo("mail.example")
        outcome = mta.deliver(
            "<u@neutral.example>", ["<r@example.net>"], [*foreign, ("Subject", "x")], macros={"i": "QMON"}
        )
        mta.quit()
        line = serving.line("QMON")
    assert (outcome.reply.kind, outcome.changed, outcome.quarantine) == ("continue", (), None)
    assert [change.name for change in outcome.inserted] == ["X-SPF-Notice", *RESULT_FIELDS]
    assert "would=quarantine" in line
    assert "forged=2" in line


@pytest.mark.parametrize(
    ("policy", "answered"),
    [
        ("# the default of reject_at", True),
        ("reject_at = rcpt", True),
        ("reject_at = message", True),  # postmaster and abuse are exempt by default
        ("reject_at = message\n[exempt]\nrecipients =", False),
        ("reject_at = message\n[exempt]\nrecipients =\n[recipient:joe@example.net]\nfail = tag", True),
        ("reject_at = message\nmode = monitor", False),
    ],
)
def test_recipients_are_asked_for_where_something_depends_on_them(
    dns: ScriptedDNS, policy: str, answered: bool
) -> None:
    with running(dns, f"[policy]\n{policy}\n") as serving, serving.client() as mta:
        options = mta.negotiate()
        mta.quit()
    assert (options.wants(RCPT), options.answers(RCPT)) == (True, answered)
    assert options.symlists["rcpt"] == ("{rcpt_addr}",)


def test_without_removal_the_header_is_not_asked_for(dns: ScriptedDNS) -> None:
    with running(dns, "[headers]\nremove_forged = no\n") as serving, serving.client() as mta:
        assert not mta.negotiate().wants(HEADER)
        assert mta.connect("h", "inet", CLIENT).proceeds
        outcome = mta.deliver("<u@pass.example>", ["<r@example.net>"], [("Received-SPF", "pass")])
        mta.quit()
    assert (outcome.stage, outcome.changed) == ("eom", ())


@pytest.mark.parametrize(
    ("version", "actions", "steps"),
    [
        (6, 0x1FF, 0x1FFFFF),
        (6, 0x1FF, 0x1FFFFF & ~NR_FLAGS),  # awaits an answer to every step
        (6, 0x1FF & ~SETSYMLIST, 0x1FFFFF),  # sends the macros of its own choice
        (4, 0x3F, 0x3FF),
        (3, 0x3F, 0x1FF),
        (2, V2_ACTIONS, V2_STEPS),  # Sendmail before 8.14
        (2, V2_ACTIONS, 0x7),  # and can hardly leave out a step
    ],
)
def test_an_mta_that_offers_little_is_served_all_the_same(
    usual: Running, version: int, actions: int, steps: int
) -> None:
    with usual.client() as mta:
        options = mta.negotiate(version, actions, steps)
        assert (options.version, options.actions & ~actions, options.protocol & ~steps) == (version, 0, 0)
        mta.connect("host.example", "inet", CLIENT, macros={"j": "mx.example.net"})
        mta.helo("mail.example")
        assert mta.mail("<u@fail.example>").code == "550"
        mta.abort()
        forged = [("Subject", "x"), ("Received-SPF", "pass"), ("Received-SPF", "pass")]
        outcome = mta.deliver("<u@pass.example>", ["<r@example.net>"], forged, "body", macros={"i": "QV2"})
        mta.quit()
    assert outcome.stage == "eom"
    assert outcome.reply.kind == "continue"
    assert [(change.name, change.index) for change in outcome.changed] == [("Received-SPF", 2), ("Received-SPF", 1)]
    assert [change.name for change in outcome.inserted] == RESULT_FIELDS


@pytest.mark.parametrize(
    ("actions", "changed", "inserted", "held"),
    [
        (ADDHDRS | CHGHDRS, 1, 5, False),
        (ADDHDRS | QUARANTINE, 0, 5, True),
        (CHGHDRS | QUARANTINE, 1, 0, True),
        (0x02, 0, 0, False),
    ],
)
def test_what_an_mta_does_not_let_us_do_is_left_undone_and_costs_no_mail(
    dns: ScriptedDNS, actions: int, changed: int, inserted: int, *, held: bool
) -> None:
    with running(dns, "[policy.mailfrom]\nneutral = quarantine\n") as serving, serving.client() as mta:
        mta.negotiate(6, actions)
        mta.connect("host.example", "inet", CLIENT)
        mta.helo("mail.example")
        outcome = mta.deliver("<u@neutral.example>", ["<r@example.net>"], [("Received-SPF", "pass")])
        mta.quit()
    assert outcome.reply.kind == "continue"
    assert (len(outcome.changed), len(outcome.inserted), bool(outcome.quarantine)) == (changed, inserted, held)


def test_a_connection_can_be_used_for_another_smtp_client(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT)
        assert mta.deliver("<u@pass.example>", ["<r@example.net>"]).stage == "eom"
        mta.quit_nc()
        mta.connect("other.example", "inet", "198.51.100.9")
        mta.helo("other.example")
        assert (
            mta.mail("<u@pass.example>")
            .lines[0]
            .startswith("550-5.7.23 Message refused: 198.51.100.9 is not in the trusted sender")
        )
        mta.quit()
