"""The zones that the real NSD serves to the daemon, and the clients that they allow."""

LISTED = "192.0.2.25"  # a server of mail163.example, and mail.example.com itself
LISTED_V6 = "2001:db8:163::25"
UNLISTED = "203.0.113.7"  # in no record
UNLISTED_V6 = "2001:db8:bad::7"
PRIVATE = "10.1.2.3"
FORWARDER = "127.0.9.1"  # loopback, since a real Postfix sends from there: a server of forwarder.example, and its PTR
PRETENDER = "127.0.9.66"  # its PTR names a host of forwarder.example, which knows nothing of it
RELAY = "127.0.9.2"  # our own backup MX
EDGE = "127.0.9.3"  # another server of ours, in front of that
# The same for an MTA whose clients have no other addresses than this host's: mail163.test, mail.mail163.test itself.
LOCAL_LISTED = "127.0.0.25"
LOCAL_UNLISTED = "127.0.113.7"

# NSD answers REFUSED for names outside its zones: a temperror at once.
UNREACHABLE = "unreachable.test"

ZONES = {
    "mail163.example": """\
@ TXT "v=spf1 include:spf.mail163.example -all"
spf TXT "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:163::/48 -all"
_dmarc TXT "v=DMARC1; p=reject"
""",
    "example.com": """\
mail A 192.0.2.25
mail TXT "v=spf1 a -all"
www A 203.0.113.7
soft TXT "v=spf1 ip4:192.0.2.0/24 ~all"
neutral TXT "v=spf1 ip4:192.0.2.0/24 ?all"
wrong TXT "v=spf1 ipv4:192.0.2.0/24 -all"
listed TXT "v=spf1 -exists:%{ir}.bl.example.com +all"
7.113.0.203.bl A 127.0.0.2
open TXT "v=spf1 +all"
wide TXT "v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all"
silent TXT "v=spf1 -all"
nullmx MX 0 .
moved TXT "v=spf1 redirect=mail163.example"
explained TXT "v=spf1 -all exp=why.example.com"
why TXT "100%% of %{d}'s mail leaves from%_192.0.2.0/24"
_dmarc TXT "v=DMARC1; p=quarantine"
""",
    "mail163.test": """\
@ TXT "v=spf1 include:spf.mail163.test -all"
spf TXT "v=spf1 ip4:127.0.0.0/24 ip6:::1 -all"
strict TXT "v=spf1 ip4:127.0.0.0/24 -all"
mail A 127.0.0.25
mail TXT "v=spf1 a -all"
soft TXT "v=spf1 ip4:127.0.0.0/24 ~all"
""",
    "xn--fsqu00a.example": '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"',
    "xn--i-7iq.example": '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"',
    "xn--_b-yka.example": '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"',
    "forwarder.example": """\
@ TXT "v=spf1 ip4:127.0.9.1 -all"
out A 127.0.9.1
""",
    "example.net": """\
backup A 127.0.9.2
edge A 127.0.9.3
""",
    "9.0.127.in-addr.arpa": """\
1 PTR out.forwarder.example.
2 PTR backup.example.net.
3 PTR edge.example.net.
66 PTR out.forwarder.example.
""",
    "testing.example": '_dmarc TXT "v=DMARC1; p=reject; pct=0"',
    "trial.example": '_dmarc TXT "v=DMARC1; p=quarantine; t=y"',
    "step.example": '_dmarc TXT "v=DMARC1; p=reject; t=y"',
    "example.org": """\
here A 192.0.2.25
_dmarc TXT "v=DMARC1; p=reject; sp=quarantine; np=none"
""",
    # The walk for a DMARC record ends at the top-level domain. "bank" is a public suffix with a policy.
    "com": '_dmarc TXT "not a DMARC record"',
    "example": '_dmarc TXT "not a DMARC record"',
    "org": '_dmarc TXT "not a DMARC record"',
    "bank": '_dmarc TXT "v=DMARC1; p=reject; psd=y"',
    "watching.example": """\
@ TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc TXT "v=DMARC1; p=none"
""",
}
