"""Nine refused senders, from the bounce that a real Postfix writes to the page behind its link, in three languages.

For each: which advice comes first, and which advice must not be there, because it is wrong for this sender.
"""

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
CHANGES_RECORD = frozenset({
    Remedy.ADD, Remedy.ADD_BEFORE, Remedy.ADD_INCLUDE, Remedy.PUBLISH, Remedy.LIST_SERVERS, Remedy.NARROW, Remedy.FIX,
})  # fmt: skip

THEIR_MISTAKE = "The server %(server)s belongs to your provider, so this is their mistake. Send them the text below."
WEBMAIL = "Send the message again with the webmail of %(domain)s."
PROVIDER = "Send the message again with the webmail or the app of %(provider)s."
NOT_A_HOTEL = (
    "Only if the server %(server)s is yours. Do not add a server that you do not know, or that others use as well "
    "(a hotel, an internet provider, shared hosting): they could then send as %(domain)s."
)
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
LISTED = "%(domain)s sends through %(services)s: its servers are allowed."


@dataclass(frozen=True, kw_only=True)
class Case:
    """One of the nine."""

    sender: str
    server: str  # the name of the server that sends
    address: str
    first: tuple[Remedy, ...]  # the advice on the page, from the top
    present: frozenset[Remedy] = frozenset()  # further advice that has to be there
    wrong: frozenset[Remedy] = frozenset()  # advice that must not be there
    says: tuple[str, ...] = ()  # in bounce and page, in every language
    silent: tuple[str, ...] = ()  # in neither
    sentences: tuple[str, ...] = ()  # on the page, as keys of its catalogue


CASES = {
    "webmail user of a freemail provider": Case(
        sender="alice@163.com",
        server="m12-11.163.com",
        address="127.0.9.11",
        first=(Remedy.TELL_PROVIDER,),
        wrong=CHANGES_RECORD | {Remedy.USE_PROVIDER, Remedy.SUBMIT},
        silent=("ip4:127.0.9.11",),
        sentences=(THEIR_MISTAKE,),
    ),
    "phone over a hotel's SMTP": Case(
        sender="alice@company.example",
        server="smtp.hotel.example",
        address="127.0.9.12",
        first=(Remedy.SUBMIT,),
        wrong=frozenset({Remedy.USE_PROVIDER, Remedy.PUBLISH, Remedy.OWN_NAME}),
        sentences=(WEBMAIL, NOT_A_HOTEL),
    ),
    "a company's newsletter over a bulk mailer": Case(
        sender="news@shop.example",
        server="smtp30.bulk.example",
        address="127.0.9.13",
        first=(Remedy.SUBMIT, Remedy.ADD_INCLUDE),
        wrong=frozenset({Remedy.USE_PROVIDER, Remedy.PUBLISH}),
        says=("bulk.example",),
        sentences=(THEIR_INCLUDE, NOT_A_HOTEL),
    ),
    "the same over SES": Case(
        sender="news@shop.example",
        server="a8-31.smtp-out.amazonses.com",
        address="127.0.9.14",
        first=(Remedy.ADD,),
        wrong=frozenset({Remedy.ADD_INCLUDE, Remedy.USE_PROVIDER}),
        says=("include:amazonses.com",),
        silent=("ip4:127.0.9.14",),
    ),
    "a school's copier": Case(
        sender="copier@school.example",
        server="copier.school.example",
        address="127.0.9.15",
        first=(Remedy.SUBMIT,),
        present=frozenset({Remedy.FROM_OWN_DOMAIN}),
        wrong=frozenset({Remedy.USE_PROVIDER, Remedy.ADD_INCLUDE}),
        sentences=(WEBMAIL, FORM),
    ),
    "a bank customer whose mail was forwarded": Case(
        sender="alice@bank.example",
        server="out.university.example",
        address="127.0.9.16",
        first=(Remedy.SUBMIT,),
        present=frozenset({Remedy.FORWARDED}),
        wrong=frozenset({Remedy.USE_PROVIDER, Remedy.PUBLISH}),
        silent=("include:university.example",),
        sentences=(WEBMAIL, NOT_A_HOTEL, FORWARDED),
    ),
    "a web form": Case(
        sender="visitor@gmail.com",
        server="web1.hoster.example",
        address="127.0.9.17",
        first=(Remedy.USE_PROVIDER,),
        present=frozenset({Remedy.FROM_OWN_DOMAIN}),
        wrong=CHANGES_RECORD | {Remedy.SUBMIT},
        says=("smtp.gmail.com",),
        silent=("ip4:127.0.9.17",),
        sentences=(PROVIDER, FORM),
    ),
    'Gmail "send as"': Case(
        sender="alice@team.example",
        server="mail-qk1-f50.google.com",
        address="127.0.9.18",
        first=(Remedy.SUBMIT, Remedy.ADD),
        wrong=frozenset({Remedy.ADD_INCLUDE, Remedy.USE_PROVIDER}),
        says=("Microsoft 365", "include:_spf.google.com"),
        silent=("ip4:127.0.9.18",),
        sentences=(WEBMAIL, LISTED),
    ),
    "Gmail over an ISP": Case(
        sender="alice@gmail.com",
        server="smtp.isp.example",
        address="127.0.9.19",
        first=(Remedy.USE_PROVIDER,),
        wrong=CHANGES_RECORD | {Remedy.SUBMIT, Remedy.TELL_PROVIDER},
        says=("smtp.gmail.com",),
        silent=("ip4:127.0.9.19",),
        sentences=(PROVIDER,),
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


def advice_on(html: str) -> list[Remedy]:
    """The remedies of a page, from the top."""
    return [Remedy(name) for name in re.findall(r'<div class="remedy ([\w-]+)">', html)]


def values_of(case: Case, tag: str) -> dict[str, str]:
    """What the page puts into its sentences for a case."""
    name = in_language(tag, "%(address)s (%(name)s)", address=case.address, name=case.server)
    return {
        "domain": case.sender.partition("@")[2],
        "server": case.address if case.address == UNNAMED else name,
        "organization": ".".join(case.server.split(".")[-2:]),
        "provider": "Gmail",
        "services": "Microsoft 365",
    }


def in_language(tag: str, key: str, **values: Any) -> str:
    """A text of the page, which has to be in the catalogues."""
    text = catalogues.language(tag, "web").catalogue.gettext(key)
    assert tag == "en" or text != key, f"no {tag} text for {key!r}"
    return text % values


@pytest.mark.parametrize("name", CASES)
def test_from_the_bounce_to_the_page(receiver: Receiver, name: str) -> None:
    case = CASES[name]
    told = bounce(case, receiver)
    assert "Message refused: " in told
    found = re.search(re.escape(receiver.page) + r"[\w.-]+", told)
    assert found is not None, told
    for text in case.says:
        assert text in told
    for text in case.silent:
        assert text not in told
    for wish, tag in LANGUAGES.items():
        html = read(found[0], wish)
        page = Page(html)
        assert page.named("html")[0]["lang"] == tag
        assert in_language(tag, wording.TITLE_REFUSED) in page.words
        remedies = advice_on(html)
        assert tuple(remedies[: len(case.first)]) == case.first, (tag, remedies)
        assert case.present <= set(remedies)
        assert case.wrong.isdisjoint(remedies), (tag, remedies)
        for text in case.says:
            assert text in page.words, tag
        for text in case.silent:
            assert text not in page.words, tag
        for key in case.sentences:
            assert in_language(tag, key, **values_of(case, tag)) in page.words, tag
