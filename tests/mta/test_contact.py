"""The default stage: a refused sender reaches the contact that the notice names."""

import re

from lab.nsd import Nsd
from tests.mta.site import MESSAGE, Sent, Site

OWN = ("example.net", "mx.example.net")
DEFAULT_STAGE = "# reject_at is not set here\n"


def test_the_contact_that_the_notice_names_accepts_that_very_sender(name_server: Nsd) -> None:
    with Site(name_server, f"refused_recipients = yes\n{DEFAULT_STAGE}", domains=OWN) as site:
        with site.connect() as smtp:
            assert smtp.mail("alice@mail163.example").code == 250
            refused = smtp.rcpt("bob@example.net")
            assert (refused.code, refused.lines[0][:6]) == (550, "5.7.23")
            [contact] = re.findall(r"Questions to mx\.example\.net: (\S+)", refused.text)
            assert smtp.rcpt(contact).code == 250
            sent = Sent(answer=smtp.data(MESSAGE), recipient=contact)
        assert site.field(sent, "Received-SPF")[0].startswith("fail (")
        line = site.logged(queue_id=sent.queue_id)
        assert (line["action"], line["refused"], line["refused_rcpt"]) == ("accept", 1, "<bob@example.net>")
        site.postfix.wait_for_log(r"milter-reject: RCPT from .*: 550-5\.7\.23 .* to=<bob@example\.net>")
