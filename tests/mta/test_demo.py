"""What `make demo` runs comes out as it must, and stops what it started however it ends."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import nsd, postfix
from lab.processes import patience, until

DEMO = Path(__file__).parents[2] / "demo" / "demo.py"

pytestmark = pytest.mark.skipif(bool(postfix.unavailable() or nsd.unavailable()), reason="no Postfix or NSD here")


@pytest.fixture(autouse=True)
def demo_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo is no package: its modules are found where a script's are."""
    monkeypatch.syspath_prepend(str(DEMO.parent))


@contextmanager
def playing(**environment: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """The demo, and the file that it writes to; when it has ended, none of its temporary folders must be left.

    Postfix's own users may pass through the folder that holds them, unlike through pytest's.
    """
    folder = Path(tempfile.mkdtemp(prefix="lab-demo-"))
    folder.chmod(0o755)
    shown = folder / "shown"
    with shown.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(DEMO)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "TMPDIR": str(folder), **environment},
        )
    try:
        yield process, shown
        assert list(folder.iterdir()) == [shown], "no folder is left"
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30 * patience())
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def text() -> str:
    """What the demo shows where it ends well."""
    with playing(KEEP="") as (process, shown):
        assert process.wait(60 * patience()) == 0, shown.read_text()
        return shown.read_text()


def test_every_scene_is_shown_and_ends_well(text: str) -> None:
    assert re.findall(r"\n== (\d+)\.", text) == [str(number) for number in range(1, 15)]
    first = "< 550-5.7.23 Message refused: 203.0.113.7 is not in the trusted sender list of mail163.example "
    assert f'{first}(SPF check: fail, matched "-all")' in text
    assert not re.search(r"^ *✘", text, re.MULTILINE), "in the tree of spfmilter check, a fail has one as well"
    assert "\x1b" not in text
    assert "make demo KEEP=1" in text


def test_the_whole_story_of_the_refused_sender_is_told(text: str) -> None:
    """The bounce with notice and link, the page behind it, in her language, the record corrected, delivered."""
    steps = (
        "This is the mail system at host www.shop.example.",
        "said: 550-5.7.23 Message",
        "http://127.0.0.1:",
        "✔ only this server is let in, only for this domain",
        "title: Your message was refused",
        "now: Checked again just now: still not accepted SPF fail, matched -all",
        "简体中文: 您的邮件被拒收",
        "繁體中文: 您的郵件被拒收",
        "550-5.7.23 邮件被拒收：服务器 203.0.113.7 不在 mail163.example 的信任发送列表中",
        'mail163.example. TXT "v=spf1 include:spf.mail163.example ip4:203.0.113.7 -all"',
        "title: It passes now. Please send your message again.",
        "✔ the same message from the same server is delivered",
    )
    places = [text.find(step, text.index("== 3.")) for step in steps]
    assert -1 not in places
    assert places == sorted(places)


def test_no_check_passes_where_nothing_came() -> None:
    story = importlib.import_module("story")
    nothing = story.Outcome(code=0, lines=[""], message=None, refused={})
    scenes = (story.LISTED, story.REFUSED, *story.OTHERS)
    passed = [sentence for scene in scenes for sentence, looks in scene.checks.items() if looks(nothing)]
    assert passed == []


def test_a_failed_check_is_shown_and_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    screen = importlib.import_module("screen").Screen()
    screen.open("A scene", "Something happens.")
    screen.check("it is so", true=True)
    screen.check("and so", true=False)
    screen.close()
    assert screen.failed == ["A scene: failed: and so"]
    assert "✘ and so" in capsys.readouterr().out


def test_a_demo_that_is_kept_serves_the_page_and_stops_its_servers_at_sigterm() -> None:
    with playing(KEEP="1") as (process, shown):
        until(lambda: "telnet 127.0.0.1" in shown.read_text() or process.poll() is not None, 60, shown.read_text)
        [link] = re.findall(r"can be opened in a browser now:\n\n(\S+)\n", shown.read_text())
        assert importlib.import_module("page").read(link).title == "It passes now. Please send your message again."
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * patience()) == 0, shown.read_text()
