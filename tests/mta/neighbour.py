"""Other people's servers: a Postfix that hands mail to a site from an address of its own.

It knows how a relay, a forwarder and a list look in Postfix's parameters. It does not know what the site makes of them.
"""

from collections.abc import Mapping
from typing import Any

from lab.postfix import Postfix
from lab.smtp import Answer, SmtpDialogue
from tests.mta.site import MESSAGE, Site


class Neighbour(Postfix):
    """A Postfix on its way to the site: takes mail for anybody there, and for the names in `aliases`.

    `envelope_sender` is the MAIL FROM that all mail leaves with, as of a list; "" leaves the sender's.
    """

    def __init__(
        self,
        site: Site,
        name: str,
        address: str,
        *,
        aliases: Mapping[str, str] | None = None,
        envelope_sender: str = "",
        **more: Any,
    ) -> None:
        parameters = {
            "smtp_bind_address": address,
            "relay_domains": "example.net",
            "virtual_alias_domains": " ".join({alias.partition("@")[2] for alias in aliases or {}}),
            "virtual_alias_maps": _inline(aliases or {}),
        }
        if envelope_sender:
            parameters |= {
                "sender_canonical_classes": "envelope_sender",
                "sender_canonical_maps": f"static:{envelope_sender}",
            }
        super().__init__(
            hostname=name,
            domains=(),
            relayhost=f"[127.0.0.1]:{site.postfix.port}",
            # What the site refuses would be sent back to a domain that lives in the DNS only.
            routes={"mail163.example": "discard:"},
            main_cf=parameters,
            **more,
        )

    def take(self, client: str, sender: str, recipient: str, *, helo: str, content: str = MESSAGE) -> Answer:
        """A message that somebody hands over here."""
        with SmtpDialogue("127.0.0.1", self.port) as smtp:
            smtp.xclient(addr=client, name="[UNAVAILABLE]")
            smtp.ehlo(helo)
            smtp.mail(sender)
            smtp.rcpt(recipient)
            return smtp.data(content)


def _inline(table: Mapping[str, str]) -> str:
    return "inline:{" + ", ".join(f"{{{key} = {value}}}" for key, value in table.items()) + "}" if table else ""
