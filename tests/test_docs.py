"""The documentation speaks of what is there: commands, files, functions, log keys and events, decisions, links."""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import click
import pytest

from spfmilter.cli import cli
from spfmilter.commands import mta
from spfmilter.model import CONDITIONS, Condition, Disposition, Identity, Result, SkipReason
from spfmilter.reply import Extras, reply_for
from spfmilter.settings import Settings, environment, parse, schema
from spfmilter.settings.sockets import socket_address
from tests import walls
from tests.source import modules, nodes, tree
from tests.values import CASE, action, check, facts, verdict

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = sorted([*ROOT.glob("[A-Z]*.md"), *DOCS.rglob("*.md")])
SOURCES = sorted((ROOT / "spfmilter").rglob("*.py"))


INSTALL = DOCS / "install.md"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [ROOT / "README.md", INSTALL], ids=name_of)
def test_monitor_mode_comes_first(page: Path) -> None:
    """A new administrator copies the first settings that they see."""
    text = page.read_text()
    assert -1 < text.find("mode = monitor") < text.find("mode = enforce")


@pytest.mark.parametrize("page", [ROOT / "README.md", INSTALL], ids=name_of)
def test_an_installation_is_from_fresh_lists_as_root(page: Path) -> None:
    """A new host has no package lists, and a newcomer asks who runs the commands."""
    install = page.read_text().partition("# Install\n")[2]
    assert -1 < install.find("as root") < install.find("apt-get update\n") < install.find("apt-get install ")


def test_the_readme_installs_in_two_commands_and_names_the_page_of_all_systems() -> None:
    install = (ROOT / "README.md").read_text().partition("## Install\n")[2].partition("\n## ")[0]
    first = re.findall(r"(?ms)^```sh\n(.*?)^```", install)[0]
    assert len(first.splitlines()) == 2
    assert "(docs/install.md)" in install


def test_every_system_of_the_table_has_its_commands() -> None:
    """Two commands, but for NixOS, which has none, and the sources, which have no package."""
    text = INSTALL.read_text()
    table, _, rest = text.partition("\n## ")
    named = set(re.findall(r"\]\(#([a-z0-9-]+)\)", table)) - {"first-steps"}
    sections = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-"): body
        for title, body in re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", f"## {rest}")
    }
    assert len(named) == 8
    assert named <= set(sections)
    for name in named - {"from-source", "nixos"}:
        [commands, *_] = re.findall(r"(?ms)^```sh\n(.*?)^```", sections[name])
        assert len(commands.splitlines()) <= 2, name


def test_the_first_steps_say_how_to_send_a_test_message() -> None:
    steps = INSTALL.read_text().partition("## First steps\n")[2]
    assert -1 < steps.find("spfmilter attach --apply") < steps.find("swaks --server ") < steps.find("would=reject")


def test_what_is_installed_from_source_can_be_removed() -> None:
    """Each file that is put somewhere stands among those to remove, or lies in a folder that stands there."""
    install, _, removed = INSTALL.read_text().partition("### From source, by hand\n")
    installed = [f"{folder}/{file}" for folder, file in re.findall(r"install -D -m \d+ -t (\S+) \S*/(\S+)", install)]
    installed += re.findall(r"(?:venv|ln -s \S+) (/\S+)", install)
    gone = [path for line in re.findall(r"(?m)^ *rm (.*)$", removed) for path in line.split() if path.startswith("/")]
    assert len(installed) > 7
    assert [path for path in installed if not any(_covers(path, at) for at in gone)] == []


def _covers(path: str, removed: str) -> bool:
    return path.startswith(removed.removesuffix("*") if removed.endswith("*") else f"{removed}/") or path == removed


