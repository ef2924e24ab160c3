"""What the real daemon says to a refused sender: languages, the service to include, the link to the help page."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.milterwire import Reply
from lab.processes import free_port
from spfmilter import caseid
from spfmilter.helplink.secretfile import load_secrets
from spfmilter.helplink.token import Signer
from spfmilter.model import Identity, Result
from tests.values import PAGE_LANGUAGES
from tests.wire.running import CLIENT, ZONE, Running, ini, running

J = {"j": "mx.example.net"}
THEIRS, THEIRS_TOO, UNLISTED = "198.51.100.9", "198.51.100.10", "198.51.100.200"
SERVICES: ZoneData = {
    **ZONE,
    "_spf.google.com": [{"TXT": "v=spf1 include:_netblocks.google.com ~all"}],
    "_netblocks.google.com": [{"TXT": "v=spf1 ip4:198.51.100.0/25 ~all"}],
    "hosted.example": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}, {"MX": [10, "aspmx.l.google.com"]}],
    "slow.example": [{"TXT": "v=spf1 ip4:203.0.113.99 -all"}, {"MX": "TIMEOUT"}],
    "soft.example": [{"TXT": "v=spf1 ~all"}, {"MX": [10, "aspmx.l.google.com"]}],
    "behind.example": [{"TXT": "v=spf1 -all ip4:198.51.100.0/24"}],
    "equals.example": [{"TXT": "v=spf1 ip4=198.51.100.9 -all"}],
    "strings.example": [{"TXT": ["v=spf1 ip4:198.51.100.9", "ip4:192.0.2.0/24 -all"]}],
    "nearly.example": [{"TXT": '"v=spf1 ip4:198.51.100.9 -all"'}],
}
ITS_TERM = "If you run fail.example: add include:_spf.google.com to its SPF record"
ITS_NAME = "only if you send through Google Workspace. It allows all of its servers, and this is one of them."


@pytest.fixture(scope="module")
def names() -> Iterator[ScriptedDNS]:
    """A DNS with a well-known service in it."""
    with ScriptedDNS(SERVICES) as server:
        yield server


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the daemon below makes its secret."""
    return tmp_path_factory.mktemp("secret") / "secret"


@pytest.fixture(scope="module")
def chinese(names: ScriptedDNS, secret: Path) -> Iterator[Running]:
    """A daemon of one worker, whose caches can be watched, for readers of Chinese."""
    text = (
        "workers = 1\n[reply]\nlanguages = zh-Hans, en\nhelp_url = https://h.example/{token}\n"
        f"[web]\nsecret_file = {secret}\n"
    )
    with running(names, text) as serving:
        yield serving


def refused(
    serving: Running, sender: str = "<u@fail.example>", *esmtp: str, address: str = THEIRS, name: str = "unknown",
    helo: str = "mail.example",
) -> Reply:  # fmt: skip
    """The answer to a MAIL FROM."""
    with serving.client() as mta:
        mta.greet(address, helo, macros=J, name=name)
        reply = mta.mail(sender, *esmtp)
        mta.quit()
    return reply


# -- the service -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hint", [{"name": "mail-yw1-f1.google.com"}, {"helo": "mail-yw1-f1.GOOGLE.com."}], ids=["reverse-dns", "helo"]
)
def test_the_service_whose_name_the_client_bears_is_to_be_included(chinese: Running, hint: dict[str, str]) -> None:
    lines = "\n".join(refused(chinese, **hint).lines)
    assert ITS_TERM in lines
    assert ITS_NAME in lines


def test_a_name_is_only_a_hint_and_the_services_record_decides(chinese: Running) -> None:
    text = "\n".join(refused(chinese, address=UNLISTED, name="mail.google.com").lines)
    assert f"If you run fail.example: add ip4:{UNLISTED} to its SPF record" in text
    assert "google" not in text


def test_where_no_name_hints_the_senders_mx_does(chinese: Running) -> None:
    text = "\n".join(refused(chinese, "<u@hosted.example>").lines)
    assert "If you run hosted.example: add include:_spf.google.com to its SPF record" in text


