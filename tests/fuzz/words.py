"""What is odd: names, texts, header fields and terms of records that a program may have read wrongly once."""

LARGEST = 60_000  # octets of a string: with it a packet is below libmilter's limit of 64 KB, beyond which it hangs up
# The login, which exempts from every check, is rare.
MACROS = (
    *("i", "j", "{client_addr}", "{mail_addr}", "{rcpt_addr}", "{daemon_addr}", "{", "", "{}x") * 4,
    "{auth_authen}",
)
TERMS = (
    "a", "mx", "ptr", "all", "-all", "~all", "?all", "a:{n}", "mx:{n}/24//64", "ptr:{n}", "include:{n}",
    "include:i.{n}", "redirect={n}", "redirect=i.{n}", "exp=e.{n}", "exists:%{{i}}.{n}",
    "exists:%{{l}}.%{{o}}.%{{d2r}}.{n}",
    "exists:%{{p}}.{n}", "exists:%{{S}}", "ip4:203.0.113.0/24", "ip4:1.2.3", "ip6:::/0", "ip6:2001:db8::1/129",
    "a:%{{h}}", "mx:%{{d1}}", "%", "%{{x}}", "=", "a=%{{l99999}}", "x=\xe4", "include:", "a//",
    "a:" + "a." * 40 + "{n}", "redirect=%{{", "exp=%{{c}}", "v=spf1", "\t", "ip4:" + "9" * 300,
)  # fmt: skip
TEXTS = (
    b"", b" ", b"%", b"%s%n%x", b"%" * 1000, b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\r\nX: y", b"a\nb", b"\x00",
    b"a\x00b", b'"', b"(", b")", b"\\", b"((((((", b'"a b"@', b"@", b"@@@", b"<>", b"<<>>", b"<@a,@b:c@d>", b"\x7f",
    b"\xe2\x80\xae", b"\xef\xbb\xbf", b"=?utf-8?q?x?=", b"=?utf-8?b?!!!?=", b"[1.2.3.4]", b"[IPv6:::1]", b"a!b", b"a%b",
    "b\u00fccher.example".encode(), "\u90f5\u4ef6@\u4f8b\u3048.jp".encode(), b"xn--a", b"-", b".", b"..", b"a" * 64,
    b"a" * 300, b"A.b." * 80, b"SMTPUTF8", b"SIZE=99999999999999999999", b"BODY=8BITMIME", b"localhost", b"\x1b[2J",
    b"mx.example.net; spf=pass", b"v=spf1", b"a" * LARGEST, b"\xff" * 5000, b"(" * 20000, b"; " * 10000,
)  # fmt: skip
FIELDS = (
    b"Authentication-Results", b"authentication-results ", b"Received-SPF", b"X-SPF-Notice", b"From", b"Subject", b"To",
    b"Received", b"ARC-Authentication-Results", b"A", b"\xff", b"Subject\t", b":", b" ", b"X" * 2000, b"Fr\xc3\xb6m",
)  # fmt: skip
VALUES = (
    b"mx.example.net; spf=pass smtp.mailfrom=%(n)s", b"=?utf-8?q?mx=2Eexample=2Enet?=; spf=pass", b"pass (x) %(n)s",
    b'"mx.example.net" 1 (((', b"User <u@%(n)s>", b"<u@pass.fuzz.example>, v@%(n)s", b"=?x?q?y?= <u@%(n)s>", b"@",
    b"from %(n)s ([203.0.113.7]) by mx.example.net with ESMTP id 1;\n\tMon, 1 Jan 2026 00:00:00 +0000",
    b"from %(n)s (unknown [192.0.2.2]) by mx2.example.net (Postfix) with ESMTP id 1", b"from x by y", b"from (((",
    b"=?utf-8?b?W1NQRl0=?= x", b"=?unknown-8bit?q?=FF?=", b"\n x\n y", b"\xe4\xf6\xfc " * 30, b"[SPF] x", b"Re: " * 40,
)  # fmt: skip
