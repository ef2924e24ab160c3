"""The sender domains of the benchmarks: kinds of records as real domains have them, any number of domains of each kind.

Knows SPF records and the lines that `dns.c` reads ("*" stands for one label, "@" in the data repeats it); knows nothing
of who asks. Every record lets CLIENT pass, as late as its kind allows, so that nothing of it can be skipped.
"""

from collections.abc import Iterator

CLIENT = "192.0.2.10"
LOCAL_PART = "user"  # `eight` has it in the name of its exists:

# Of the size of those that large providers publish, 8 to 12 networks each; the addresses are for documentation.
_BLOCKS = " ".join(f"ip4:198.51.100.{n}/30" for n in range(0, 40, 4))
_OUTLOOK = f"v=spf1 {_BLOCKS} ip6:2001:db8:f400::/48 ip6:2001:db8:f403::/49 ip4:192.0.2.0/24 -all"

_LINES = f"""\
*.ip4.bench TXT v=spf1 ip4:192.0.2.0/24 -all

*.google.bench TXT v=spf1 include:_spf.provider.bench ~all
_spf.provider.bench TXT v=spf1 include:_n1.provider.bench include:_n2.provider.bench include:_n3.provider.bench ~all
_n1.provider.bench TXT v=spf1 {_BLOCKS} ~all
_n2.provider.bench TXT v=spf1 ip6:2001:db8:4860::/46 ip6:2001:db8:4864::/56 ip6:2001:db8:f8b0::/48 ~all
_n3.provider.bench TXT v=spf1 ip4:192.0.2.0/24 {_BLOCKS} ~all

*.outlook.bench TXT v=spf1 include:protection.provider.bench -all
protection.provider.bench TXT {_OUTLOOK}

*.amx.bench TXT v=spf1 a mx -all
*.amx.bench A 198.51.100.80
*.amx.bench MX 10 mx.@.amx.bench
mx.*.amx.bench A {CLIENT}

*.googleown.bench TXT v=spf1 include:_spf.@.googleown.bench ~all
_spf.*.googleown.bench TXT v=spf1 include:_n1.@.googleown.bench include:_n2.@.googleown.bench include:_n3.@.googleown.bench ~all
_n1.*.googleown.bench TXT v=spf1 {_BLOCKS} ~all
_n2.*.googleown.bench TXT v=spf1 ip6:2001:db8:4860::/46 ip6:2001:db8:4864::/56 ip6:2001:db8:f8b0::/48 ~all
_n3.*.googleown.bench TXT v=spf1 ip4:192.0.2.0/24 {_BLOCKS} ~all

*.outlookown.bench TXT v=spf1 include:_spf.@.outlookown.bench -all
_spf.*.outlookown.bench TXT {_OUTLOOK}

*.eight.bench TXT v=spf1 a mx a:mail.@.eight.bench include:_s1.@.eight.bench include:_s2.@.eight.bench exists:%{{l}}._e.@.eight.bench -all
*.eight.bench A 198.51.100.80
*.eight.bench MX 10 mx.@.eight.bench
mx.*.eight.bench A 198.51.100.81
mail.*.eight.bench A 198.51.100.82
_s1.*.eight.bench TXT v=spf1 {_BLOCKS} -all
_s2.*.eight.bench TXT v=spf1 ip6:2001:db8:4860::/46 -all
{LOCAL_PART}._e.*.eight.bench A 127.0.0.2

*.host.bench TXT v=spf1 a -all
*.host.bench A {CLIENT}

*.local.bench TXT v=spf1 ip4:127.0.0.0/8 -all

*.dead.bench DEAD -
"""  # noqa: E501 - a record is a line

# What the client says and is called; pyspf-milter checks the name in the place of HELO.
KNOWN_HELO = {"helo": "mx1.host.bench", "name": "mx1.host.bench"}  # a server that has been here before
NEW_HELO = {"helo": "mx%d.host.bench", "name": "mx%d.host.bench"}
# A HELO of one label is no domain, and pyspf looks up no name with an empty label: only MAIL FROM is checked.
MAIL_ONLY = {"helo": "mta", "name": "mta."}


def sender(kind: str) -> str:
    """The senders of a kind as `load.c` takes them: "%d" is their number."""
    return f"{LOCAL_PART}@d%d.{kind}.bench"


# What a server sees on an ordinary day.
EVERYDAY = tuple(sender(kind) for kind in ("ip4", "google", "outlook", "amx"))


def lines() -> Iterator[str]:
    """The zone, as `dns.c` reads it."""
    return (line for line in _LINES.splitlines() if line)