def test_a_second_refusal_asks_nothing(chinese: Running, names: ScriptedDNS) -> None:
    refused(chinese, "<u@hosted.example>", address=THEIRS_TOO)
    names.reset_counts()
    again = refused(chinese, "<other@hosted.example>", address=THEIRS_TOO)
    assert "include:_spf.google.com" in "\n".join(again.lines)
    assert not names.queries


def test_messages_that_are_taken_ask_nothing_more(names: ScriptedDNS) -> None:
    with running(names) as serving:
        names.reset_counts()
        for sender in ("<u@pass.example>", "<u@soft.example>", "<u@neutral.example>"):
            assert refused(serving, sender, address=CLIENT, name="mail.google.com").proceeds
        asked = {name for name, _ in names.queries}
    assert asked == {"mail.example", "pass.example", "soft.example", "neutral.example"}


def test_a_refusal_waits_a_second_at_most_for_a_hint(chinese: Running) -> None:
    """The test's client waits for 15 s, and an evaluation may take 20."""
    text = "\n".join(refused(chinese, "<u@slow.example>").lines)
    assert f"If you run slow.example: add ip4:{THEIRS} to its SPF record" in text


def test_it_can_be_left_out(names: ScriptedDNS) -> None:
    with running(names, "[reply]\nsuggest_services = no\n") as serving:
        text = "\n".join(refused(serving, name="mail.google.com").lines)
    assert f"add ip4:{THEIRS}" in text


# -- flaws of the record -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "flaw"),
    [
        ("behind.example", 'after "-all". Move it before "-all".'),
        ("equals.example", 'Write "ip4:198.51.100.9", with a colon.'),
        ("strings.example", 'Write "ip4:198.51.100.9 ip4:192.0.2.0/24".'),
        ("nearly.example", 'it is no SPF record. Write "v=spf1".'),
    ],
)
def test_a_record_that_has_the_client_already_is_to_be_corrected(names: ScriptedDNS, domain: str, flaw: str) -> None:
    with running(names, "[policy.mailfrom]\nnone = reject\npermerror = reject\n") as serving:
        names.reset_counts()
        text = "\n".join(refused(serving, f"<u@{domain}>").lines)
        assert flaw in text
        assert "add ip4:" not in text
        assert names.queries[domain, "TXT"] == 1  # the text is among the answers that the verdict keeps


# -- languages ---------------------------------------------------------------------------------------------------------


def test_a_client_that_says_smtputf8_is_answered_in_utf8_byte_for_byte(chinese: Running) -> None:
    reply = refused(chinese, "<u@fail.example>", "SMTPUTF8", address=CLIENT)
    lines = reply.raw.removesuffix(b"\0").split(b"\r\n")
    assert lines[0].decode() == (
        "550-5.7.23 邮件被拒收：服务器 192.0.2.1 不在 fail.example 的信任发送列表中（SPF check: fail，匹配“-all”）"
    )
    assert lines[1].decode().startswith(f"550-5.7.23 帮助和当前结果（{PAGE_LANGUAGES}）： https://h.example/")
    assert re.fullmatch(rf"550 5\.7\.23 编号: {caseid.FORM}", lines[-1].decode())
    assert all(len(line) <= 510 for line in lines)


def test_any_other_client_is_answered_in_ascii(chinese: Running) -> None:
    reply = refused(chinese, "<u@fail.example>", "BODY=8BITMIME", address=CLIENT)
    assert reply.raw.isascii()
    assert reply.lines[0].startswith(
        "550-5.7.23 Message refused: 192.0.2.1 is not in the trusted sender list of fail.example"
    )


