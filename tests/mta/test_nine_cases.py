"""Nine refused senders, from the bounce that a real Postfix writes to the page behind its link, in three languages.

For each: which advice comes first, and which advice must not be there, because it is wrong for this sender.
"""

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.daemon import SpfmilterDaemon
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import HUNG, free_port
from lab.smtp import SmtpDialogue
from spfmilter import language as catalogues
from spfmilter.reply.advice import Remedy
from spfmilter.web import wording
from tests.mta.site import Site, written_by
from tests.web.pages import Page
from tests.web.site import WEB

# The browser's wish, and the page's language.
LANGUAGES = {"en": "en", "zh-CN,zh;q=0.9": "zh-Hans", "zh-TW,zh;q=0.9": "zh-Hant"}
CLOSED = '@ TXT "v=spf1 ip4:192.0.2.0/24 -all"\n'
# All clients are on loopback, because a real Postfix sends from there. Their names are confirmed in both directions.
ZONES = {
    "163.com": CLOSED + "m12-11 A 127.0.9.11\n",
    "company.example": CLOSED,
    "hotel.example": "smtp A 127.0.9.12\n",
    "shop.example": CLOSED,
    "bulk.example": "smtp30 A 127.0.9.13\n",
    "amazonses.com": '@ TXT "v=spf1 ip4:127.0.9.14 -all"\na8-31.smtp-out A 127.0.9.14\n',
    "school.example": CLOSED,
    "bank.example": CLOSED,
    "university.example": "out A 127.0.9.16\n",
    "hoster.example": "web1 A 127.0.9.17\n",
    "team.example": '@ TXT "v=spf1 include:spf.protection.outlook.com -all"\n',
    "outlook.com": 'spf.protection TXT "v=spf1 ip4:192.0.2.128/25 -all"\n',
    "google.com": '_spf TXT "v=spf1 ip4:127.0.9.18 ~all"\nmail-qk1-f50 A 127.0.9.18\n',
    "gmail.com": '@ TXT "v=spf1 redirect=_spf.google.com"\n',
    "isp.example": "smtp A 127.0.9.19\n",
    "9.0.127.in-addr.arpa": (
        "11 PTR m12-11.163.com.\n"
        "12 PTR smtp.hotel.example.\n"
        "13 PTR smtp30.bulk.example.\n"
        "14 PTR a8-31.smtp-out.amazonses.com.\n"
        "16 PTR out.university.example.\n"
        "17 PTR web1.hoster.example.\n"
        "18 PTR mail-qk1-f50.google.com.\n"
        "19 PTR smtp.isp.example.\n"
    ),
}
UNNAMED = "127.0.9.15"  # has no name in the reverse DNS

