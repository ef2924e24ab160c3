"""The demo's story: its DNS zones, its scenes, and the expected result of each.

It knows reserved names and addresses (RFC 2606, RFC 5737) and what a reader should see. It starts nothing and prints
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

DOMAIN, HOSTNAME = "mail163.example", "mx.example.net"
SENDER, RECIPIENT, POSTMASTER = f"alice@{DOMAIN}", "bob@example.net", "postmaster@example.net"
PROVIDER, SHOP, HOST, HOTEL, ALUMNI = "192.0.2.10", "203.0.113.7", "192.0.2.200", "198.51.100.250", "198.51.100.77"
SHOP_NAME, ALUMNI_NAME = "www.shop.example", "mail.alumni.example"
RECORD = "v=spf1 include:spf.mail163.example -all"


def zone(record: str) -> str:
    """Return the zone of Alice's provider with this SPF record. Its TTL is 0, so a change takes effect at once."""
    return f"""\
@ 0 TXT "{record}"
spf TXT "v=spf1 ip4:192.0.2.0/25 ip4:198.51.100.0/26 -all"
m10 A {PROVIDER}
m10 TXT "v=spf1 a -all"
"""


ZONES = {
    DOMAIN: zone(RECORD),
    "shop.example": f"www A {SHOP}",
    "alumni.example": f"mail A {ALUMNI}",
    "100.51.198.in-addr.arpa": f"77 PTR {ALUMNI_NAME}.",
    "113.0.203.in-addr.arpa": f"7 PTR {SHOP_NAME}.",
    "bank.example": '@ TXT "v=spf1 ip4:192.0.2.0/25 -all"',
    "careful.example": '@ TXT "v=spf1 ip4:192.0.2.0/25 ~all"',
    # Not its real record, and known to this name server alone.
    "163.com": '@ TXT "v=spf1 ip4:192.0.2.0/25 -all"',
    "typo.example": '@ TXT "v=spf1 ipv4:192.0.2.0/25 -all"',
    "hotel.example": f"laptop A {HOTEL}",
    "example.net": '@ TXT "v=spf1 ip4:192.0.2.25 -all"',
    "example.org": f'mail A {HOST}\nmail TXT "v=spf1 a -all"',
}

