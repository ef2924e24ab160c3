"""The real daemon answers in the language that the sender's domain suggests, with English beside it.

It is a copy of the program with one more catalogue. Its texts begin with a German word, so the tests hold for any
wording, and for a German translation of the program's own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import spfmilter
from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import free_port
from spfmilter.reply.texts import all_texts
from tests.catalogues import write_catalogue
from tests.wire.running import ZONE, Running, ini

UNLISTED = "198.51.100.200"
RECORD = "v=spf1 ip4:192.0.2.0/28 -all"
ZONES: ZoneData = {
    **ZONE,
    "kunde.de": [{"TXT": RECORD}, {"MX": [10, "mx.example.fr"]}],
    "firma.example": [{"TXT": RECORD}, {"MX": [10, "mx.anbieter.de"]}],
    "laden.example": [{"TXT": RECORD}, {"MX": [10, "mx.example.net"]}],
    "gongsi.cn": [{"TXT": RECORD}],
    "langsam.example": [{"TXT": RECORD}, {"MX": "TIMEOUT"}],
}


@pytest.fixture(scope="module")
def names() -> Iterator[ScriptedDNS]:
    """A DNS with senders in several countries."""
    with ScriptedDNS(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def guessing(names: ScriptedDNS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A daemon of one worker that guesses the language."""
    copy = tmp_path_factory.mktemp("program")
    package = copy / "spfmilter"
    shutil.copytree(Path(spfmilter.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    write_catalogue(package / "locale", "de", all_texts(), lambda text: f"Größe: {text}")
    address = f"inet:{free_port()}@127.0.0.1"
    text = ini(names, address, "workers = 1\n[reply]\nlanguages = auto\nsuggest_services = no\n")
    # The copy comes first, and the folder of the tests not at all.
    environment = {"PYTHONPATH": str(copy), "PYTHONSAFEPATH": "1"}
    with SpfmilterDaemon(text, environment=environment) as daemon:
        yield Running(daemon, address)


def refused(serving: Running, domain: str, *esmtp: str, name: str = "unknown") -> list[str]:
    """The lines of the answer to a MAIL FROM of this domain, without code and status."""
    with serving.client() as mta:
        mta.greet(UNLISTED, "mail.example", macros={"j": "mx.example.net"}, name=name)
        reply = mta.mail(f"<u@{domain}>", *esmtp)
        mta.quit()
    lines = reply.raw.decode().removesuffix("\0").split("\r\n")
    assert all(line.startswith(("550-5.7.23 ", "550 5.7.23 ")) for line in lines)
    return [line[len("550-5.7.23 ") :] for line in lines]


def is_german_beside_english(lines: list[str], word: str) -> bool:
    """Tell whether the first line is English, and the others are a German notice and then the rest of the English."""
    kinds = [line.startswith(word) for line in lines[:-1]]  # the last one is the case id
    german = sum(kinds)
    return german > 2 and kinds == [False, *[True] * german, *[False] * (german - 1)]


@pytest.mark.parametrize(
    ("domain", "name"),
    [("kunde.de", "unknown"), ("firma.example", "mail.example.fr"), ("laden.example", "mail.anbieter.de")],
    ids=["sender", "mx", "client"],
)
def test_a_client_of_ascii_reads_german_without_its_letters_and_english(
    guessing: Running, domain: str, name: str
) -> None:
    lines = refused(guessing, domain, name=name)
    assert is_german_beside_english(lines, "Groesse: ")
    assert all(line.isascii() for line in lines)


def test_a_client_of_utf8_reads_it_as_it_is_written(guessing: Running) -> None:
    assert is_german_beside_english(refused(guessing, "kunde.de", "SMTPUTF8"), "Größe: ")


def test_chinese_is_for_clients_of_utf8_alone(guessing: Running) -> None:
    assert all(line.isascii() for line in refused(guessing, "gongsi.cn"))
    first, *others = refused(guessing, "gongsi.cn", "SMTPUTF8")
    assert first.isascii()
    assert any("记录" in line for line in others)
    assert any(line.isascii() for line in others[:-1])


def test_a_sender_of_no_country_reads_english_alone(guessing: Running) -> None:
    assert not any("Groesse" in line for line in refused(guessing, "laden.example"))


def test_a_silent_dns_costs_only_the_language(guessing: Running) -> None:
    """The test's client waits for 15 s, and an evaluation may take 20."""
    assert not any("Groesse" in line for line in refused(guessing, "langsam.example"))


def test_nothing_is_asked_where_the_domain_tells_it_or_the_message_is_taken(
    guessing: Running, names: ScriptedDNS
) -> None:
    names.reset_counts()
    refused(guessing, "kunde.de")
    with guessing.client() as mta:
        mta.greet("192.0.2.1", "mail.example", macros={"j": "mx.example.net"})
        assert mta.mail("<u@laden.example>").proceeds
        mta.quit()
    assert not {("kunde.de", "MX"), ("laden.example", "MX")} & set(names.queries)