# The advice of the page and of the notice, as keys of their catalogues. Where the advice must not stand, no sentence of
# it may, whatever its values are.
WEBMAIL = "Send the message again with the webmail of %(domain)s."
LISTED = "%(domain)s sends through %(services)s: its servers are allowed."
PROVIDER = "Send the message again with the webmail or the app of %(provider)s."
THEIR_MISTAKE = "The server %(server)s belongs to your provider, so this is their mistake. Send them the text below."
ONLY_PROVIDER = "Only your provider can change the record of %(domain)s. Send them the text below."
CHANGE = "Change the SPF record of %(domain)s"
CHANGE_FOR_OWN = "If the server is your own: change the SPF record of %(domain)s"
NOT_A_HOTEL = (
    "Only if the server %(server)s is yours. Do not add a server that you do not know, or that others use as well "
    "(a hotel, an internet provider, shared hosting): they could then send as %(domain)s."
)
ONLY_CUSTOMERS = (
    "%(server)s belongs to %(service)s. The underlined part allows all of its servers. Add it only if %(domain)s sends "
    "through %(service)s."
)
OWN_SERVER = "The server %(server)s is one of %(domain)s, and the record does not list it."
THEIR_INCLUDE = (
    "The server %(server)s belongs to %(organization)s. Add the include that their documentation gives to the SPF "
    "record of %(domain)s, not this address."
)
FORWARDED = (
    "Ask the recipient for the address where the mail finally arrives, and send it there. The server that forwards "
    "needs SRS, which puts its own domain into the sender address."
)
FORM = (
    "Let it send from an address of your own domain, and put the visitor's address into Reply-To. A device such as a "
    "copier has to log in to your mail server."
)
RUNS_DNS = "I manage the DNS of %(domain)s"
ASK_DNS = "Questions about the record: the DNS administrator of %(domain)s."
ON_PAGE: dict[Remedy, tuple[str, ...]] = {
    Remedy.SUBMIT: (WEBMAIL, LISTED),
    Remedy.USE_PROVIDER: (PROVIDER,),
    Remedy.TELL_PROVIDER: (THEIR_MISTAKE, ONLY_PROVIDER),
    Remedy.ADD: (CHANGE, CHANGE_FOR_OWN, NOT_A_HOTEL, ONLY_CUSTOMERS, RUNS_DNS, ASK_DNS),
    Remedy.ADD_INCLUDE: (THEIR_INCLUDE, "If you send through %(organization)s"),
    Remedy.PUBLISH: ("Publish an SPF record for %(domain)s",),
    Remedy.LIST_SERVERS: ("If %(domain)s does send mail",),
    Remedy.OWN_NAME: ("Set the server's own host name",),
    Remedy.OTHER_SENDER: ("Send from another address",),
    Remedy.LOG_IN: ("Log in to your own mail server",),
    Remedy.FIX: ("Correct the SPF record of %(domain)s",),
    Remedy.FORWARDED: (FORWARDED,),
    Remedy.FROM_OWN_DOMAIN: (FORM,),
}
ADD_ADDRESS = (
    "If you run {domain}: add {add} to its SPF record, but only if this server is yours and no one else sends from its "
    "address."
)
ADD_SERVICE = (
    "If you run {domain}: add {add} to its SPF record, but only if you send through {service}. It allows all of its "
    "servers, and this is one of them."
)
ADD_INCLUDE = (
    "If you run {domain}: this server is {client_name} of {organization}. If you send through them, add to its SPF "
    "record the include: that their documentation gives, not this address. Only if the server is yours alone, add "
    "{add}."
)
IN_NOTICE = {
    "submit": (
        "If you only use this address: send through the webmail or the mail server (SMTP) of {domain}. Your mailbox is "
        "fine."
    ),
    "listed": (
        "If you only use this address: send through {services}, which the SPF record of {domain} lists. Your mailbox "
        "is fine."
    ),
    "provider": (
        "Send through {domain} itself: by its webmail or app, or in your mail program by the outgoing server {server}, "
        "port {port}, with an app password. Your mailbox is fine."
    ),
    "mistake": (
        "This is a mistake of {domain}: the server {client_name} is its own, but its SPF record does not list it. You "
        "cannot correct it. Forward this message to the support of {domain}."
    ),
    "address": ADD_ADDRESS,
    "service": ADD_SERVICE,
    "include": ADD_INCLUDE,
    "forwarded": (
        "If {organization} forwarded the message: ask the recipient for their final address; the forwarder needs SRS. "
        "If a web form or a device sent it: it has to use a sender address of its own domain."
    ),
    "administrator": (
        "Otherwise forward this message to the administrator of {domain}: only they can change its SPF record, "
        "{hostname} cannot. Questions to {hostname}: {contact}"
    ),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One of the nine."""

    sender: str
    server: str  # the name of the server that sends
    address: str
    notice: tuple[str, ...]  # the advice in the bounce, keys of IN_NOTICE from the top: this, and no other
    remedies: tuple[Remedy, ...]  # the advice on the page, from the top: this, and no other
    sentences: tuple[str, ...]  # on the page, as keys of its catalogue
    new: str = ""  # the term that the page adds to the record; empty: it offers no record
    says: tuple[str, ...] = ()  # in bounce and page, in every language
    silent: tuple[str, ...] = ()  # in neither


ELSEWHERE = (Remedy.FORWARDED, Remedy.FROM_OWN_DOMAIN)
OF_PROVIDER = (Remedy.USE_PROVIDER, Remedy.FROM_OWN_DOMAIN, Remedy.FORWARDED)
BY_ANOTHER = (Remedy.SUBMIT, Remedy.ADD_INCLUDE, Remedy.ADD, *ELSEWHERE)
TOLD_OF_ANOTHER = ("submit", "include", "forwarded", "administrator")
SAID_OF_ANOTHER = (WEBMAIL, THEIR_INCLUDE, CHANGE_FOR_OWN, NOT_A_HOTEL, FORWARDED, FORM)
CASES = {
    "webmail user of a freemail provider": Case(
        sender="alice@163.com",
        server="m12-11.163.com",
        address="127.0.9.11",
        notice=("mistake",),
        remedies=(Remedy.TELL_PROVIDER,),
        sentences=(THEIR_MISTAKE,),
        silent=("ip4:127.0.9.11",),
    ),
    "phone over a hotel's SMTP": Case(
        sender="alice@company.example",
        server="smtp.hotel.example",
        address="127.0.9.12",
        notice=TOLD_OF_ANOTHER,
        remedies=BY_ANOTHER,
        sentences=SAID_OF_ANOTHER,
        new="ip4:127.0.9.12",
    ),
    "a company's newsletter over a bulk mailer": Case(
        sender="news@shop.example",
        server="smtp30.bulk.example",
        address="127.0.9.13",
        notice=TOLD_OF_ANOTHER,
        remedies=BY_ANOTHER,
        sentences=SAID_OF_ANOTHER,
        new="ip4:127.0.9.13",
        silent=("include:bulk.example",),
    ),
    "the same over SES": Case(
        sender="news@shop.example",
        server="a8-31.smtp-out.amazonses.com",
        address="127.0.9.14",
        notice=("submit", "service", "forwarded", "administrator"),
        remedies=(Remedy.ADD, Remedy.SUBMIT, *ELSEWHERE),
        sentences=(CHANGE, ONLY_CUSTOMERS, WEBMAIL, FORWARDED, FORM),
        new="include:amazonses.com",
        says=("include:amazonses.com",),
        silent=("ip4:127.0.9.14",),
    ),
    "a school's copier": Case(
        sender="copier@school.example",
        server="copier.school.example",
        address=UNNAMED,
        notice=("submit", "address", "administrator"),
        remedies=(Remedy.SUBMIT, Remedy.ADD, *ELSEWHERE),
        sentences=(WEBMAIL, CHANGE, NOT_A_HOTEL, FORWARDED, FORM),
        new="ip4:127.0.9.15",
    ),
    "a bank customer whose mail was forwarded": Case(
        sender="alice@bank.example",
        server="out.university.example",
        address="127.0.9.16",
        notice=TOLD_OF_ANOTHER,
        remedies=BY_ANOTHER,
        sentences=SAID_OF_ANOTHER,
        new="ip4:127.0.9.16",
        silent=("include:university.example",),
    ),
    "a web form": Case(
        sender="visitor@gmail.com",
        server="web1.hoster.example",
        address="127.0.9.17",
        notice=("provider", "forwarded"),
        remedies=OF_PROVIDER,
        sentences=(PROVIDER, FORM, FORWARDED),
        says=("smtp.gmail.com",),
        silent=("ip4:127.0.9.17",),
    ),
    'Gmail "send as"': Case(
        sender="alice@team.example",
        server="mail-qk1-f50.google.com",
        address="127.0.9.18",
        notice=("listed", "service", "forwarded", "administrator"),
        remedies=(Remedy.SUBMIT, Remedy.ADD, *ELSEWHERE),
        sentences=(WEBMAIL, LISTED, CHANGE, ONLY_CUSTOMERS, FORWARDED, FORM),
        new="include:_spf.google.com",
        says=("Microsoft 365", "include:_spf.google.com"),
        silent=("ip4:127.0.9.18",),
    ),
    "Gmail over an ISP": Case(
        sender="alice@gmail.com",
        server="smtp.isp.example",
        address="127.0.9.19",
        notice=("provider", "forwarded"),
        remedies=OF_PROVIDER,
        sentences=(PROVIDER, FORM, FORWARDED),
        says=("smtp.gmail.com",),
        silent=("ip4:127.0.9.19",),
    ),
}


@dataclass(frozen=True)
class Receiver:
    """The receiving site, and its help page."""

    site: Site
    page: str  # the address before the token


@pytest.fixture(scope="module")
def receiver(name_server: Nsd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:  # noqa: ARG001 - skips where there is no NSD or Postfix
    """A site that also refuses a softfail, with the default settings otherwise."""
    port = free_port()
    secret = tmp_path_factory.mktemp("web") / "secret"
    ini = (
        "[exempt]\nnetworks =\nprivate_clients = no\n[policy.mailfrom]\nsoftfail = reject\n"
        "[headers]\nauthserv_id = mx.example.net\n"
        f"[reply]\nhelp_url = http://127.0.0.1:{port}/spf/{{token}}\n"
        f"[web]\nlisten = 127.0.0.1:{port}\nsecret_file = {secret}\nrate = 1000/minute\n"
    )
    with (
        Nsd(ZONES) as names,
        Site(names, ini) as site,
        SpfmilterDaemon(f"[dns]\nnameservers = {names.address}\n{ini}", command=WEB),
    ):
        yield Receiver(site, f"http://127.0.0.1:{port}/spf/")


def bounce(case: Case, receiver: Receiver) -> str:
    """What the sender's server writes to the sender, with single blanks."""
    domain = case.sender.partition("@")[2]
    with Postfix(
        hostname=case.server,
        domains=[domain],
        relayhost=f"[127.0.0.1]:{receiver.site.postfix.port}",
        main_cf={"smtp_bind_address": case.address},
    ) as server:
        with SmtpDialogue("127.0.0.1", server.port) as smtp:
            smtp.ehlo("desk.example")
            smtp.mail(case.sender)
            smtp.rcpt("bob@example.net")
            assert smtp.data(written_by(domain)).code == 250
        [message] = server.delivered()
    body = message.message.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


def read(link: str, wish: str) -> str:
    """The page behind a link, for a browser that wishes these languages."""
    request = urllib.request.Request(link, headers={"Accept-Language": wish})  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=HUNG) as response:  # noqa: S310 - as above
        return str(response.read().decode())


