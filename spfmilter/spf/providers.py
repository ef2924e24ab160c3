"""List the providers of free mailboxes: their users cannot change the SPF record of the domain in their address.

Knows each provider's own domains and the server that its users send through. A subdomain does not belong to a provider
unless it is listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Credential(StrEnum):
    """The secret that a mail program logs in with."""

    LOGIN = "login"  # the same as for webmail: its password, or a sign-in in the browser (OAuth)
    APP_PASSWORD = "app-password"  # noqa: S105 - a kind of password, made for one mail program
    AUTHORIZATION_CODE = "authorization-code"  # the same, where it is called so (in Chinese: shouquanma)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of free mailboxes."""

    name: str  # as its users know it, in ASCII
    domains: tuple[str, ...]  # its own, in which it gives mailboxes to anyone
    server: str  # to which a user's mail program sends; empty: there is none, only webmail and apps
    port: int  # of the server; 465: TLS from the start, 587: STARTTLS; 0: there is no server
    credential: Credential
    hosts: tuple[str, ...]  # its servers are called so, or end so, besides its domains

    def runs(self, host: str) -> bool:
        """Tell whether a host name, in lower case and without a final dot, is one of the provider's."""
        return any(host == name or host.endswith("." + name) for name in (*self.domains, *self.hosts))


def _provider(
    name: str, domains: str, server: str, credential: Credential = Credential.LOGIN, *, hosts: str = ""
) -> Provider:
    """Return a provider; ``server`` is ``host:port`` or empty, the other lists are separated by blanks."""
    host, _, port = server.partition(":")
    return Provider(
        name=name,
        domains=tuple(domains.split()),
        server=host,
        port=int(port or 0),
        credential=credential,
        hosts=tuple(hosts.split()),
    )


_APP, _CODE = Credential.APP_PASSWORD, Credential.AUTHORIZATION_CODE