@pytest.mark.parametrize(
    ("esmtp", "beginning"),
    [
        ("SMTPUTF8", "tag; 服务器 192.0.2.1 很可能无权代 soft.example 发信（SPF check: softfail，匹配“~all”）。"),
        ("BODY=8BITMIME", "tag; The server 192.0.2.1 is probably not allowed to send mail for soft.example"),
    ],
)
def test_the_notice_of_a_tagged_message_is_in_the_same_language(chinese: Running, esmtp: str, beginning: str) -> None:
    with chinese.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@soft.example>", ["<bob@example.net>"], esmtp=[esmtp])
        mta.quit()
    [notice] = [field.value for field in outcome.inserted if field.name == "X-SPF-Notice"]
    assert notice.replace("\n", "").startswith(beginning)
    assert all(len(line.encode()) <= 998 for line in notice.split("\n")), "RFC 5322 section 2.1.1, RFC 6532 section 3.4"


# -- the link ----------------------------------------------------------------------------------------------------------


def test_the_second_line_links_to_this_very_case_and_the_last_one_names_it(chinese: Running, secret: Path) -> None:
    _, link, *_, last = refused(chinese, address=CLIENT).lines
    found = re.fullmatch(rf"550-5\.7\.23 Help and current result \({PAGE_LANGUAGES}\): https://h\.example/(\S+)", link)
    assert found is not None, link
    case = Signer(load_secrets(secret)).read(found[1], max_age=600, now=time.time())
    assert (str(case.address), case.identity, case.domain, case.result) == (
        CLIENT, Identity.MAILFROM, "fail.example", Result.FAIL,
    )  # fmt: skip
    assert last == f"550 5.7.23 Case: {case.id}"


@pytest.mark.parametrize("stage", ["rcpt", "message"])
def test_a_later_refusal_holds_the_same(names: ScriptedDNS, secret: Path, stage: str) -> None:
    text = (
        f"[policy]\nreject_at = {stage}\n[reply]\nhelp_url = https://h.example/{{token}}\n"
        f"[web]\nsecret_file = {secret}\n"
    )
    with running(names, text) as serving, serving.client() as mta:
        mta.greet(THEIRS, "mail.example", macros=J, name="mail.google.com")
        outcome = mta.deliver("<u@fail.example>", ["<bob@example.net>"])
        mta.quit()
    assert outcome.stage == {"rcpt": "rcpt", "message": "eom"}[stage]
    lines = "\n".join(outcome.reply.lines)
    assert ITS_TERM in lines
    assert f"550-5.7.23 Help and current result ({PAGE_LANGUAGES}): https://h.example/" in lines


def test_the_daemon_makes_the_secret_for_itself_alone(chinese: Running, secret: Path) -> None:
    refused(chinese)
    assert secret.stat().st_mode & 0o777 == 0o600


def test_without_a_domain_there_is_nothing_to_link_to(names: ScriptedDNS, secret: Path) -> None:
    text = (
        "[policy.mailfrom]\nnone = reject\n[reply]\nhelp_url = https://h.example/{token}\n"
        f"[web]\nsecret_file = {secret}\n"
    )
    with running(names, text) as serving:
        assert "https" not in "\n".join(refused(serving, "<u@localhost>").lines)
        assert "https" in "\n".join(refused(serving, "<u@nothing.example>").lines)


def linking(dns: ScriptedDNS, secret: Path) -> str:
    address = f"inet:{free_port()}@127.0.0.1"
    return ini(dns, address, f"[reply]\nhelp_url = https://h.example/{{token}}\n[web]\nsecret_file = {secret}\n")


def test_a_secret_that_others_can_read_stops_the_start_and_says_so(names: ScriptedDNS, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("a secret of twenty characters or more\n")
    path.chmod(0o644)
    daemon = SpfmilterDaemon(linking(names, path))
    with pytest.raises(RuntimeError, match=f"ended with {os.EX_CANTCREAT}") as caught:
        daemon.start()
    assert str(path) in str(caught.value)


def test_a_reload_whose_secret_cannot_be_had_changes_nothing(names: ScriptedDNS, tmp_path: Path) -> None:
    good = linking(names, tmp_path / "secret")
    with SpfmilterDaemon(good) as daemon:
        daemon.rewrite(good.replace(str(tmp_path), f"{tmp_path}/nowhere"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log(r"configuration rejected, old settings stay in force.*nowhere")
