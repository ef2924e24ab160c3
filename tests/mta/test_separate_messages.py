"""Recipients of whom some would be refused and some not, at the end of the message: a real sender comes twice."""

from collections.abc import Iterator

import pytest

from lab import sendmail
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import until
from lab.smtp import SmtpDialogue
from tests.mta.site import MESSAGE, SendmailSite, Site

# The sending server is on loopback, which a site with its usual settings does not check.
INI = "[exempt]\nnetworks =\nprivate_clients = no\n[policy]\nreject_at = message\n"
FORGED, ALLOWED = "mail163.example", "www.example.com"  # of these, the first publishes -all, the other no record


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def receiver(name_server: Nsd, request: pytest.FixtureRequest) -> Iterator[Site | SendmailSite]:
    if request.param == "sendmail" and sendmail.unavailable():
        pytest.skip(sendmail.unavailable())
    kind = Site if request.param == "postfix" else SendmailSite
    with kind(name_server, INI) as running:
        yield running


@pytest.fixture(scope="module")
def sender(receiver: Site | SendmailSite) -> Iterator[Postfix]:
    port = receiver.postfix.port if isinstance(receiver, Site) else receiver.sendmail.port
    relayhost = f"[127.0.0.1]:{port}"
    with Postfix(hostname="out.mail163.example", domains=["mail163.example"], relayhost=relayhost) as running:
        yield running


def send(sender: Postfix, address: str, *recipients: str) -> None:
    """One message to all of them, which the sending server takes."""
    with SmtpDialogue("127.0.0.1", sender.port) as smtp:
        smtp.ehlo("desk.mail163.example")
        assert smtp.mail(address).code == 250
        for recipient in recipients:
            assert smtp.rcpt(recipient).code == 250
        assert smtp.data(MESSAGE).code == 250


def test_the_exempt_recipient_gets_its_copy_and_the_other_is_refused(
    receiver: Site | SendmailSite, sender: Postfix
) -> None:
    exempt, other = "postmaster@example.net", "bob@example.net"
    send(sender, f"forger@{FORGED}", exempt, other)
    # Postfix chooses the order in which it names the recipients.
    later = sender.wait_for_log(r"to=<([^>]*)>, [^\n]* status=deferred [^\n]* 452[ -]4\.5\.3 ", timeout=60)[1]
    until(lambda: [each for each in sender.queue() if each["queue_name"] == "deferred"], 60, "the rest is deferred")
    sender.flush()
    [copy] = receiver.mta.delivered(timeout=60)
    assert (copy.recipient, copy.sender) == (exempt, f"forger@{FORGED}")
    assert copy.message["X-SPF-Notice"] is None
    refused = sender.wait_for_log(rf"to=<{other}>, [^\n]* status=bounced ([^\n]*)\n", timeout=60)
    assert "550" in refused[1]
    assert "5.7.23" in refused[1]
    line = receiver.logged(**{"from": f"<forger@{FORGED}>", "separated": 1})
    assert line["action"] == ("accept" if later == other else "reject")


def test_mail_that_all_of_them_take_comes_in_one_message(receiver: Site | SendmailSite, sender: Postfix) -> None:
    send(sender, f"honest@{ALLOWED}", "postmaster@example.net", "ann@example.net")
    copies = receiver.mta.delivered(count=2)
    assert {copy.recipient for copy in copies} == {"postmaster@example.net", "ann@example.net"}
    assert "separated" not in receiver.logged(**{"from": f"<honest@{ALLOWED}>"})