# Sources, with the day of their state, named beside each entry:
# ISPDB: Thunderbird's database of mail servers, github.com/thunderbird/autoconfig, c6ad796, 2026-03-12.
# nodemailer: github.com/nodemailer/nodemailer, lib/well-known/services.json, 2f667f4, 2026-08-07.
# SA: Apache SpamAssassin's rules/20_freemail_domains.cf, 2024-10-24, which has some as patterns (yahoo.*, gmx.*).
# All others are the provider's own help page, as seen in 2026-08.
_PROVIDERS = (
    # -- China
    # ISPDB 163.com, 126.com, yeah.net; help.mail.126.com (client authorization code)
    _provider("163 Mail", "163.com", "smtp.163.com:465", _CODE, hosts="netease.com 126.com yeah.net"),
    _provider("126 Mail", "126.com", "smtp.126.com:465", _CODE, hosts="netease.com 163.com yeah.net"),
    _provider("yeah.net Mail", "yeah.net", "smtp.yeah.net:465", _CODE, hosts="netease.com 163.com 126.com"),
    # ISPDB qq.com; wx.mail.qq.com (authorizationCode); foxmail.com and vip.qq.com are addresses of the same mailbox
    _provider("QQ Mail", "qq.com vip.qq.com foxmail.com", "smtp.qq.com:465", _CODE),
    # help.sina.com.cn/comquestiondetail/view/160/: each domain has its own server
    _provider("Sina Mail", "sina.com", "smtp.sina.com:465", _CODE, hosts="sina.com.cn sina.cn"),
    _provider("Sina Mail", "sina.cn", "smtp.sina.cn:465", _CODE, hosts="sina.com.cn sina.com"),
    _provider("Sohu Mail", "sohu.com", "smtp.sohu.com:465", _CODE),  # mail.sohu.com
    _provider("139 Mail", "139.com", "smtp.139.com:465", _CODE, hosts="10086.cn"),  # mail.10086.cn/help/help.html
    _provider("189 Mail", "189.cn", "smtp.189.cn:465", _APP, hosts="21cn.com"),  # help.189.cn/client/client.html
    _provider("21CN Mail", "21cn.com", ""),  # SA
    _provider("Aliyun Mail", "aliyun.com", "smtp.aliyun.com:465", hosts="alibaba.com"),  # nodemailer Aliyun
    # -- Google, Microsoft, Yahoo, Apple
    # ISPDB googlemail.com; developers.google.com/workspace/gmail/imap/imap-smtp
    _provider("Gmail", "gmail.com googlemail.com", "smtp.gmail.com:465", _APP, hosts="google.com"),
    # ISPDB hotmail.com; support.microsoft.com, "POP, IMAP, and SMTP settings for Outlook.com": only by OAuth
    _provider(
        "Outlook.com",
        "outlook.com hotmail.com live.com msn.com windowslive.com outlook.at outlook.be outlook.cl outlook.cz "
        "outlook.de outlook.dk outlook.es outlook.fr outlook.hu outlook.ie outlook.in outlook.it outlook.jp outlook.kr "
        "outlook.lv outlook.my outlook.ph outlook.pt outlook.sa outlook.sg outlook.sk outlook.co.id outlook.co.il "
        "outlook.co.th outlook.com.ar outlook.com.au outlook.com.br outlook.com.gr outlook.com.tr outlook.com.vn "
        "hotmail.be hotmail.ca hotmail.cl hotmail.cz hotmail.de hotmail.dk hotmail.es hotmail.fi hotmail.fr hotmail.gr "
        "hotmail.hu hotmail.it hotmail.lt hotmail.lv hotmail.my hotmail.nl hotmail.no hotmail.ph hotmail.rs hotmail.se "
        "hotmail.sg hotmail.sk hotmail.co.id hotmail.co.il hotmail.co.in hotmail.co.jp hotmail.co.kr hotmail.co.th "
        "hotmail.co.uk hotmail.co.za hotmail.com.ar hotmail.com.au hotmail.com.br hotmail.com.hk hotmail.com.tr "
        "hotmail.com.tw hotmail.com.vn live.at live.be live.ca live.cl live.cn live.de live.dk live.fi live.fr live.hk "
        "live.ie live.in live.it live.jp live.nl live.no live.ru live.se live.co.jp live.co.kr live.co.uk live.co.za "
        "live.com.ar live.com.au live.com.mx live.com.my live.com.ph live.com.pt live.com.sg livemail.tw",
        "smtp-mail.outlook.com:587",
    ),
    # ISPDB yahoo.com, SA (yahoo.*); help.yahoo.com/kb/SLN28681.html
    _provider(
        "Yahoo Mail",
        "yahoo.com yahoo.ca yahoo.de yahoo.it yahoo.fr yahoo.es yahoo.se yahoo.ie yahoo.gr yahoo.pl yahoo.ro yahoo.no "
        "yahoo.dk yahoo.fi yahoo.nl yahoo.co.id yahoo.co.in yahoo.co.nz yahoo.co.th yahoo.co.uk yahoo.co.za "
        "yahoo.com.ar yahoo.com.au yahoo.com.br yahoo.com.co yahoo.com.hk yahoo.com.mx yahoo.com.my yahoo.com.pe "
        "yahoo.com.ph yahoo.com.sg yahoo.com.tr yahoo.com.tw yahoo.com.vn ymail.com rocketmail.com myyahoo.com",
        "smtp.mail.yahoo.com:465",
        _APP,
        hosts="yahoodns.net",
    ),
    _provider("Yahoo! JAPAN Mail", "yahoo.co.jp", "smtp.mail.yahoo.co.jp:465"),  # ISPDB yahoo.co.jp
    # ISPDB aol.com; help.aol.com (app password)
    _provider(
        "AOL Mail",
        "aol.com aim.com aol.de aol.it aol.fr aol.es aol.se aol.co.uk aol.co.nz aol.com.au aol.com.ar aol.com.br "
        "aol.com.mx netscape.net compuserve.com",
        "smtp.aol.com:465",
        _APP,
        hosts="yahoo.com yahoodns.net",
    ),
    # ISPDB me.com; support.apple.com/en-ie/102525
    _provider("iCloud Mail", "icloud.com me.com mac.com", "smtp.mail.me.com:587", _APP, hosts="apple.com"),
    # -- Europe
    # ISPDB gmx.net, gmx.com
    _provider("GMX", "gmx.net gmx.de gmx.at gmx.ch gmx.eu gmx.biz gmx.org gmx.info", "mail.gmx.net:465"),
    _provider(
        "GMX",
        "gmx.com gmx.us gmx.co.uk gmx.es gmx.fr gmx.ca gmx.cn gmx.co.in gmx.com.br gmx.com.my gmx.hk gmx.ie gmx.ph "
        "gmx.pt gmx.ru gmx.se gmx.sg gmx.tw gmx.com.tr gmx.it gmx.li gmx.tm",
        "mail.gmx.com:465",
        hosts="gmx.net",
    ),
    _provider("WEB.DE", "web.de", "smtp.web.de:465"),  # ISPDB web.de
    _provider("mail.com", "mail.com email.com post.com", "smtp.mail.com:465", hosts="gmx.com"),  # ISPDB mail.com
    # ISPDB t-online.de: a password of its own for mail programs, set in the customer center
    _provider("Telekom Mail", "t-online.de magenta.de", "securesmtp.t-online.de:465", _APP),
    _provider("freenet Mail", "freenet.de", ""),  # SA
    _provider("Orange", "orange.fr wanadoo.fr", "smtp.orange.fr:465"),  # ISPDB orange.fr
    _provider("Free", "free.fr", "smtp.free.fr:465"),  # ISPDB free.fr
    _provider("La Poste", "laposte.net", "smtp.laposte.net:465"),  # ISPDB laposte.net
    _provider("SFR Mail", "sfr.fr neuf.fr club-internet.fr", "smtp.sfr.fr:465"),  # ISPDB sfr.fr
    # ISPDB libero.it, virgilio.it, tiscali.it
    _provider("Libero Mail", "libero.it iol.it blu.it inwind.it giallo.it", "smtp.libero.it:465"),
    _provider("Virgilio Mail", "virgilio.it", "out.virgilio.it:465"),
    _provider("Tiscali Mail", "tiscali.it", "smtp.tiscali.it:465"),
    # ISPDB wp.pl, o2.pl, onet.pl
    _provider("WP Poczta", "wp.pl", "smtp.wp.pl:465"),
    _provider("o2 Poczta", "o2.pl go2.pl tlen.pl prokonto.pl", "poczta.o2.pl:465", hosts="wp.pl"),
    _provider("Onet Poczta", "onet.pl onet.eu op.pl vp.pl", "smtp.poczta.onet.pl:465"),
    # ISPDB seznam.cz
    _provider("Seznam Email", "seznam.cz email.cz post.cz spoluzaci.cz", "smtp.seznam.cz:465"),
    # nodemailer Proton: its server takes only paid addresses and tokens, so none is named
    _provider("Proton Mail", "proton.me protonmail.com pm.me protonmail.ch", "", hosts="proton.ch"),
    # ISPDB bluewin.ch, btinternet.com
    _provider("bluewin", "bluewin.ch bluemail.ch", "smtpauths.bluewin.ch:465"),
    _provider("BT Email", "btinternet.com btopenworld.com talk21.com", "mail.btinternet.com:465"),
    # -- Russia
    # ISPDB mail.ru; help.mail.ru (password for external applications)
    _provider("Mail.ru", "mail.ru bk.ru list.ru inbox.ru", "smtp.mail.ru:465", _APP),
    # ISPDB yandex.ru; yandex.ru/support (app passwords)
    _provider(
        "Yandex Mail",
        "yandex.ru yandex.com yandex.by yandex.kz yandex.ua ya.ru narod.ru",
        "smtp.yandex.com:465",
        _APP,
        hosts="yandex.net",
    ),
    _provider("Rambler Mail", "rambler.ru", "smtp.rambler.ru:465"),  # ISPDB rambler.ru
    # -- Korea, India
    _provider("Naver Mail", "naver.com", "smtp.naver.com:465", _APP),  # ISPDB naver.com; help.naver.com
    # ISPDB daum.net; hanmail.net is an address of the same mailbox
    _provider("Daum Mail", "daum.net hanmail.net", "smtp.daum.net:465", _APP, hosts="kakao.com"),
    _provider("Nate Mail", "nate.com", ""),  # SA
    _provider("Rediffmail", "rediffmail.com", "smtp.rediffmail.com:465"),  # ISPDB rediffmail.com
    # -- America
    _provider("UOL Mail", "uol.com.br", "smtps.uol.com.br:587"),  # ISPDB uol.com.br
    _provider("BOL Mail", "bol.com.br", "smtps.bol.com.br:587", hosts="uol.com.br"),  # ISPDB bol.com.br
    # ISPDB zoho.com: users of zohomail.com; a company's own domain at Zoho is not here
    _provider("Zoho Mail", "zoho.com zohomail.com", "smtp.zoho.com:465", _APP),
    _provider("Xfinity", "comcast.net", "smtp.comcast.net:465"),  # ISPDB comcast.net
    # ISPDB att.net: "secure mail key"
    _provider("AT&T Mail", "att.net bellsouth.net sbcglobal.net", "smtp.mail.att.net:465", _APP, hosts="yahoo.com"),
    # ISPDB messagingengine.com
    _provider("Fastmail", "fastmail.com fastmail.fm", "smtp.fastmail.com:465", _APP, hosts="messagingengine.com"),
    _provider("Hushmail", "hushmail.com", ""),  # SA
)
_BY_DOMAIN = {domain: provider for provider in _PROVIDERS for domain in provider.domains}


def providers() -> tuple[Provider, ...]:
    """Return all providers."""
    return _PROVIDERS


def provider_of(domain: str) -> Provider | None:
    """Return the provider whose own domain this is; None: there is none."""
    return _BY_DOMAIN.get(domain.lower())