def code(page: Path) -> list[str]:
    """The pieces of a page that are set as code: blocks line by line, and spans."""
    text = page.read_text()
    blocks = re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```$", text)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^ *```.*?^ *```$", "", text))
    return [line.strip() for block in blocks for line in block.splitlines()] + spans


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    named = {found[1] for piece in code(page) if (found := re.match(r"make ([a-z][a-z-]*)", piece))}
    assert named <= targets


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(code(ROOT / "README.md"))


def commands_in(page: Path) -> Iterator[list[str]]:
    for piece in code(page):
        for call in re.split(r"&&|;", piece):
            words = call.partition("#")[0].split()
            if words and words[0] == "spfmilter" and len(words) > 1:
                yield words[1:]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_exist(page: Path) -> None:
    for words in commands_in(page):
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"spfmilter {' '.join(words)}"
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, command.name


# -- files, functions, links -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_exist(page: Path) -> None:
    """A name with a slash or with a known ending, below the root or below spfmilter/."""
    for piece in code(page):
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", piece) and re.search(
            r"\.(py|md|sh|service)$|^(tests|conf|tools)/|/$", piece
        ):
            assert any((base / piece).exists() for base in (ROOT, ROOT / "spfmilter", page.parent)), piece


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            other = page.parent / path if path else page
            assert other.exists(), target
            headings = re.findall(r"(?m)^#+ (.*)$", other.read_text()) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, (
                target
            )


@cache
def definitions() -> dict[str, set[str]]:
    """The functions and classes of every module (by its last name) and of every class."""
    found: dict[str, set[str]] = {}
    for name in modules():
        module = name.rpartition(".")[2] or "spfmilter"
        for node in nodes(name):
            if isinstance(node, ast.Module | ast.ClassDef):
                inside = {
                    n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                }
                found.setdefault(module if isinstance(node, ast.Module) else node.name, set()).update(inside)
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_functions_exist(page: Path) -> None:
    """``module.function()`` or ``Class.method()``, unless it is Python's own."""
    for piece in code(page):
        found = re.fullmatch(r"(\w+)\.(\w+)\(\)", piece)
        if found is not None:
            owner, function = found.groups()
            assert owner in sys.stdlib_module_names or function in definitions().get(owner, set()), piece


def test_flow_names_every_part_of_the_way() -> None:
    """What a message passes through is on the page, so that a new module is not forgotten there."""
    text = (DOCS / "flow.md").read_text()
    unnamed = {"__init__.py", "__main__.py", "model.py"}
    parts = [s.name for s in SOURCES if s.name not in unnamed and s.parts[-2] in {"spfmilter", "milter", "evaluation"}]
    assert [part for part in parts if part not in text] == []


def test_the_layers_in_the_architecture_are_those_of_the_walls() -> None:
    """After a change of the walls or of a package's first line: ``python -m tests.walls``."""
    text = walls.PAGE.read_text()
    assert "| `policy` |" in text
    assert walls.with_layers(text) == text


def test_every_decision_is_listed() -> None:
    notes = {path.name for path in DECISIONS.glob("0*.md")}
    listed = re.findall(r"\((0[^)]+\.md)\)", (DECISIONS / "README.md").read_text())
    assert sorted(listed) == sorted(notes)


@pytest.mark.parametrize("path", sorted(DECISIONS.glob("0*.md")), ids=name_of)
def test_a_decision_carries_its_number(path: Path) -> None:
    assert path.read_text().startswith(f"# {path.name[:4]}: ")


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_pages_that_the_code_names_exist(source: Path) -> None:
    named = re.findall(r"docs/[\w./-]+\.md", source.read_text())
    assert [page for page in named if not (ROOT / page).is_file()] == []


# -- the log -----------------------------------------------------------------------------------------------------------


def keys_set_in(function: ast.FunctionDef) -> Iterator[str]:
    """The keys that a function puts into a dictionary; of ``f"spf_{identity}"`` there are two."""
    for node in ast.walk(function):
        keys: list[ast.expr | None] = []
        if isinstance(node, ast.Dict):
            keys = list(node.keys)
        elif isinstance(node, ast.Assign):
            keys = [target.slice for target in node.targets if isinstance(target, ast.Subscript)]
        for key in keys:
            if isinstance(key, ast.Constant):
                yield str(key.value)
            elif isinstance(key, ast.JoinedStr):
                stem = "".join(str(part.value) for part in key.values if isinstance(part, ast.Constant))
                yield from (stem + identity for identity in Identity)


def functions_of_a_transaction() -> list[ast.FunctionDef]:
    known = {node.name: node for node in tree("observe.log").body if isinstance(node, ast.FunctionDef)}
    first = known["transaction_fields"]
    called = {n.func.id for n in ast.walk(first) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return [first, *(known[name] for name in called if name in known)]


def rows(page: str, heading: str) -> list[str]:
    """The first column of the table below a heading."""
    _, _, rest = (DOCS / page).read_text().partition(f"\n## {heading}\n")
    section = rest.partition("\n## ")[0]
    return re.findall(r"(?m)^\| `([^`]+)` \|", section)


def test_every_key_of_a_transaction_is_documented() -> None:
    keys = {key for function in functions_of_a_transaction() for key in keys_set_in(function)}
    assert len(keys) > 15
    assert set(rows("log.md", "`message`")) == keys


def test_every_event_is_documented() -> None:
    """Each literal that is given to debug, info, warning or error; of a long one the beginning will do."""
    events = set()
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if function in {"debug", "info", "warning", "error", "_warn"}:
                    events.add(str(node.args[0].value))
    assert len(events) > 3
    documented = tuple(row.removesuffix("...").strip() for row in rows("log.md", "Other events"))
    assert {event for event in events if not event.startswith(documented)} == set()


# Variables of others, and a mistake, in the decision on the names.
NO_SETTINGS = {"VERSION", "SERVICE_HOST", "PORT", "WEB_PORT", "WEB_PORT_8891_TCP", "DOMAIN_"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_fields_of_the_journal_and_variables_that_are_named_exist(page: Path) -> None:
    """``SPFMILTER_`` and a key of a message, as the log's journal target writes them; or a setting's variable."""
    keys = {key.upper() for function in functions_of_a_transaction() for key in keys_set_in(function)}
    keys |= {
        environment.variable(section, schema.key_of(model, attribute)).removeprefix("SPFMILTER_")
        for section, (_, model) in schema.SECTIONS.items()
        for attribute in model.model_fields
    }
    named = set(re.findall(r"SPFMILTER_([A-Z0-9_]+)", page.read_text()))
    assert named - (NO_SETTINGS if page.name == "0074-containers.md" else set()) <= keys


# What the administrator can do is in another key, or there is nothing to do.
WITHOUT_FIX = {
    "cannot start": "the reason says it",
    "configuration problem": "the problem says it",
    "setting without effect": "the setting says it",
    "unexpected output": "only the text tells",
    "non-UTF-8 value from the MTA, ignored": "a client chose it",
    "{} not finished, killed": "at the end of the daemon",
    "journal rows lost with a process": "why the process exited is logged beside it",
}


def warnings_and_errors() -> Iterator[tuple[str, bool]]:
    """Each literal that is given to warning or error, and whether the call has ``fix``."""
    for module in modules():
        for node in nodes(module):
            if isinstance(node, ast.Call) and node.args:
                function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                event = node.args[0]
                if isinstance(event, ast.JoinedStr):
                    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in event.values)
                elif isinstance(event, ast.Constant):
                    text = str(event.value)
                else:
                    continue
                if function in {"warning", "error", "_warn"}:
                    yield text, any(keyword.arg == "fix" for keyword in node.keywords)


def test_every_warning_and_error_says_what_to_do() -> None:
    found = list(warnings_and_errors())
    assert len(found) > 30
    assert {event for event, has_fix in found if not has_fix and event not in WITHOUT_FIX} == set()
    assert {event for event, _ in found} >= set(WITHOUT_FIX)


# -- sockets -----------------------------------------------------------------------------------------------------------


def test_the_sockets_by_hand_are_those_that_attach_writes() -> None:
    text = (DOCS / "postfix.md").read_text().partition("\n| `[milter] socket` | `smtpd_milters` |\n")[2]
    table = re.findall(r"(?m)^\| `([^`]+)` \| `([^`]+)`", text.partition("\n\n")[0])
    assert [ours.partition(":")[0] for ours, _ in table] == ["inet", "inet6", "unix", "unix"]
    for ours, theirs in table:
        chroot = "/var/spool/postfix/" in ours
        assert mta.postfix_socket(socket_address(ours), replace(mta.NO_POSTFIX, chroot=chroot)) == theirs


# -- the policy --------------------------------------------------------------------------------------------------------


def test_the_tables_of_the_policy_are_the_defaults() -> None:
    text = (DOCS / "policy.md").read_text()
    settings = Settings()
    for result in Result:
        found = re.search(rf"(?m)^\| `{result}` \|.*\| (\w+) \| (\w+) \|$", text)
        assert found is not None, result
        defaults = (str(settings.mailfrom.entry(result)), str(settings.helo.entry(result)))
        assert found.groups() == defaults, result


def test_the_policy_names_every_disposition_from_mild_to_severe() -> None:
    assert rows("policy.md", "Dispositions") == list(Disposition)


def test_the_policy_names_every_condition_with_its_result() -> None:
    text = (DOCS / "policy.md").read_text()
    assert re.findall(r"(?m)^\| `(\w+)` \| `(\w+)` \| ", text) == [(c, r) for r, c in CONDITIONS.items()]


@pytest.mark.parametrize("page", ["glossary.md", "log.md", "notice.md"])
def test_other_pages_name_every_condition(page: str) -> None:
    text = (DOCS / page).read_text()
    assert [condition for condition in Condition if f"`{condition}`" not in text] == []


def test_the_policy_names_every_exemption() -> None:
    assert set(rows("policy.md", "Exemptions")) == set(SkipReason)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_that_are_named_exist(page: Path) -> None:
    """``[section] key``, as a whole or the beginning of a line of the INI file."""
    for piece in code(page):
        found = re.match(r"\[([a-z.]+)\](?: ([a-z0-9_]+))?", piece)
        if found is not None:
            section, key = found.groups()
            assert section in schema.SECTIONS, piece
            model = schema.SECTIONS[section][1]
            assert key is None or key in {schema.key_of(model, name) for name in model.model_fields}, piece


def test_the_reply_in_the_readme_is_the_one_that_is_sent() -> None:
    fail = verdict(Result.FAIL, check=check(local="alice", as_sent="alice@example.com"))
    sent = reply_for(action(Disposition.REJECT, fail), facts("<alice@example.com>"), Settings(), Extras(case=CASE))
    assert f"```\n{sent}\n```" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("tag", ["en", "zh-Hans", "zh-Hant"])
def test_the_notices_in_the_comparison_are_those_that_are_sent(tag: str) -> None:
    fail = verdict(Result.FAIL, check=check(local="alice", domain="mail163.example", as_sent="alice@mail163.example"))
    chosen = parse(f"[reply]\nlanguages = {tag}\n")
    link = Extras(link="https://mx.example.net/spf/MWcFlMs", case=CASE)
    sent = reply_for(action(Disposition.REJECT, fail), facts("<alice@mail163.example>", smtputf8=True), chosen, link)
    assert f"```\n{sent}\n```" in (DOCS / "notice.md").read_text()


def test_what_the_comparison_claims_of_the_notice_stands_in_it() -> None:
    """Each piece of code in our row of the table."""
    fail = verdict(Result.FAIL, check=check(local="alice", domain="mail163.example", as_sent="alice@mail163.example"))
    extras = Extras(link="https://mx.example.net/spf/MWcFlMs", case=CASE)
    sent = str(reply_for(action(Disposition.REJECT, fail), facts("<alice@mail163.example>"), Settings(), extras))
    [row] = re.findall(r"^\| spfmilter \| 550 .*", (DOCS / "notice.md").read_text(), re.MULTILINE)
    claimed = re.findall(r"`([^`]+)`", row)
    assert len(claimed) == 7
    assert [piece for piece in claimed if piece not in sent] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_speaks_of_one_machine(page: Path) -> None:
    assert re.findall(r"/(?:home|root|work|Users)/\S*", page.read_text()) == []
