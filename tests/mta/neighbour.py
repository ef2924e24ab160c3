"""Other servers on a message's way: a real Postfix that hands mail on from an address of its own.

It knows how a relay, a forwarder and a list look in Postfix's parameters. It does not know what is made of their mail.
"""

from collections.abc import Mapping

from lab.postfix import Postfix
from lab.smtp import Answer, SmtpDialogue
from tests.mta.site import MESSAGE


class Neighbour(Postfix):
    """Takes mail for example.net, and for the addresses in `aliases`, and hands it to the SMTP server on a port.

    All mail leaves with `envelope_sender` in MAIL FROM, as a list's does; "" leaves the sender's own.
    """

    def __init__(
        self,
        port: int,
        hostname: str,
        address: str,
        *,
        aliases: Mapping[str, str] | None = None,
        envelope_sender: str = "",
        main_cf: Mapping[str, str] | None = None,
    ) -> None:
        aliases = aliases or {}
        parameters = {
            "smtp_bind_address": address,
            "relay_domains": "example.net",
            "virtual_alias_domains": " ".join({alias.partition("@")[2] for alias in aliases}),
            "virtual_alias_maps": "inline:{" + ", ".join(f"{{{a} = {to}}}" for a, to in aliases.items()) + "}"
            if aliases
            else "",
            "sender_canonical_classes": "envelope_sender",
            "sender_canonical_maps": f"static:{envelope_sender}" if envelope_sender else "",
            **(main_cf or {}),
        }
        super().__init__(
            hostname=hostname,
            domains=(),
            relayhost=f"[127.0.0.1]:{port}",
            # A bounce would go to a domain that lives in the DNS only.
            routes=dict.fromkeys(("mail163.example", "example.com", ".example.com"), "discard:"),
            main_cf=parameters,
        )

    def take(
        self, client: str, sender: str, recipient: str, *, helo: str, content: str = MESSAGE, **xclient: str
    ) -> Answer:
        """A message that is handed over here."""
        with SmtpDialogue("127.0.0.1", self.port) as smtp:
            smtp.xclient(addr=client, **{"name": "[UNAVAILABLE]", **xclient})
            smtp.ehlo(helo)
            smtp.mail(sender)
            smtp.rcpt(recipient)
            return smtp.data(content)

    def answered(self, recipient: str) -> Answer:
        """What the next server said to the message for this recipient, its lines as one."""
        said = self.wait_for_log(
            rf"to=<{recipient}>, .* status=\w+ \((?:host .* said: )?(\d+)[ -](.*?)( \(in reply.*)?\)\n"
        )
        return Answer(code=int(said[1]), lines=[said[2]])