INI = """\
[milter]
socket = inet:{milter}@127.0.0.1
[reply]
contact = postmaster@example.net
help_url = http://127.0.0.1:{web}/spf/{{token}}
[headers]
authserv_id = mx.example.net
[dns]
nameservers = {nameserver}
[state]
folder = {folder}
[journal]
url = sqlite:///{folder}/journal.db
[web]
listen = 127.0.0.1:{web}
secret_file = {secret}
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a scene: the reply that decided it, and the message if it was delivered."""

    code: int
    lines: list[str]
    message: EmailMessage | None
    refused: dict[str, str]  # recipients who were refused alone, and the reply

    @property
    def text(self) -> str:
        """Return the reply as one text."""
        return "\n".join(self.lines)

    def field(self, name: str) -> str:
        """Return all fields of that name, unfolded, as one text; empty if there is none."""
        values = self.message.get_all(name, []) if self.message is not None else []
        return " | ".join(" ".join(str(value).split()) for value in values)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One message: its sender and content, the explanation for the reader, and the checks of its result."""

    title: str
    happens: str
    address: str
    name: str  # of the client: in the DNS, and in EHLO
    sender: str
    login: str = ""
    recipients: tuple[str, ...] = (RECIPIENT,)
    settings: str = ""  # sections that the administrator adds to the INI file for this scene
    fields: str = ""  # header fields that the client writes itself, beside From, To and Subject
    elsewhere: str = ""  # the reply of another server in this case
    shows: frozenset[str] = frozenset()  # the header fields to show, in lower case; empty: all that matter
    checks: dict[str, Callable[[Outcome], bool]]

    @property
    def content(self) -> str:
        """Return the message that the client sends."""
        author = self.sender or f"mailer-daemon@{self.name}"
        return f"{self.fields}From: {author}\nTo: {RECIPIENT}\nSubject: {self.title}\n\nHello Bob.\n"


def _accepted(outcome: Outcome) -> bool:
    return outcome.code == 250 and outcome.message is not None


def _reached(recipient: str, outcome: Outcome) -> bool:
    return outcome.message is not None and outcome.message["Delivered-To"] == recipient


def _is_above_received(outcome: Outcome) -> bool:
    names = outcome.message.keys() if outcome.message is not None else []
    above = names[: names.index("Received")] if "Received" in names else []
    return "Authentication-Results" in above and "Received-SPF" in above


LISTED = Scene(
    title="A server that the sender's domain lists is accepted",
    happens="One of mail163.example's own servers delivers a message of its user Alice.",
    address=PROVIDER,
    name="m10.mail163.example",
    sender=SENDER,
    checks={
        "delivered": _accepted,
        "both identities passed": lambda o: o.field("Authentication-Results").count("spf=pass") == 2,
        "the results stand above Postfix's own Received": _is_above_received,
    },
)

REFUSED = Scene(
    title="A server that the sender's domain does not list is refused",
    happens="Alice writes with her mail163.example address, but through her shop's server, which her provider's record "
    "does not name.",
    address=SHOP,
    name=SHOP_NAME,
    sender=SENDER,
    elsewhere="The receiving system checks SPF and your mailbox is not in its list of trusted senders; "
    "ask its administrator.",
    checks={
        "refused at MAIL FROM, before any content, with 550 5.7.23": lambda o: (
            o.code == 550 and o.message is None and all(line.startswith("5.7.23 ") for line in o.lines)
        ),
        "the first line alone names the address, the domain and the term that decided": lambda o: all(
            word in o.lines[0] for word in (SHOP, DOMAIN, '"-all"')
        ),
        "then what to change, and that it is in the sender domain's DNS, not here": lambda o: (
            f"If you run {DOMAIN}: this server is {SHOP_NAME}" in o.text
            and f"Only if the server is yours alone, add ip4:{SHOP}." in o.text
            and f"forward this message to the administrator of {DOMAIN}: only they can change its SPF" in o.text
        ),
        "the second line links to the help page": lambda o: "): http://127.0.0.1:" in "".join(o.lines[1:2]),
        "the last line names the case": lambda o: "Case: " in "".join(o.lines[-1:]),
    },
)

OTHERS = (
    Scene(
        title="A user of a freemail domain is told what they can do",
        happens="Carol writes with her 163.com address through a shop's server. She cannot change the DNS of 163.com.",
        address=SHOP,
        name=SHOP_NAME,
        sender="carol@163.com",
        checks={
            "refused, with the server of her own provider and its port": lambda o: (
                o.code == 550 and "smtp.163.com, port 465" in o.text
            ),
            "and with no record to change": lambda o: o.code == 550 and "ip4:" not in o.text,
        },
    ),
    Scene(
        title="A doubtful message is delivered with a notice",
        happens='careful.example ends its record in "~all" (softfail): probably forged, but not to be refused.',
        address=SHOP,
        name=SHOP_NAME,
        sender="news@careful.example",
        shows=frozenset({"x-spf-notice"}),
        checks={
            "delivered": _accepted,
            "X-SPF-Notice says why and what to change": lambda o: (
                "SPF check: softfail" in o.field("X-SPF-Notice") and f"add ip4:{SHOP}" in o.field("X-SPF-Notice")
            ),
        },
    ),
    Scene(
        title="A record with a mistake does not lose mail",
        happens='The administrator of typo.example wrote "ipv4:" where SPF knows only "ip4:" (permerror).',
        address=PROVIDER,
        name="m10.mail163.example",
        sender="carol@typo.example",
        shows=frozenset({"x-spf-notice"}),
        checks={
            "delivered": _accepted,
            "X-SPF-Notice names the term at fault": lambda o: (
                "SPF check: permerror" in o.field("X-SPF-Notice") and '"ipv4:192.0.2.0/25"' in o.field("X-SPF-Notice")
            ),
        },
    ),
    Scene(
        title="A bounce is checked by the server's own name",
        happens="A bounce has no sender: SPF then checks the name in EHLO, which lists this address.",
        address=HOST,
        name="mail.example.org",
        sender="",
        shows=frozenset({"authentication-results"}),
        checks={
            "delivered": _accepted,
            "passed by its EHLO name": lambda o: (
                "spf=pass" in (results := o.field("Authentication-Results")) and "smtp.helo=mail.example.org" in results
            ),
        },
    ),
    Scene(
        title="Authenticated users are not checked",
        happens="Bob writes from a hotel, which no record lists, but he has logged in.",
        address=HOTEL,
        name="laptop.hotel.example",
        sender=RECIPIENT,
        login="bob",
        checks={
            "delivered": _accepted,
            "no SPF result was written": lambda o: (
                _accepted(o) and not o.field("Received-SPF") + o.field("Authentication-Results")
            ),
        },
    ),
    Scene(
        title="Forged results are removed",
        happens=f"The client brings results of its own making, one of them in the name of {HOSTNAME}.",
        address=SHOP,
        name=SHOP_NAME,
        sender="news@careful.example",
        fields=f"Authentication-Results: {HOSTNAME}; spf=pass smtp.mailfrom=careful.example\n"
        "Received-SPF: pass (believe me)\n"
        "Authentication-Results: lists.example.org; dkim=pass header.d=example.org\n",
        shows=frozenset({"authentication-results", "received-spf"}),
        checks={
            "delivered": _accepted,
            f"the forged result of {HOSTNAME} and the forged Received-SPF are gone": lambda o: (
                _accepted(o)
                and "spf=pass" not in o.field("Authentication-Results")
                and "believe me" not in o.field("Received-SPF")
            ),
            "another server's result is still there": lambda o: (
                "lists.example.org; dkim=pass" in o.field("Authentication-Results")
            ),
        },
    ),
    Scene(
        title="Mail from a known forwarder is accepted",
        happens="Bob's old university forwards his mail, the sender unchanged: bank.example does not list its server.",
        address=ALUMNI,
        name=ALUMNI_NAME,
        sender="statements@bank.example",
        settings="[exempt]\nforwarders = .alumni.example\n",
        shows=frozenset({"authentication-results", "x-spf-notice"}),
        checks={
            "delivered, without a notice": lambda o: _accepted(o) and not o.field("X-SPF-Notice"),
            "the fail stays in the header": lambda o: "spf=fail" in o.field("Authentication-Results"),
        },
    ),
    Scene(
        title="Each recipient is decided alone",
        happens="A server sends a message of bank.example to two recipients. postmaster must always be reachable.",
        address=SHOP,
        name=SHOP_NAME,
        sender="security@bank.example",
        recipients=(RECIPIENT, POSTMASTER),
        settings="[policy]\nreject_at = rcpt\n",
        shows=frozenset({"delivered-to"}),
        checks={
            f"{RECIPIENT} is refused, with the same notice": lambda o: (
                list(o.refused) == [RECIPIENT]
                and "is not in the trusted sender list of bank.example" in o.refused[RECIPIENT]
            ),
            f"{POSTMASTER} gets it": lambda o: _accepted(o) and _reached(POSTMASTER, o),
        },
    ),
)
