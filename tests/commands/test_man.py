"""The manual pages name every command, option and key, and are sound roff."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from spfmilter import __version__
from spfmilter.cli import cli
from spfmilter.settings.schema import LATER, SECTIONS, key_of
from spfmilter.settings.values import to_ini
from spfmilter.template import PLACEHOLDERS
from tests.settings.test_shipped_file import DOCUMENTED

MAN = Path(__file__).parents[2] / "man"
PAGES = ["spfmilter.1", "spfmilter.ini.5"]


def source(page: str) -> str:
    return (MAN / page).read_text(encoding="utf-8").replace("\\-", "-")


def commands(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield " ".join([*names, name]), command


@pytest.mark.parametrize(("name", "command"), list(commands(cli)), ids=[name for name, _ in commands(cli)])
def test_every_command_and_option_stands_in_the_page(name, command) -> None:
    synopsis, _, text = source("spfmilter.1").partition(".SH DESCRIPTION")
    assert f"\n.B {name}\n" in synopsis
    assert f".TP\n.B {name}\n" in text
    usage = synopsis.partition(f"\n.B {name}\n")[2].partition(".YS")[0]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            assert re.search(rf"^\.\w+ .*\b{str(parameter.name).upper()}\b", usage, re.MULTILINE), "in the synopsis"
            continue
        longest = max(parameter.opts, key=len)
        assert re.search(rf"^\.\w+ .*{longest}\b", text, re.MULTILINE), "described"
        assert any(re.search(rf"(?:^|\s){option}(?:\s|$)", usage) for option in parameter.opts), "in the synopsis"


def described(option: str) -> str:
    """What the page says of an option, without the font requests."""
    options = source("spfmilter.1").partition(".SH OPTIONS")[2].partition(".SH SIGNALS")[0]
    found = re.search(rf"\n\.TP\n\.\w+ [^\n]*{option}\b[^\n]*\n(.*?)\n(?=\.TP\n|\Z)", options, re.DOTALL)
    assert found is not None, option
    words = re.sub(r"(?m)^\.[A-Z]+ ", "", found[1]).split()
    return re.sub(r" ([,.])(?= |$)", r"\1", " ".join(words))


def test_the_help_words_an_option_as_the_page_does() -> None:
    """A sentence that is all that the page says is that of ``--help``. The page may say more."""
    given = [p for _, command in commands(cli) for p in command.params if isinstance(p, click.Option)]
    options = {max(p.opts, key=len): p for p in given}
    helps = {option: {p.help for p in given if max(p.opts, key=len) == option} for option in options}
    assert len(options) > 20
    for option, parameter in options.items():
        text = described(option)
        if ". " not in text and "; by default" not in text and "default, " not in text and len(helps[option]) == 1:
            assert text == parameter.help, option
        if parameter.multiple:
            assert text.endswith("May be repeated."), option
            assert (parameter.help or "").endswith("May be repeated."), option


def test_the_page_names_no_option_that_there_is_not() -> None:
    known = {option for _, command in commands(cli) for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z][a-z0-9-]+", source("spfmilter.1"))) <= known | {"--help", "--version"}


def test_every_key_stands_in_its_page_with_its_default_and_whether_it_is_there_yet() -> None:
    listed = []
    section = ""
    for line in source("spfmilter.ini.5").splitlines():
        if header := re.fullmatch(r"\.SS \[(.*)\]", line):
            section = header[1]
        elif entry := re.fullmatch(r"\.B (\w+) =(?: (.+?))??( \*)?", line):
            listed.append((section, entry[1], entry[2] or "", bool(entry[3])))
    assert listed == [
        (section, key_of(model, name), to_ini(info.default), LATER in info.metadata)
        for section, (_, model) in SECTIONS.items()
        for name, info in model.model_fields.items()
    ]


def test_a_dagger_marks_each_key_of_which_the_ini_file_says_that_it_needs_a_restart() -> None:
    """Not those of [web], which is about another service."""
    marked = [
        (section.partition("]")[0], entry.split()[1])
        for section in source("spfmilter.ini.5").split("\n.SS [")[1:]
        for entry in section.split("\n.TP\n")[1:]
        if r"\(dg" in entry
    ]
    said = {place: re.sub(r"\s+", " ", " ".join(comment)) for place, (_, comment) in DOCUMENTED.items()}
    assert marked == [place for place, comment in said.items() if "needs a restart" in comment]


def test_every_placeholder_stands_there() -> None:
    assert re.findall(r"^\.BR \{(\w+)\}", source("spfmilter.ini.5"), re.MULTILINE) == list(PLACEHOLDERS)


@pytest.mark.parametrize("page", PAGES)
def test_the_heading_names_the_version(page) -> None:
    assert f'"spfmilter {__version__}"' in source(page).splitlines()[0]


@pytest.mark.outside
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_groff_has_no_complaint(page) -> None:
    done = subprocess.run(  # noqa: S603 - no shell, own file
        ["groff", "-man", "-ww", "-z", "-Tutf8", str(MAN / page)],  # noqa: S607 - wherever it is installed
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