def advice_on(html: str) -> tuple[Remedy, ...]:
    """The remedies of a page, from the top."""
    return tuple(Remedy(name) for name in re.findall(r'<div class="remedy ([\w-]+)">', html))


def in_language(tag: str, key: str, domain: str = "web") -> str:
    """A text of the page or the notice, which has to be in the catalogues."""
    text = catalogues.language(tag, domain).catalogue.gettext(key)
    assert tag == "en" or text != key, f"no {tag} text for {key!r}"
    return text


def values_of(case: Case, tag: str) -> dict[str, str]:
    """What the page puts into its sentences for a case."""
    name = in_language(tag, "%(address)s (%(name)s)") % {"address": case.address, "name": case.server}
    return {
        "domain": case.sender.partition("@")[2],
        "server": case.address if case.address == UNNAMED else name,
        "organization": ".".join(case.server.split(".")[-2:]),
        "provider": "Gmail",
        "services": "Microsoft 365",
        "service": "Amazon SES" if "amazonses" in case.server else "Google Workspace",
    }


def position(text: str, said: str) -> int:
    """Where a text stands, whatever the values in it are; -1: nowhere."""
    found = re.search(re.sub(r"\\\{\w+\\\}|%\\\(\w+\\\)s", r".{1,100}?", re.escape(text)), said)
    return found.start() if found else -1


