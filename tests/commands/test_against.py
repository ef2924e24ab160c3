"""``spfmilter config check --against journal`` with real databases."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.postgresql import PostgreSQL, unavailable
from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.rows import COLUMNS
from spfmilter.journal.tables import DECISION
from spfmilter.settings.journalurl import journal_url

DAY = 86_400_000  # milliseconds
PLAIN: dict[str, Any] = {
    **dict.fromkeys(COLUMNS),
    "host": "mx.example.net",
    "client": "203.0.113.7",
    "authenticated": 0,
    "mailfrom_result": "pass",
    "helo_result": "none",
    "action": "accept",
    "rule": "[policy.mailfrom] pass = accept",
    "recipient_rules": 0,
    "ended": "message",
    "lookups": 1,
    "void_lookups": 0,
    "elapsed": 12,
}


def rows() -> list[dict[str, Any]]:
    """One domain fails, two softfail, and one softfailed a month ago."""
    now = int(time.time() * 1000)
    soft = {"mailfrom_result": "softfail", "action": "tag"}
    fail = {"mailfrom_result": "fail", "action": "reject", "ended": "refused"}
    found: list[dict[str, Any]] = [{"sender_domain": f"good-{number}.example"} for number in range(50)]
    found += [{"sender_domain": f"soft-{number % 2}.example", "helo": f"h{number}", **soft} for number in range(6)]
    found += [{"sender_domain": "soft-old.example", "time": now - 30 * DAY, **soft}]
    found += [{"sender_domain": "fail.example", **fail}]
    return [{**PLAIN, "time": now - DAY, **each} for each in found]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a journal with these rows."""
    if request.param == "sqlite":
        text = f"sqlite:///{tmp_path_factory.mktemp('journal')}/journal.db"
        fill(text)
        yield text
    elif why := unavailable():
        pytest.skip(why)
    else:
        with PostgreSQL() as server:
            fill(server.url)
            yield server.url


def fill(text: str) -> None:
    found = journal_url(text)
    assert found is not None
    engine = open_engine(found)
    upgrade(engine, found)
    with engine.begin() as connection:
        connection.execute(DECISION.insert(), rows())
    engine.dispose()


@pytest.fixture
def ini(url: str, tmp_path: Path) -> Path:
    path = tmp_path / "new.ini"
    path.write_text(
        f"[policy.mailfrom]\nsoftfail = reject\n[exempt]\nsenders = file:{tmp_path}/senders\n[journal]\nurl = {url}\n"
    )
    (tmp_path / "senders").write_text("fail.example\n")
    return path


@pytest.mark.outside
def test_what_new_settings_would_have_done(run, ini: Path) -> None:
    done = run("config", "check", "--against", "journal", "-c", ini)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "57 recorded messages, 57 of them judged\n"
        "would refuse 2 more domains, 6 messages:\n"
        "  soft-0.example  3 messages  by [policy.mailfrom] softfail = reject (line 2)\n"
        "  soft-1.example  3 messages  by [policy.mailfrom] softfail = reject (line 2)\n"
        "would release 1 domain, 1 message:\n"
        "  fail.example  1 message  by [exempt] senders = fail.example (senders line 1)\n"
    )


@pytest.mark.outside
def test_for_programs_with_a_bound_and_further_back(run, ini: Path) -> None:
    arguments = ("config", "check", "--against", "journal", "-c", ini, "--json")
    done = run(*arguments, "--since", "60d", "--at-most", "2")
    found = json.loads(done.stdout)
    assert [each["domain"] for each in found["would_refuse"]] == [
        "soft-0.example",
        "soft-1.example",
        "soft-old.example",
    ]
    assert (found["messages"], done.returncode) == (58, 1)
    assert run(*arguments, "--since", "60d", "--at-most", "3").returncode == 0
    assert run(*arguments, "--since", "1m").returncode == 0


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("", os.EX_CONFIG, "[journal] url is empty, so no mail is recorded"),
        ("[policy]\nmode = perhaps\n", os.EX_CONFIG, "line 2: [policy] mode"),
        ("[journal]\nurl = sqlite:////nonexistent/journal.db\n", os.EX_UNAVAILABLE, "/nonexistent/journal.db: no such"),
        (
            "[journal]\nurl = postgresql+psycopg://u:secret@127.0.0.1:1/x\n",
            os.EX_UNAVAILABLE,
            "[journal] url = postgresql+psycopg://u:***@127.0.0.1:1/x: ",
        ),
    ],
)
def test_without_a_journal(run, tmp_path: Path, text: str, status: int, said: str) -> None:
    path = tmp_path / "new.ini"
    path.write_text(text)
    done = run("config", "check", "--against", "journal", "-c", path)
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--against", "journal", "--try"), "--try and --against do not go together"),
        (("--against", "journal", "--since", "week"), "'week' is not a time"),
        (("--against", "yesterday"), "'yesterday' is not 'journal'"),
        (("--against", "journal", "--at-most", "-1"), "-1"),
    ],
)
def test_wrong_usage(run, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    path = tmp_path / "new.ini"
    path.write_text("")
    done = run("config", "check", *options, "-c", path)
    assert done.returncode == os.EX_USAGE
    assert said in done.stderr
