"""One Received field, in the forms of the servers that people run; names and addresses are those of examples."""

import re
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.relays import received
from spfmilter.relays.received import MAX_LENGTH, Peer, Received, parse

DATE = "; Tue, 24 Nov 2026 10:00:00 +0000 (UTC)"
GW = "gw.example.net"


def field(
    address: str, name: str = "", helo: str | None = None, *, by: str = GW, own: str | None = None, login: bool = False
) -> Received:
    peer = Peer(address=ip_address(address), name=name, helo=helo)
    return Received(by=by, by_address=ip_address(own) if own else None, peer=peer, authenticated=login)


FORMS = {
    "postfix": (
        (
            "from mail.example.com (mail.example.com [203.0.113.7])\n\tby gw.example.net (Postfix) with ESMTP id 4F00\n"
            "\tfor <bob@example.net>"
        ),
        field("203.0.113.7", "mail.example.com", "mail.example.com"),
    ),
    "postfix, TLS": (
        (
            "from out.example.com (mail.example.com [203.0.113.7])\r\n"
            "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)\r\n"
            "\t key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256)\r\n"
            '\t(Client CN "out.example.com", Issuer "An Authority (R3)" (verified OK))\r\n'
            "\tby gw.example.net (Postfix) with ESMTPS id 4F00"
        ),
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "parentheses that are escaped": (
        'from x (y [203.0.113.7]) (Client CN "a\\) \\(b", Issuer "c") by gw.example.net (Postfix) with ESMTPS id 4F00',
        field("203.0.113.7", "y", "x"),
    ),
    "postfix, no name": (
        "from mail.example.com (unknown [203.0.113.7]) by gw.example.net (Postfix) with SMTP id 4F00",
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "postfix, IPv6": (
        "from mail.example.com (mail.example.com [IPv6:2001:db8::7]) by gw.example.net (Postfix) with ESMTPS id 4F00",
        field("2001:db8::7", "mail.example.com", "mail.example.com"),
    ),
    "postfix, an address literal as HELO": (
        "from [10.0.0.1] (unknown [203.0.113.7]) by gw.example.net (Postfix) with ESMTP id 4F00",
        field("203.0.113.7", "", "[10.0.0.1]"),
    ),
    "postfix, what HELO may not hold": (
        "from x??y?? (unknown [203.0.113.7]) by gw.example.net (Postfix) with ESMTP id 4F00",
        field("203.0.113.7", "", "x??y??"),
    ),
    "postfix, logged in": (
        (
            "from [192.168.0.5] (home.example.com [203.0.113.50]) (Authenticated sender: alice)"
            " by gw.example.net (Postfix) with ESMTPSA id 4F00"
        ),
        field("203.0.113.50", "home.example.com", "[192.168.0.5]", login=True),
    ),
    "postfix, logged in, SMTPUTF8": (
        "from pc (home.example.com [203.0.113.50]) by gw.example.net (Postfix) with UTF8SMTPSA id 4F00",
        field("203.0.113.50", "home.example.com", "pc", login=True),
    ),
    "postfix, SMTPUTF8": (
        "from mail.example.com (mail.example.com [203.0.113.7]) by gw.example.net (Postfix) with UTF8SMTPS id 4F00",
        field("203.0.113.7", "mail.example.com", "mail.example.com"),
    ),
    "postfix, lmtp": (
        "from gw.example.net (localhost [127.0.0.1]) by gw.example.net (Postfix) with LMTP id 4F00",
        field("127.0.0.1", "localhost", "gw.example.net"),
    ),
    "postfix, from a program": (
        "by gw.example.net (Postfix, from userid 1001)\n\tid 4F00",
        Received(by=GW),
    ),
    "postfix, forwarded": ("by gw.example.net (Postfix)\n\tid 4F00", Received(by=GW)),
    "sendmail": (
        "from mail.example.com (mail.example.com [203.0.113.7])\n\tby gw.example.net (8.17.1/8.17.1) with ESMTP id 2AO",
        field("203.0.113.7", "mail.example.com", "mail.example.com"),
    ),
    "sendmail, TLS": (
        (
            "from out.example.com (mail.example.com [203.0.113.7]) by gw.example.net (8.17.1/8.17.1) with ESMTPS id 2\n"
            "\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256 verify=NO)\n\tfor <bob@example.net>"
        ),
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "sendmail, no name": (
        "from mail.example.com ([203.0.113.7]) by gw.example.net (8.17.1/8.17.1) with ESMTP id 2AO",
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "sendmail, a name that is not confirmed": (
        (
            "from x.example.com (mail.example.com [203.0.113.7] (may be forged)) by gw.example.net (8.17.1/8.17.1)"
            " with ESMTP id 2AO"
        ),
        field("203.0.113.7", "mail.example.com", "x.example.com"),
    ),
    "sendmail, ident": (
        "from x.example.com (IDENT:alice@mail.example.com [203.0.113.7]) by gw.example.net (8.17.1/8.17.1) with SMTP",
        field("203.0.113.7", "mail.example.com", "x.example.com"),
    ),
    "sendmail, ident, no name": (
        "from x.example.com (alice@[203.0.113.7]) by gw.example.net (8.17.1/8.17.1) with SMTP id 2AO",
        field("203.0.113.7", "", "x.example.com"),
    ),
    "sendmail, IPv6": (
        "from mail.example.com (mail.example.com [IPv6:2001:db8:0:0:0:0:0:7]) by gw.example.net (8.17.1) with ESMTP",
        field("2001:db8::7", "mail.example.com", "mail.example.com"),
    ),
    "sendmail, logged in": (
        "from pc (home.example.com [203.0.113.50]) (authenticated bits=0) by gw.example.net (8.17.1) with ESMTP id 2AO",
        field("203.0.113.50", "home.example.com", "pc", login=True),
    ),
    "sendmail, no HELO": (
        "(from mail.example.com [203.0.113.7]) by gw.example.net (8.17.1/8.17.1) with SMTP id 2AO",
        field("203.0.113.7", "mail.example.com"),
    ),
    "sendmail, from a program": (
        "(from root@localhost)\n\tby gw.example.net (8.17.1/8.17.1/Submit) id 2AO",
        Received(by=GW),
    ),
    "exim, HELO is the name": (
        (
            "from mail.example.com ([203.0.113.7])\n\tby gw.example.net with esmtps  (TLS1.3) tls TLS_AES_256_GCM\n"
            "\t(Exim 4.96)\n\t(envelope-from <alice@example.com>)\n\tid 1rAAAA-0001-2B\n\tfor bob@example.net"
        ),
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "exim, HELO is another": (
        "from mail.example.com ([203.0.113.7] helo=out.example.com) by gw.example.net with esmtp (Exim 4.96) id 1r",
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "exim, port and ident": (
        "from mail.example.com ([203.0.113.7]:46022 helo=out.example.com ident=alice) by gw.example.net with esmtp",
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "exim, no name": (
        "from [203.0.113.7] (helo=mail.example.com) by gw.example.net with esmtp (Exim 4.96) id 1r",
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "exim, no name, port and ident": (
        "from [203.0.113.7] (port=46022 helo=[10.0.0.1] ident=alice) by gw.example.net with smtp (Exim 4.96) id 1r",
        field("203.0.113.7", "", "[10.0.0.1]"),
    ),
    "exim, no name and no HELO": (
        "from [203.0.113.7]:46022 by gw.example.net with smtp (Exim 4.96) id 1r",
        field("203.0.113.7"),
    ),
    "exim, no name, ident only": (
        "from [203.0.113.7] (port=46022 ident=alice) by gw.example.net with smtp (Exim 4.96) id 1r",
        field("203.0.113.7"),
    ),
    "exim, IPv6": (
        "from mail.example.com ([2001:db8::7]:46022 helo=out.example.com) by gw.example.net with esmtps (TLS1.3) id 1r",
        field("2001:db8::7", "mail.example.com", "out.example.com"),
    ),
    "exim, no name, IPv6": (
        "from [2001:db8::7] (helo=out.example.com) by gw.example.net with esmtps (TLS1.3) id 1r",
        field("2001:db8::7", "", "out.example.com"),
    ),
    "exim, logged in": (
        "from home.example.com ([203.0.113.50] helo=pc) by gw.example.net with esmtpsa (TLS1.3) (Exim 4.96) id 1r",
        field("203.0.113.50", "home.example.com", "pc", login=True),
    ),
    "exim, a HELO with blanks that claims an address": (
        "from [203.0.113.7] (helo=x [10.0.0.1]) by gw.example.net with smtp (Exim 4.96) id 1r",
        field("203.0.113.7", "", "x [10.0.0.1]"),
    ),
    "exim, a HELO that claims an ident and an address": (
        "from [203.0.113.7] (helo=x@[10.0.0.1]) by gw.example.net with smtp (Exim 4.96) id 1r",
        field("203.0.113.7", "", "x@[10.0.0.1]"),
    ),
    "exim, a sender with parentheses": (
        (
            'from mail.example.com ([203.0.113.7]) by gw.example.net with esmtp (Exim 4.96) (envelope-from <"a) from x'
            ' (x [10.0.0.1]) by gw.example.net ("@example.com>) id 1r'
        ),
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "exim, from a program that speaks SMTP": (
        "from root (helo=me)\n\tby gw.example.net with local-esmtp (Exim 4.96)\n\tid 1r",
        Received(by=GW),
    ),
    "exim, from a program": ("from root by gw.example.net with local (Exim 4.96) id 1r", Received(by=GW)),
    "exchange": (
        (
            "from mail.example.com (203.0.113.7) by gw.example.net\n (192.0.2.5) with Microsoft SMTP Server"
            " (version=TLS1_2,\n cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.2.1544.4 via Frontend\n Transport"
        ),
        field("203.0.113.7", "", "mail.example.com", own="192.0.2.5"),
    ),
    "exchange, an address literal as HELO": (
        "from [10.0.0.1] (203.0.113.7) by gw.example.net (192.0.2.5) with Microsoft SMTP Server id 15.2.1544.4",
        field("203.0.113.7", "", "[10.0.0.1]", own="192.0.2.5"),
    ),
    "exchange, IPv6": (
        "from mail.example.com (2001:db8::7) by gw.example.net (2001:db8::5) with Microsoft SMTP Server id 15.2.1544.4",
        field("2001:db8::7", "", "mail.example.com", own="2001:db8::5"),
    ),
    "exchange 2003": (
        "from mail.example.com ([203.0.113.7]) by gw.example.net with Microsoft SMTPSVC(6.0.3790.4675)",
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "office 365": (
        (
            "from mail.example.com (203.0.113.7) by DB5EUR01FT012.mail.protection.example.org (10.152.4.10) with"
            " Microsoft SMTP Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.7 via Frontend Transport"
        ),
        field("203.0.113.7", "", "mail.example.com", by="DB5EUR01FT012.mail.protection.example.org", own="10.152.4.10"),
    ),
    "qmail": (
        "from unknown (HELO out.example.com) (203.0.113.7)\n  by gw.example.net with SMTP",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "qmail, HELO is the name": (
        "from mail.example.com (203.0.113.7) by gw.example.net with ESMTP",
        field("203.0.113.7", "", "mail.example.com"),
    ),
    "qmail, ident": (
        "from mail.example.com (HELO out.example.com) (alice@203.0.113.7) by gw.example.net with SMTP",
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "qmail, brackets and sender": (
        (
            "from mail.example.com (HELO out.example.com) ([203.0.113.7]) (envelope-sender <a@example.com>)"
            " by gw.example.net (qmail-ldap-1.03) with SMTP"
        ),
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "qmail, TLS": (
        "from unknown (HELO out.example.com) (203.0.113.7) by gw.example.net with (AES256-SHA encrypted) SMTP",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "qmail, a step inside": ("(qmail 4711 invoked from network)", Received()),
    "qmail, from a program": ("(qmail 4711 invoked by uid 0)", Received()),
    "gmail": (
        (
            "from mail.example.com (mail.example.com. [203.0.113.7])\r\n        by gw.example.net with ESMTPS id d2-2"
            "\r\n        (version=TLS1_3 cipher=TLS_AES_256_GCM_SHA384 bits=256/256)"
        ),
        field("203.0.113.7", "mail.example.com", "mail.example.com"),
    ),
    "gmail, IPv6": (
        "from out.example.com (mail.example.com. [2001:db8::7]) by gw.example.net with ESMTPS id d2-20020",
        field("2001:db8::7", "mail.example.com", "out.example.com"),
    ),
    "amavis": (
        (
            "from gw.example.net ([127.0.0.1]) by localhost (gw.example.net [127.0.0.1]) (amavisd-new, port 10024)"
            " with ESMTP id 5yXX"
        ),
        field("127.0.0.1", "", "gw.example.net", by="localhost", own="127.0.0.1"),
    ),
    "amavis, IPv6": (
        "from gw.example.net ([IPv6:::1]) by localhost (gw.example.net [IPv6:::1]) (amavis, port 10024) with LMTP id 5",
        field("::1", "", "gw.example.net", by="localhost", own="::1"),
    ),
    "ironport": (
        "from unknown (HELO out.example.com) ([203.0.113.7]) by gw.example.net with ESMTP/TLS/ECDHE-RSA-AES256-SHA384",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "courier": (
        "from out.example.com (mail.example.com [::ffff:203.0.113.7]) by gw.example.net with ESMTP",
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "courier, logged in": (
        "from pc ([::ffff:203.0.113.50]) (AUTH: LOGIN alice) by gw.example.net with ESMTP",
        field("203.0.113.50", "", "pc", login=True),
    ),
    "opensmtpd": (
        (
            "from out.example.com (mail.example.com [203.0.113.7])\n\tby gw.example.net (OpenSMTPD) with ESMTPS id"
            " 8ee0ed38 (TLSv1.3:TLS_AES_256_GCM_SHA384:256:NO)\n\tfor <bob@example.net>"
        ),
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "opensmtpd, no name": (
        "from out.example.com (<unknown> [203.0.113.7])\n\tby gw.example.net (OpenSMTPD) with ESMTP id 8ee0ed38",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "opensmtpd, no name, IPv6": (
        "from out.example.com (<unknown> [2001:db8::7])\n\tby gw.example.net (OpenSMTPD) with ESMTP id 8ee0ed38",
        field("2001:db8::7", "", "out.example.com"),
    ),
    "opensmtpd, logged in": (
        "from pc (<unknown> [203.0.113.50])\n\tby gw.example.net (OpenSMTPD) with ESMTPSA id 8e (TLSv1.3:x:256:NO)",
        field("203.0.113.50", "", "pc", login=True),
    ),
    "mox": (
        (
            "from out.example.com (mail.example.com [203.0.113.7]) by\n\tgw.example.net ([192.0.2.5]) via tcp with"
            " ESMTPS id\n\tBoOKs2Zb (TLS1.3 TLS_AES_128_GCM_SHA256) for\n\t<bob@example.net>"
        ),
        field("203.0.113.7", "mail.example.com", "out.example.com", own="192.0.2.5"),
    ),
    "mox, HELO is the name, IPv6": (
        "from out.example.com ([IPv6:2001:db8::7]) by gw.example.net ([IPv6:2001:db8::5]) via tcp with ESMTP id 1",
        field("2001:db8::7", "", "out.example.com", own="2001:db8::5"),
    ),
    "mox, REQUIRETLS": (
        "from out.example.com ([203.0.113.7]) by gw.example.net ([192.0.2.5]) via tcp with ESMTPS (requiretls) id 1",
        field("203.0.113.7", "", "out.example.com", own="192.0.2.5"),
    ),
    "mox, SMTPUTF8": (
        (
            "from b\u00fccher.example ([203.0.113.7]) (xn--bcher-kva.example) by gw.example.net ([192.0.2.5]) via tcp"
            " with UTF8SMTPS id 1"
        ),
        field("203.0.113.7", "", "b\u00fccher.example", own="192.0.2.5"),
    ),
    "chasquid": (
        (
            "from out.example.com ([203.0.113.7])\n\tby gw.example.net (chasquid) with ESMTPS\n\ttls TLS_AES_128"
            '\n\t(over SMTP, TLS-1.3, envelope from "a@example.com")\n\t'
        ),
        field("203.0.113.7", "", "out.example.com"),
    ),
    "chasquid, IPv6, no TLS": (
        (
            "from out.example.com ([IPv6:2001:db8::7])\n\tby gw.example.net (chasquid) with SMTP\n\t(over SMTP, plain"
            ' text!, envelope from "a@example.com")'
        ),
        field("2001:db8::7", "", "out.example.com"),
    ),
    "communigate": (
        "from [203.0.113.7] (HELO out.example.com)\n  by gw.example.net (CommuniGate Pro SMTP 6.2)\n  with ESMTPS id 1",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "communigate, an address literal as HELO": (
        "from [203.0.113.7] (HELO [10.0.0.1]) by gw.example.net (CommuniGate Pro SMTP 7.1.1) with ESMTP id 1",
        field("203.0.113.7", "", "[10.0.0.1]"),
    ),
    "communigate, HELO has the address": (
        (
            "from out.example.com ([203.0.113.7] verified)\n  by gw.example.net (CommuniGate Pro SMTP 6.2.1 _community_"
            ")\n  with SMTP id 484904 for bob@example.net"
        ),
        field("203.0.113.7", "", "out.example.com"),
    ),
    "communigate, logged in": (
        (
            "from [203.0.113.50] (account alice@example.net HELO [192.168.0.20])\n"
            "  by gw.example.net (CommuniGate Pro SMTP 5.4.8)\n  with ESMTPSA id 43698954"
        ),
        field("203.0.113.50", "", "[192.168.0.20]", login=True),
    ),
    "communigate, logged in, HELO has the address": (
        (
            "from pc.example.net (account alice@example.net [203.0.113.50] verified) by gw.example.net (CommuniGate Pro"
            " SMTP 6.2.1) with ESMTPA id 7764261"
        ),
        field("203.0.113.50", "", "pc.example.net", login=True),
    ),
    "hmailserver": (
        "from out.example.com (mail.example.com [203.0.113.7])\r\n\tby gw.example.net with ESMTP\r\n\t",
        field("203.0.113.7", "mail.example.com", "out.example.com"),
    ),
    "hmailserver, no name, TLS": (
        (
            "from out.example.com (Unknown [203.0.113.7])\r\n\tby gw.example.net with ESMTPS\r\n"
            "\t(version=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 bits=256)\r\n\t"
        ),
        field("203.0.113.7", "", "out.example.com"),
    ),
    "hmailserver, logged in": (
        "from pc (home.example.com [203.0.113.50])\r\n\tby gw.example.net with ESMTPA\r\n\t",
        field("203.0.113.50", "home.example.com", "pc", login=True),
    ),
    "mailenable": (
        "from out.example.com ([203.0.113.7]) by gw.example.net with MailEnable ESMTP",
        field("203.0.113.7", "", "out.example.com"),
    ),
    "mailenable, logged in": (
        "from PC ([203.0.113.50]) by gw.example.net\n with MailEnable ESMTPA",
        field("203.0.113.50", "", "PC", login=True),
    ),
    "qmail, TLS, as MessageLabs has it": (
        (
            "from unknown (HELO out.example.com) (203.0.113.7)\n  by server-18.tower-238.example.net with"
            " ECDHE-RSA-AES256-GCM-SHA384 encrypted SMTP"
        ),
        field("203.0.113.7", "", "out.example.com", by="server-18.tower-238.example.net"),
    ),
    "tencent, from outside": (
        "from out.example.com (unknown [203.0.113.7])\n\tby newxmmxszc6-1.example.net (NewMX) with SMTP id 6010A8AD",
        field("203.0.113.7", "", "out.example.com", by="newxmmxszc6-1.example.net"),
    ),
    "tencent, the servers of its users": (
        "from localhost.localdomain ([203.0.113.50])\n\tby newxmesmtp9.example.net (NewEsmtp) with SMTP\n\tid 81DBFECA",
        field("203.0.113.50", "", "localhost.localdomain", by="newxmesmtp9.example.net", login=True),
    ),
    "HELO is one of the field's own words": (
        "FROM by (unknown [203.0.113.7]) BY gw.example.net (Postfix) WITH esmtp ID 1",
        field("203.0.113.7", "", "by"),
    ),
    "a zone": (
        "from EX1 ([fe80::1%4]) by gw.example.net ([fe80::2%4]) with Microsoft SMTP Server id 15",
        field("fe80::1", "", "EX1", own="fe80::2"),
    ),
}


# The forms that are called by what is special in them; and the service that runs Exchange.
NO_SERVERS = {"parentheses that are escaped", "HELO is one of the field's own words", "a zone", "office 365"}


@pytest.mark.parametrize(("value", "said"), FORMS.values(), ids=FORMS.keys())
def test_a_field_is_read_in_each_form(value: str, said: Received) -> None:
    assert parse(value + DATE) == said
    assert parse(value) == said  # the date is not looked at


def test_the_page_and_the_module_name_the_servers_of_the_forms() -> None:
    page = (Path(__file__).parents[2] / "docs" / "forwarding.md").read_text()
    listed = re.search(r"The forms of ([\w, \n]+) are read", page)
    named = re.search(r"Knows the forms of ([\w, \n]+)\.", str(received.__doc__))
    assert listed is not None
    assert named is not None
    servers = [set(re.split(r",\s+|\s+and\s+", found[1].lower())) for found in (listed, named)]
    assert servers == [{form.partition(",")[0].partition(" 2")[0] for form in FORMS} - NO_SERVERS] * 2


# What a client may say in HELO to servers that accept any text: each names another address, or ends the field early.
TRICKS = [
    "x (y [10.0.0.1])",
    "x (y [10.0.0.1]) by gw.example.net with ESMTP",
    "x (y [10.0.0.1]) by gw.example.net with ESMTP;",
    f"x (y [10.0.0.1]) by gw.example.net with ESMTP{DATE} (",
    "x (y [10.0.0.1]) by gw.example.net with ESMTP (",
    "x (y [10.0.0.1]) by gw.example.net (Postfix) with ESMTP id 1 (",
    "x (y [10.0.0.1]) by gw.example.net with ESMTP (version=a cipher=b bits=1) ; (",
    "x (y [10.0.0.1]) by gw.example.net with ESMTPA ; (",
    "x ([10.0.0.1]) by gw.example.net with MailEnable ESMTP; (",
    'x ([10.0.0.1]) by gw.example.net (chasquid) with SMTP (over SMTP, "',
    "[10.0.0.1] (HELO x) by gw.example.net (CommuniGate Pro SMTP 6) with SMTP id 1 (",
    "x ([10.0.0.1] verified) by gw.example.net (CommuniGate Pro SMTP 6) with SMTP id 1 (",
    "[10.0.0.1] (helo=x) by gw.example.net with esmtp (Exim 4.96) id 1 (",
    "(from root@localhost) by gw.example.net (",
    "root by gw.example.net with local (",
    "x (HELO y) (10.0.0.1) by gw.example.net with SMTP (",
    "x) (y [10.0.0.1]",
    "x) (10.0.0.1",
    "x (a) (",
    "x (",
    "x )",
    "x ;",
    "x \\",
    "by",
    "([10.0.0.1])",
    "[10.0.0.1]",
]
# The same fields without what their servers cut off or refuse: chasquid keeps the first word.
ANY_HELO: dict[str, Callable[[str], str]] = {
    "hmailserver": lambda helo: f"from {helo} (Unknown [203.0.113.7])\r\n\tby {GW} with ESMTP\r\n\t",
    "hmailserver, TLS": lambda helo: (
        f"from {helo} (m.example.com [203.0.113.7])\r\n\tby {GW} with ESMTPS\r\n"
        "\t(version=TLSv1.3 cipher=x bits=256)\r\n\t"
    ),
    "hmailserver, a name with a parenthesis": lambda helo: (
        f"from {helo} ()q [203.0.113.7])\r\n\tby {GW} with ESMTP\r\n\t"
    ),
    "mailenable": lambda helo: f"from {helo} ([203.0.113.7]) by {GW} with MailEnable ESMTP",
    "chasquid": lambda helo: (
        f"from {helo.split()[0] if helo.split() else 'x'} ([203.0.113.7])\n\tby {GW} (chasquid) with SMTP\n\t"
        '(over SMTP, plain text!, envelope from "a))([10.0.0.1])by(x)with@example.com")\n\t'
    ),
    "communigate": lambda helo: (
        f"from [203.0.113.7] (HELO {helo}) by {GW} (CommuniGate Pro SMTP 6.2.15) with ESMTP id 1"
    ),
}


@pytest.mark.parametrize("form", ANY_HELO.values(), ids=ANY_HELO.keys())
@pytest.mark.parametrize("helo", TRICKS)
def test_no_helo_names_another_address_where_the_server_takes_any(form: Callable[[str], str], helo: str) -> None:
    """Neither does it make the field unreadable."""
    for value in (form(helo), form(helo) + DATE):
        found = parse(value)
        assert found is not None
        assert found.peer is not None
        assert (found.peer.address, found.by, found.authenticated) == (ip_address("203.0.113.7"), GW, False)


@given(st.sampled_from(sorted(ANY_HELO)), st.lists(st.sampled_from(TRICKS) | st.text(max_size=20), max_size=4))
def test_no_made_up_helo_names_another_address_where_the_server_takes_any(form: str, parts: list[str]) -> None:
    helo = "".join(c for c in " ".join(parts) if c not in "\r\n").strip() or "x"
    found = parse(ANY_HELO[form](helo) + DATE)
    assert found is not None
    assert found.peer is not None
    assert found.peer.address == ip_address("203.0.113.7")


def test_a_longer_field_is_not_shortened() -> None:
    """The end of it has the address, where the server takes any HELO."""
    value = ANY_HELO["hmailserver"](f"x (y [10.0.0.1]) by {GW} (Postfix) with ESMTP id {'1' * MAX_LENGTH} (")
    assert parse(value) is None


def test_a_long_helo_hides_nothing() -> None:
    """Postfix takes 2048 characters; a field that they made unreadable would be a way around SPF."""
    helo = "a" * 2048
    value = f"from {helo} (unknown [203.0.113.7]) by {GW} (Postfix) with ESMTP id 1"
    assert parse(value) == field("203.0.113.7", "", helo)


@pytest.mark.parametrize("length", [*range(930, 1000), 2048])
def test_a_break_that_an_smtp_client_puts_into_a_long_line_hides_nothing(length: int) -> None:
    """As Postfix does, wherever it falls: behind 998 characters a line end and a blank, which the next line counts."""
    line, lines = f"Received: from {'a' * length} (unknown [203.0.113.7])", []
    while line:
        lines.append(line[:998])
        line = f" {line[998:]}" if line[998:] else ""
    value = "\n".join([*lines, "\tby gw.example.net (Postfix) with ESMTP id 4F00"]).removeprefix("Received: ")
    assert parse(value) == field("203.0.113.7", "", "a" * length)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "from",
        "by",
        "from x",
        "from x by",
        f"by {GW}",
        f"by {GW} with ESMTP id 1",  # the address has been removed, and who knows what stands below
        f"by {GW} (Postfix) with ESMTP id 1",
        "by 2002:a05:6402:1e8a:b0:566:43ab:78c9 with SMTP id 1",  # inside Gmail
        "by mail-ed1-f45.example.com with SMTP id 1",  # Google Workspace: routed to another server
        f"by {GW} (OpenSMTPD) with ESMTPSA id c7a016a4 (TLSv1.3:x:256:NO)",  # mask-src
        f"from pc by {GW} ([192.0.2.5]) via tcp with ESMTPSA id 1",  # mox and chasquid hide where their users are
        f'from pc by {GW} (chasquid) with ESMTPSA tls x (over submission, TLS-1.3, envelope from "a@example.com")',
        f"from x ([203.0.113.7]) by {GW} via smtpd with SMTP id 1",
        f"from x ([203.0.113.7]) by {GW} with AES256 plain SMTP",
        # PowerMTA and Cloudflare write no protocol: whether the client had logged in, is not known.
        f"from x (203.0.113.7) by {GW} (PowerMTA(TM) v4.0r1) id h1 for <b@example.net>",
        f"from x (203.0.113.7) by {GW} (unknown) id F9o1UdAl7qKf for <b@example.net>",
        # Alibaba writes HELO only, which may look like an address.
        f"from 10.0.0.1(mailfrom:a@example.com fp:SMTPD_---0WE8BclQ_1725276357) by {GW}",
        f"from 10.0.0.1(mailfrom:a@example.com fp:SMTPD_---0WE8BclQ_1725276357) by {GW}(127.0.0.1)",
        f"from [203.0.113.7] (using TLSv1.2 with cipher DHE (256 bits)) by {GW} id A0/8D-5",  # in MessageLabs
        f"from [203.0.113.7] (HELO x) (y [10.0.0.1]) by {GW} with SMTP",  # not CommuniGate, and which?
        f"from x by {GW} with ESMTP id 1",
        f"from x [203.0.113.7] by {GW} with ESMTP id 1",
        f"from imap.example.com [203.0.113.7] by {GW} with IMAP (fetchmail-6.4.37)",
        f"from home.example.com ([203.0.113.50]) by {GW} with HTTP (HTTP/1.1 POST)",  # webmail
        f"from EX1 ([fe80::1]) by {GW} ([fe80::1%4]) with mapi id 15",
        f"from x (y [203.0.113.7]) by {GW} (Postfix) id 1",  # no protocol
        f"from x (y [203.0.113.7]) (z [10.0.0.1]) by {GW} with ESMTP id 1",  # which?
        f"from [203.0.113.7] (helo=x) (y [10.0.0.1]) by {GW} with esmtp",  # HELO: x) (y [10.0.0.1]
        f"from [203.0.113.7] (helo=x) by {GW} with local () by {GW} with esmtp",  # HELO: x) by ... with local (
        f"from mail.example.com ([203.0.113.7] helo=x) by {GW} with local () by {GW} with esmtp",
        f"from mail.example.com ([203.0.113.7] helo=x) (y [10.0.0.1]) by {GW} with esmtp",
        f"from [203.0.113.7] (helo=x) (y [10.0.0.1]) ident=alice) by {GW} with esmtp",
        f"from x (203.0.113.7) ([10.0.0.1]) by {GW} with ESMTP id 1",
        f"from x (y [local]) by {GW} with ESMTP id 1",
        f"from x (y [203.0.113.777]) by {GW} with ESMTP id 1",
        f"from x (y [203.0.113.7] z) by {GW} with ESMTP id 1",
        f"from x (y z [203.0.113.7]) by {GW} with ESMTP id 1",
        f"from x ((y [203.0.113.7])) by {GW} with ESMTP id 1",
        f"from [203.0.113.7] (using TLSv1.3) by {GW} with ESMTP id 1",
        f"from [203.0.113.7] (mail.example.com) by {GW} with ESMTP id 1",
        # The comment with the address has been removed, and the word before it is the client's HELO.
        f"from [10.0.0.1] by {GW} (Postfix) with ESMTP id 1",
        f"from [10.0.0.1] by {GW} (8.17.1/8.17.1) with ESMTP id 1",
        f"from [10.0.0.1] by {GW} (192.0.2.5) with Microsoft SMTP Server id 15.2",
        f"from [10.0.0.1] () by {GW} with ESMTP id 1",
        f"from x (y [203.0.113.7]; by {GW} with ESMTP id 1",  # never closed
        f"from x (y [203.0.113.7]\\) by {GW} with ESMTP id 1",  # closed by an escaped parenthesis only
        f"from x ) (y [203.0.113.7]) by {GW} with ESMTP id 1",
        f"from x; (y [203.0.113.7]) by {GW} with ESMTP id 1",
        f"(a) from x (y [203.0.113.7]) by {GW} with ESMTP id 1",
        f"(from y [203.0.113.7) by {GW} (8.17.1/8.17.1) with SMTP id 1",
        f"from\u00a0x (y [203.0.113.7]) by {GW} with ESMTP id 1",  # no blank of this grammar
        "qmail 4711 invoked from network",
        "(nothing)",
        "\x00",
        "\udcff\udcfe",
    ],
)
def test_what_fits_no_form_is_not_read(value: str) -> None:
    assert parse(value) is None


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        ")",
        "((",
        "()",
        "\\",
        "(\\",
        "a ",
        "a",
        ";",
        "[",
        "(helo=",
        " ident=",
        "(a@",
        "[:",
        "(HELO ",
        "from ",
        "by ",
    ],
)
def test_twice_the_size_is_no_more_than_twice_the_work(piece: str) -> None:
    """Counted in lines of Python; and what is longer than is looked at costs no more."""
    half, whole, huge = (f"from {piece * (size // len(piece))}" for size in (MAX_LENGTH // 2, MAX_LENGTH, 4_000_000))
    assert lines_run(whole) <= 2.2 * lines_run(half) + 100
    assert lines_run(huge) <= lines_run(whole) + 100
    assert parse(huge) == parse(huge[:MAX_LENGTH])


def lines_run(value: str) -> int:
    """How many lines of the module are executed to read the value."""
    counted = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal counted
        counted += event == "line" and frame.f_globals["__name__"] == parse.__module__
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        parse(value)
    finally:
        sys.settrace(before)
    return counted


PIECES = st.sampled_from(
    [
        "from",
        "by",
        "with",
        "ESMTP",
        GW,
        "x",
        "(",
        ")",
        "[203.0.113.7]",
        "[",
        "]",
        ";",
        "\\",
        "helo=",
        "HELO ",
        " ",
        "\n",
    ]
)


@given(st.text(max_size=400) | st.lists(PIECES, max_size=60).map("".join) | st.lists(PIECES, max_size=60).map(" ".join))
def test_no_value_makes_the_reading_fail(value: str) -> None:
    parse(value)


@given(st.text(alphabet=st.characters(blacklist_characters=' <>()\\";@\t\r\n'), min_size=1, max_size=100))
def test_no_helo_that_postfix_writes_hides_the_address(helo: str) -> None:
    """Postfix puts a question mark in the place of each of these characters."""
    value = f"from {helo} (unknown [203.0.113.7]) by {GW} (Postfix) with ESMTP id 1"
    assert parse(value) == field("203.0.113.7", "", helo)


@given(
    st.text(alphabet="helo=[10.0.0.1] :@-ident()", max_size=60) | st.sampled_from(["x) (y [10.0.0.1]", "x) (10.0.0.1"])
)
def test_no_helo_that_exim_writes_changes_the_address(helo: str) -> None:
    for value in (f"from [203.0.113.7] (helo={helo})", f"from mail.example.com ([203.0.113.7] helo={helo})"):
        said = parse(f"{value} by {GW} with esmtp (Exim 4.96) id 1")
        assert said is None or said.peer is None or said.peer.address == ip_address("203.0.113.7")


@pytest.mark.parametrize("name", ["authenticated", "smtp-auth", "auth"])
def test_the_name_of_an_address_is_no_login(name: str) -> None:
    """The owner of the address's reverse zone chooses it, and Sendmail shows it whether it fits or not."""
    found = parse(f"from x.example ({name} [203.0.113.7] (may be forged)) by {GW} (8.17.1/8.17.1) with ESMTP id 1")
    assert found is not None
    assert (found.authenticated, found.peer) == (
        False,
        Peer(address=ip_address("203.0.113.7"), name=name, helo="x.example"),
    )
