"""A request on the page of a case: who may ask, what is kept and shown, and what a hostile POST comes to."""

import itertools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from lab.processes import HUNG
from spfmilter.model import Identity, Result
from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.request import SenderRequest, State, request_of
from spfmilter.requests.store import FILE
from spfmilter.web import requests
from tests.requests.samples import case_id
from tests.values import CASE
from tests.web.pages import Page, client
from tests.web.site import CLIENT, token

DAY = 86_400
FORM = {"sentence": "I am your dentist.", "answer_to": "dentist@example.com"}
Browser = Callable[..., TestClient]


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A page that takes requests; each browser is at another network, unless it says where."""
    for name in ("_PATIENCE", "_PATIENCE_TO_KEEP"):  # a busy machine is no store that is away
        monkeypatch.setattr(requests, name, HUNG)
    with store(tmp_path) as there:
        there.prepare()  # which loads the libraries: the page has less time for it
    numbers = itertools.count()
    with client(f"requests = yes\nrate = 9000/second\n[state]\nfolder = {tmp_path}") as first:

        def another(host: str = "") -> TestClient:
            place = host or f"10.0.{next(numbers)}.1"
            return TestClient(
                first.app, base_url="https://mx.example.net", client=(place, 50000), follow_redirects=False
            )

        yield another


@contextmanager
def store(tmp_path: Path) -> Iterator[EmbeddedRequests]:
    found = EmbeddedRequests(tmp_path / FILE)
    yield found
    found.close()


def kept(tmp_path: Path) -> dict[str, SenderRequest]:
    with store(tmp_path) as there:
        return {one.case_id: one for one in map(request_of, there.read())}


def answered(tmp_path: Path, **answer: Any) -> None:
    """Give the request of CASE an answer, as the command does it."""
    with store(tmp_path) as there:
        assert there.answer(replace(kept(tmp_path)[CASE], answered=int(time.time()), answered_by="alice", **answer))


def words(response) -> str:
    return Page(response.text).words


# -- asking ------------------------------------------------------------------------------------------------------------


def test_a_sender_asks_once_and_is_told_that_they_have(browser: Browser, tmp_path: Path) -> None:
    tab, link = browser(), f"/spf/{token()}"
    shown = tab.get(link)
    assert "Ask the administrator" in words(shown)
    assert {"method": "post", "action": "#request", "novalidate": None} in Page(shown.text).named("form")
    sent = tab.post(link, data=FORM)
    assert (sent.status_code, sent.headers["location"]) == (303, f"{link.rpartition('/')[2]}#request")
    one = kept(tmp_path)[CASE]
    assert (one.sentence, one.answer_to, str(one.address), one.domain) == (*FORM.values(), CLIENT, "example.com")
    assert (one.state, one.language, one.result) == (State.OPEN, "en", Result.FAIL)
    after = tab.get(link)
    assert "You asked the administrator of mx.example.net on" in words(after)
    assert Page(after.text).named("textarea") == []
    again = tab.post(link, data={**FORM, "sentence": "Please!"})
    assert again.status_code == 303
    assert kept(tmp_path)[CASE] == one


def test_it_is_kept_until_the_link_expires_but_for_a_day(browser: Browser, tmp_path: Path) -> None:
    now = int(time.time())
    browser().post(f"/spf/{token(time=now - 10 * DAY, id=case_id(1))}", data=FORM)
    browser().post(f"/spf/{token(time=now - 30 * DAY + 60, id=case_id(2))}", data=FORM)
    found = kept(tmp_path)
    assert found[case_id(1)].ends == now + 20 * DAY
    assert now + DAY <= found[case_id(2)].ends <= now + DAY + 60


def test_the_language_of_the_page_is_kept_for_the_answer(browser: Browser, tmp_path: Path) -> None:
    sent = browser().post(f"/spf/{token()}?lang=zh-Hant", data=FORM)
    assert sent.headers["location"].endswith("?lang=zh-Hant#request")
    assert kept(tmp_path)[CASE].language == "zh-Hant"


def test_it_is_off_by_default() -> None:
    with client() as tab:
        assert "Ask the administrator" not in words(tab.get(f"/spf/{token()}"))
        refused = tab.post(f"/spf/{token()}", data=FORM)
        assert refused.status_code == 405
        assert "POST" not in refused.headers["allow"]


@pytest.mark.parametrize(
    ("link", "status"),
    [
        (token(time=int(time.time()) - 31 * DAY), 410),
        (token()[:-1] + ("A" if token()[-1] != "A" else "Q"), 404),
        ("x", 404),
        (token("pass.example"), 303),
        (token(id=""), 503),
        ("", 405),
    ],
    ids=["expired", "forged", "none", "fixed", "of an older version", "by hand"],
)
def test_only_a_valid_link_of_a_case_that_is_not_fixed_can_ask(browser: Browser, tmp_path: Path, link, status) -> None:
    tab = browser()
    assert tab.post(f"/spf/{link}", data=FORM).status_code == status
    assert kept(tmp_path) == {}
    shown = tab.get(f"/spf/{link}")
    assert Page(shown.text).named("textarea") == []


@pytest.mark.parametrize("result", [Result.SOFTFAIL, Result.TEMPERROR, Result.PERMERROR, Result.NONE])
def test_each_refusal_can_ask(browser: Browser, tmp_path: Path, result) -> None:
    tab = browser()
    assert tab.post(f"/spf/{token(result=result, identity=Identity.HELO)}", data=FORM).status_code == 303
    assert kept(tmp_path)[CASE].result is result
    assert kept(tmp_path)[CASE].identity is Identity.HELO


def test_a_wrong_field_is_shown_again_with_a_complaint(browser: Browser, tmp_path: Path) -> None:
    hostile = {"sentence": "</textarea><script>alert(1)</script>", "answer_to": '"><script>'}
    response = browser().post(f"/spf/{token()}", data=hostile)
    assert response.status_code == 400
    page = Page(response.text)
    assert page.named("script") == []
    assert "Enter an email address, such as name@example.com." in page.words
    [area], fields = page.named("textarea"), {field["id"]: field for field in page.named("input")}
    assert "aria-invalid" not in area
    assert fields["answer_to"]["aria-invalid"] == "true"
    assert fields["answer_to"]["aria-describedby"] == "answer_to-hint answer_to-complaint"
    assert kept(tmp_path) == {}


# -- the answer --------------------------------------------------------------------------------------------------------


def test_what_the_administrator_grants_stands_above_the_advice(browser: Browser, tmp_path: Path) -> None:
    tab, link = browser(), f"/spf/{token()}"
    tab.post(link, data=FORM)
    until = int(time.time()) + 7 * DAY
    answered(tmp_path, state=State.GRANTED, until=until, exemption="ABC123", answer="Welcome <b>back</b>.")
    response = tab.get(link)
    text = words(response)
    assert "The administrator has let your server in" in text
    assert "Send your message again." in text
    assert "The administrator says: Welcome <b>back</b>." in text
    assert text.index("has let your server in") < text.index("What to do")
    assert "Ask the administrator" not in text
    assert "dentist" not in text, "the page shows the sender's address to none who has the link"
    for lang, said in (("zh-Hans", "管理员已放行您的服务器"), ("zh-Hant", "管理員已放行您的伺服器")):
        assert said in words(tab.get(f"{link}?lang={lang}"))


def test_what_has_ended_is_said_to_be_over(browser: Browser, tmp_path: Path) -> None:
    tab, link = browser(), f"/spf/{token()}"
    tab.post(link, data=FORM)
    answered(tmp_path, state=State.GRANTED, until=int(time.time()) + 7 * DAY, exemption="ABC123")
    with store(tmp_path) as there:
        there.end(["ABC123"], int(time.time()) - 1)
    assert "That time is over." in words(tab.get(link))
    assert "has let your server in" not in words(tab.get(link))


def test_what_the_administrator_declines_is_said(browser: Browser, tmp_path: Path) -> None:
    tab, link = browser(), f"/spf/{token()}"
    tab.post(link, data=FORM)
    answered(tmp_path, state=State.DECLINED, answer="Use your provider's server.")
    text = words(tab.get(link))
    assert "The administrator has not let your server in" in text
    assert "Use your provider's server." in text
    tab.post(link, data=FORM)
    assert kept(tmp_path)[CASE].state is State.DECLINED, "a link cannot be used to ask until the answer is yes"


def test_a_case_that_passes_by_now_shows_no_form(browser: Browser) -> None:
    assert "Ask the administrator" not in words(browser().get(f"/spf/{token('pass.example')}"))


# -- bounds, and what is hostile ---------------------------------------------------------------------------------------


def test_a_network_of_visitors_may_ask_five_times_an_hour(browser: Browser, tmp_path: Path) -> None:
    domains = ("example.com", "soft.example", "neutral.example", "none.example", "perm.example", "plain.example")
    statuses = []
    for number, domain in enumerate(domains):
        link = token(domain, address=ip_address(f"10.{number}.0.1"), id=case_id(number))
        statuses.append(browser(f"198.51.100.{number}").post(f"/spf/{link}", data=FORM).status_code)
    assert statuses == [303] * 5 + [429]
    assert len(kept(tmp_path)) == 5
    link = token("plain.example", address=ip_address("10.5.0.1"), id=case_id(5))
    assert browser("192.0.2.1").post(f"/spf/{link}", data=FORM).status_code == 303, "from another network"


def test_three_of_a_domain_may_be_open(browser: Browser, tmp_path: Path) -> None:
    for number in range(3):
        assert browser().post(f"/spf/{token(id=case_id(number))}", data=FORM).status_code == 303
    full = browser().post(f"/spf/{token(id=case_id(3))}", data=FORM)
    assert full.status_code == 429
    assert "Too many requests are waiting at present." in words(full)
    assert "postmaster@mx.example.net" in words(full)
    assert len(kept(tmp_path)) == 3


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"sentence=" + b"x" * 20_000, "application/x-www-form-urlencoded"),
        (b"\x00" * 20_000, "application/x-www-form-urlencoded"),
        (bytes(range(256)), "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (b"sentence=a", ""),
        (b"a&" * 4000, "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form_is_refused_and_kept_nowhere(browser: Browser, tmp_path: Path, content, kind) -> None:
    response = browser().post(f"/spf/{token()}", content=content, headers={"content-type": kind})
    assert response.status_code == 400
    assert "The form was not sent as a browser sends it" in words(response)
    assert kept(tmp_path) == {}


def test_every_answer_to_a_post_has_the_security_headers(browser: Browser) -> None:
    for data in (FORM, {}):
        response = browser().post(f"/spf/{token()}", data=data)
        assert "form-action 'self'" in response.headers["content-security-policy"]
        assert re.search("no-referrer", response.headers["referrer-policy"])


def test_a_store_that_cannot_be_used_leaves_the_page_without_the_form(tmp_path: Path) -> None:
    (tmp_path / "requests").write_text("in the way")
    tab = client(f"requests = yes\n[state]\nfolder = {tmp_path}")
    shown = tab.get(f"/spf/{token()}")
    assert shown.status_code == 200
    assert "Your message was refused" in words(shown)
    assert "Ask the administrator" not in words(shown)
    assert tab.post(f"/spf/{token()}", data=FORM).status_code == 503


def test_rows_of_strangers_are_not_shown(browser: Browser, tmp_path: Path) -> None:
    import sqlite3  # noqa: PLC0415

    tab, link = browser(), f"/spf/{token()}"
    tab.post(link, data=FORM)
    with sqlite3.connect(tmp_path / FILE) as rows:
        rows.execute("UPDATE sender_request SET state = '<script>'")
    rows.close()
    shown = tab.get(link)
    assert shown.status_code == 200
    assert Page(shown.text).named("script") == []
    assert "Ask the administrator" not in words(shown)
    other = tab.get(f"/spf/{token(id=case_id(7))}")
    assert "Ask the administrator" in words(other), "one such row does not keep others from asking"
