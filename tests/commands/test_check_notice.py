"""``spfmilter check`` shows the notice as each client reads it."""

import json
import os
import socket
from pathlib import Path

import pytest

from spfmilter.commands import postconf
from spfmilter.helplink.secretfile import load_secrets
from spfmilter.helplink.token import Signer
from spfmilter.language import available
from spfmilter.model import Result
from tests.commands.conftest import MESSAGE
from tests.values import PAGE_LANGUAGES

pytestmark = pytest.mark.outside

FAIL = [*MESSAGE, "alice@example.com"]
LINK = f"550-5.7.23 Help and current result ({PAGE_LANGUAGES}): "


def reply(done) -> list[str]:
    assert done.returncode == 0
    reply: list[str] = json.loads(done.stdout)["reply"]
    return reply


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ([], "Message refused: 203.0.113.7 is not in the trusted sender list of example.com"),
        (["--smtputf8"], "郵件遭拒收：伺服器 203.0.113.7 不在 example.com 的信任發送列表中"),
        (["--language", "zh-Hans"], "邮件被拒收：服务器 203.0.113.7 不在 example.com 的信任发送列表中"),
        (["--language", "ZH-HANT"], "郵件遭拒收：伺服器 203.0.113.7 不在 example.com 的信任發送列表中"),
        (
            ["--language", "en", "--smtputf8"],
            "Message refused: 203.0.113.7 is not in the trusted sender list of example.com",
        ),
    ],
)
def test_in_each_language(run, write, options, first) -> None:
    path = write("[reply]\nlanguages = zh-Hant, en\n")
    assert reply(run("check", "--json", "-c", path, *options, *FAIL))[0].startswith(f"550-5.7.23 {first}")


POSTCONF = {
    "named": "#!/bin/sh\n[ \"$*\" = '-hx myhostname' ] && echo mx.postfix.example",
    "without a main.cf": "#!/bin/sh\necho 'postconf: fatal: open /etc/postfix/main.cf' >&2; exit 1",
    "not a program": "\0",
    "hanging": "#!/bin/sh\nexec sleep 3600",
}


@pytest.mark.parametrize("kind", POSTCONF)
def test_the_name_in_the_notice_is_that_of_postfix(run, write, tmp_path, monkeypatch, kind: str) -> None:
    """The daemon has it from the MTA. A Postfix that does not tell it neither fails nor delays the command."""
    (tmp_path / "postconf").write_text(POSTCONF[kind])
    (tmp_path / "postconf").chmod(0o755)
    monkeypatch.setattr(postconf, "_PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(postconf, "_NAME_TIME", 0.1 if kind == "hanging" else 60.0)
    path = write()
    expected = "mx.postfix.example" if kind == "named" else socket.gethostname()
    said = reply(run("check", "--json", "-c", path, *FAIL))
    assert said[-1].endswith(f"postmaster@{expected}")
    said = reply(run("check", "--json", "-c", path, *FAIL, "--hostname", "mx.given.example"))
    assert said[-1].endswith("postmaster@mx.given.example")


def test_a_language_without_texts_is_wrong_usage(run, write) -> None:
    done = run("check", "-c", write(), "--language", "tlh", *FAIL)
    assert done.returncode == 64
    assert "zh-hant" in done.stderr, "click says them in small letters"
    assert f"[{'|'.join(available())}]" in run("check", "--help").stdout, "but the help as the INI file has them"


def test_the_link_is_signed_with_the_daemons_secret(run, write, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    path = write(f"[reply]\nhelp_url = https://mx.example.net/{{token}}\n[web]\nsecret_file = {secret}\n")
    secrets = load_secrets(secret)
    done = run("check", "--json", "-c", path, *FAIL)
    token = reply(done)[1].removeprefix(f"{LINK}https://mx.example.net/")
    assert Signer(secrets).read(token, max_age=60, now=0).result is Result.FAIL
    assert not done.stderr


@pytest.mark.parametrize("content", [None, "short\n"])
def test_without_its_secret_the_link_is_shown_unsigned_and_no_secret_is_made(run, write, tmp_path, content) -> None:
    """A secret that root makes here could not be read by the daemon."""
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_text(content)
        secret.chmod(0o600)
    path = write(f"[reply]\nhelp_url = https://mx.example.net/{{token}}\n[web]\nsecret_file = {secret}\n")
    done = run("check", "--json", "-c", path, *FAIL)
    assert reply(done)[1] == f"{LINK}https://mx.example.net/{{token}}"
    assert str(secret) in done.stderr
    assert secret.exists() is (content is not None)
