"""Policies other than the default, as clients, recipients and the administrator of a real Postfix see them."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from tests.mta.site import Site
from tests.mta.zones import LISTED, UNLISTED, UNREACHABLE
from tests.values import without_case

SEVERE = """
[policy.mailfrom]
none = reject
softfail = quarantine
neutral = defer
temperror = defer
permerror = reject
fail = reject
[reply]
contact = the postmaster, at +1 555 0100
fail =
    {address} may not send for {sender} (100% sure)
    {helo} {{%s}} %n
"""


@pytest.fixture(scope="module")
def severe(name_server: Nsd) -> Iterator[Site]:
    """A site that uses each action, and words of its own."""
    with Site(name_server, SEVERE) as running:
        yield running


@pytest.fixture(scope="module")
def monitoring(name_server: Nsd) -> Iterator[Site]:
    """A site that only looks."""
    with Site(name_server, "[policy]\nmode = monitor\n") as running:
        yield running


def test_a_quarantined_message_is_held_and_the_log_says_why(severe: Site) -> None:
    """Postfix keeps no reason of its own: it logs that a milter triggered HOLD, and the queue id leads to our line."""
    sent = severe.send("held@soft.example.com")
    assert sent.accepted
    [entry] = [entry for entry in severe.postfix.queue() if entry["queue_id"] == sent.queue_id]
    assert (entry["queue_name"], entry["sender"]) == ("hold", "held@soft.example.com")
    assert "X-SPF-Notice: quarantine; The server 203.0.113.7 is probably" in severe.postfix.cat(sent.queue_id)
    line = severe.logged(queue_id=sent.queue_id)
    assert (line["action"], line["rule"]) == ("quarantine", "[policy.mailfrom] softfail = quarantine (line 10)")
    severe.postfix.wait_for_log(rf"{sent.queue_id}: milter-hold: END-OF-MESSAGE")


@pytest.mark.parametrize(
    ("domain", "status", "said"),
    [
        (
            "neutral.example.com",
            "4.7.23",
            "does not say whether the server 203.0.113.7 may send its mail (SPF check: neutral)",
        ),
        (UNREACHABLE, "4.7.24", "cannot be looked up at present"),
    ],
)
def test_a_deferred_sender_is_told_to_come_again_and_why(severe: Site, domain: str, status: str, said: str) -> None:
    answer = severe.send(f"deferred@{domain}").answer
    assert answer.code == 451
    assert all(line.startswith(f"{status} ") for line in answer.lines)
    assert said in answer.lines[0]


def test_a_record_in_error_can_be_refused_naming_the_term_at_fault(severe: Site) -> None:
    answer = severe.send("refused@wrong.example.com").answer
    assert answer.code == 550
    assert answer.lines[0].startswith("5.7.24 Message refused: The SPF record of wrong.example.com has a mistake")
    assert '"ipv4:192.0.2.0/24"' in answer.lines[0]
    assert answer.lines[1] == (
        '5.7.24 If you run wrong.example.com: "ipv4:192.0.2.0/24" in its SPF record is a mistake. '
        'Write "ip4:192.0.2.0/24".'
    )
    assert answer.lines[2].endswith("Questions to mx.example.net: the postmaster, at +1 555 0100")


def test_an_address_without_a_domain_can_be_refused(severe: Site) -> None:
    answer = severe.send("a@[192.0.2.1]").answer
    assert answer.code == 550
    assert answer.lines[0].startswith('5.7.23 Message refused: The sender address "a@[192.0.2.1]" has no domain')


@pytest.mark.parametrize(
    ("sender", "said"),
    [
        (
            "nodomain",
            "5.7.23 Message refused: mx.example.net has no SPF record",
        ),  # Postfix appends its own name ($myorigin)
        ("50%off", '5.7.23 Message refused: The sender address "50@off" has no domain'),
    ],
)
def test_an_address_that_postfix_completes_is_checked_as_completed(severe: Site, sender: str, said: str) -> None:
    assert severe.send(sender).answer.lines[0].startswith(said)


def test_a_text_of_the_administrators_own_is_sent_as_written(severe: Site) -> None:
    answer = severe.send('"50% {sender} %s"@mail163.example').answer
    assert without_case(answer.lines) == [
        f'5.7.23 {UNLISTED} may not send for "50% {{sender}} %s"@mail163.example (100% sure)',
        "5.7.23 www.example.com {%s} %n",
    ]


def test_a_listed_client_passes_the_severest_policy(severe: Site) -> None:
    assert severe.send("good@mail163.example", LISTED).accepted


@pytest.mark.parametrize(
    ("domain", "would"),
    [("mail163.example", "reject"), ("soft.example.com", "tag"), ("wrong.example.com", "tag")],
)
def test_monitor_mode_refuses_no_message_and_logs_what_it_would_have_done(
    monitoring: Site, domain: str, would: str
) -> None:
    sent = monitoring.send(f"watched@{domain}")
    [notice] = monitoring.field(sent, "X-SPF-Notice")
    assert notice.startswith(f"in monitor mode; would be: {would}; ")
    line = monitoring.logged(queue_id=sent.queue_id)
    assert (line["action"], line["would"]) == ("accept", would)


def test_monitor_mode_looks_at_the_sender_even_where_helo_would_have_been_refused(monitoring: Site) -> None:
    sent = monitoring.send("watched@soft.example.com", helo="mail.example.com")
    assert [value.partition(" ")[0] for value in monitoring.field(sent, "Received-SPF")] == ["softfail", "fail"]
    assert monitoring.field(sent, "X-SPF-Notice")[0].startswith("in monitor mode; would be: reject; ")


# What policyd-spf 3.0 wrote into a message of this sender, by its two settings of Header_Type.
_OF_ANOTHER_FILTER = {
    "Received-SPF": "None (mailfrom) identity=mailfrom; client-ip=203.0.113.7; helo=www.example.com; "
    "envelope-from=watched@mail163.example; receiver=example.net",
    "Authentication-Results": "mx.example.net; spf=none (no SPF record) smtp.mailfrom=mail163.example "
    "(client-ip=203.0.113.7; helo=www.example.com; envelope-from=watched@mail163.example; receiver=example.net)",
}


@pytest.mark.parametrize("name", _OF_ANOTHER_FILTER)
def test_monitor_mode_leaves_what_another_spf_filter_before_ours_has_written(name_server: Nsd, name: str) -> None:
    """Postfix hands over what a policy service has it prepend, as it does a client's own field."""
    written = _OF_ANOTHER_FILTER[name]
    prepend = {"smtpd_recipient_restrictions": f"check_recipient_access static:{{PREPEND {name}: {written}}}"}
    with Site(name_server, "[policy]\nmode = monitor\n", main_cf=prepend) as site:
        sent = site.send("watched@mail163.example")
        assert site.field(sent, name)[-1] == written
        assert site.field(sent, name)[0] != written
        assert site.logged(queue_id=sent.queue_id)["forged"] == 1
        site.configure("[policy.mailfrom]\nfail = tag\n")
        sent = site.send("watched@mail163.example")
        assert written not in site.field(sent, name), "in enforce mode nothing tells it from a forged field"


def test_monitor_mode_at_mail_from_says_what_it_would_do_with_mail_that_another_filter_refuses(
    name_server: Nsd,
) -> None:
    """As policyd-spf does at RCPT TO; docs/migration.md compares the two logs."""
    refuse = "check_recipient_access static:{550 5.7.23 Message rejected due to: SPF fail - not authorized.}"
    monitor = "[policy]\nmode = monitor\nreject_at = "
    with Site(name_server, f"{monitor}mail\n", main_cf={"smtpd_recipient_restrictions": refuse}) as site:
        assert site.send("early@mail163.example").answer.code == 550
        line = site.logged(**{"from": "<early@mail163.example>"})
        assert (line["action"], line["would"], line["ended"]) == ("accept", "reject", "abandoned")
        site.postfix.wait_for_log(
            r"reject: RCPT from unknown\[203\.0\.113\.7\]: 550 5\.7\.23 .* from=<early@mail163\.example>"
        )
        site.configure(f"{monitor}rcpt\n")
        site.send("late@mail163.example")
        assert "would" not in site.logged(**{"from": "<late@mail163.example>"})