@pytest.mark.parametrize("name", CASES)
def test_from_the_bounce_to_the_page(receiver: Receiver, name: str) -> None:
    case = CASES[name]
    told = bounce(case, receiver)
    assert "Message refused: " in told
    link = re.search(re.escape(receiver.page) + r"[\w.-]+", told)
    assert link is not None, told
    places = {part: position(key, told.replace(" 550-5.7.23", "")) for part, key in IN_NOTICE.items()}
    assert tuple(sorted((part for part, at in places.items() if at >= 0), key=places.__getitem__)) == case.notice
    for text in case.says:
        assert text in told
    for text in case.silent:
        assert text not in told
    for wish, tag in LANGUAGES.items():
        html = read(link[0], wish)
        page = Page(html)
        assert page.named("html")[0]["lang"] == tag
        assert in_language(tag, wording.TITLE_REFUSED) in page.words
        assert advice_on(html) == case.remedies, tag
        assert set(re.findall(r"<ins>(.*?)</ins>", html)) == ({case.new} if case.new else set()), tag
        if case.new:
            assert html.index('class="caution"') < html.index("<ins>"), "the condition comes first"
        for text in case.says:
            assert text in page.words, tag
        for text in case.silent:
            assert text not in page.words, tag
        for key in case.sentences:
            assert in_language(tag, key) % values_of(case, tag) in page.words, tag
        for remedy in ON_PAGE.keys() - set(case.remedies):
            for key in ON_PAGE[remedy]:
                assert position(in_language(tag, key), page.words) < 0, (tag, key)
        assert position(in_language(tag, OWN_SERVER), page.words) < 0, "no server of theirs"


@pytest.mark.parametrize("part", IN_NOTICE)
def test_the_advice_that_is_looked_for_is_that_of_the_notice(part: str) -> None:
    """A sentence that was written anew would be looked for in vain."""
    for tag in ("zh-Hans", "zh-Hant"):
        in_language(tag, IN_NOTICE[part], catalogues.DOMAIN)
