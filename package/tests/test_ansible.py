"""The Ansible role on a mail server, with the Ansible of its Debian.

On Debian 13 it installs packages. On Debian 12 the program is there already, from source.
"""

import json
import re
import subprocess
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from package import debian13, debsource
from package.roots import BOOTABLE, Booted, Root
from package.sources import ROOT, export
from package.tests import source
from package.tests.debian import FORGED, GENUINE, Server, prepare

ROLES = ROOT / "packaging" / "ansible"
PLAY = "- hosts: all\n  roles: [spfmilter]\n"
FOLDER = "/root/ansible"
INI = "/etc/spfmilter/conf.d/50-ansible.ini"
SETTINGS = {"dns": {"nameservers": "127.0.0.1:5353"}}
OTHER_SOCKET = {**SETTINGS, "milter": {"socket": "inet:8899@127.0.0.1"}}


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of the role did."""

    text: str
    status: int

    @property
    def changed(self) -> list[str]:
        """The tasks that have changed something."""
        parts = re.split(r"(?m)^[A-Z ]+ (?:\[(?:spfmilter : )?([^\]]*)\] )?\*+$", self.text)
        tasks = zip(parts[1::2], parts[2::2], strict=True)
        return [name for name, output in tasks if re.search(r"(?m)^changed: ", output)]


@dataclass(frozen=True, slots=True)
class Controller:
    """A mail server that runs the role on itself."""

    server: Server
    always: Mapping[str, Any]  # the variables of every run

    def run(self, *options: str, fails: bool = False, **variables: object) -> Run:
        """Run the role with variables, whose names are those of the role without its prefix."""
        given = {"settings": SETTINGS, **self.always, **variables}
        named = json.dumps({f"spfmilter_{name}": value for name, value in given.items()})
        self.server.booted.run("sh", "-c", f"cat >{FOLDER}/vars.json", input=named)
        done = self.server.booted.run(
            "env", "ANSIBLE_NOCOLOR=1", f"ANSIBLE_ROLES_PATH={FOLDER}/roles", "ansible-playbook",
            "--diff", "-c", "local", "-i", "localhost,", "-e", f"@{FOLDER}/vars.json", *options, f"{FOLDER}/play.yml",
            check=False, timeout=600,
        )  # fmt: skip
        ran = Run(done.stdout + done.stderr, done.returncode)
        assert (ran.status != 0) == fails, ran.text
        return ran

    def reloads_of_postfix(self) -> int:
        """Return how often Postfix was reloaded."""
        return self.server.sh("journalctl --no-pager").count("refreshing the Postfix mail system")


@pytest.fixture(scope="module")
def prepared(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Root, Mapping[str, Any]]]:
    """A mail server with Ansible, before the role; and how the role gets the program there."""
    place = tmp_path_factory.mktemp(f"ansible-{suite}")
    tools = (*BOOTABLE, "ansible-core", "postfix", "python3", "python3-apt", "python3-dnspython")
    packages: list[Path] = []
    if suite == debian13.SUITE:
        sources = export(place / "sources" / "spfmilter")
        depends = debsource.needed(sources.tree, debian13.RELEASE, "Depends")
        builder = debian13.BUILDER.make(sources.tree, place / "builder")
        packages = debian13.build_in(builder, sources, place / "dist", checked=False)[:1]
        builder.remove()
        root = Root.make(suite, place / "root", (*tools, *depends))
    else:
        root = Root.make(suite, place / "root", (*tools, *source.NEEDS))
        source.install(root)
    prepare(root, packages)
    root.put(ROLES, FOLDER)
    (root.path / FOLDER.lstrip("/") / "play.yml").write_text(PLAY)
    by_package = {"packages": [f"/root/{path.name}" for path in packages]}
    yield root, by_package if packages else {"install_method": "none"}
    root.remove()


@pytest.fixture
def controller(prepared: tuple[Root, Mapping[str, Any]], tmp_path: Path) -> Iterator[Controller]:
    root, always = prepared
    copy = root.copy(tmp_path / "root")
    with copy.boot() as booted:
        yield Controller(served(booted), always)
    copy.remove()


def served(booted: Booted) -> Server:
    server = Server(booted)
    server.serve_dns()
    return server


def test_a_second_run_changes_nothing(controller: Controller) -> None:
    server = controller.server
    planned = controller.run("--check")
    assert "Write the settings" in planned.changed
    assert "+mode = monitor" in planned.text
    assert server.sh("ls /etc/spfmilter/conf.d", check=False).startswith("ls: "), "check mode writes nothing"

    first = controller.run()
    assert {"Write the settings", "Start the daemon", "Attach Postfix"} <= set(first.changed)
    assert "'setting': 'smtpd_milters'" in first.text.replace('"', "'")
    assert (server.state(), server.enabled()) == ("active", "enabled")
    assert server.answer(FORGED).startswith("250"), "monitor mode refuses nothing"
    assert "would=reject" in server.sh("journalctl -u spfmilter")

    before = server.main_process(), controller.reloads_of_postfix()
    assert before[1] == 1
    assert controller.run().changed == []
    assert controller.run("--check").changed == []
    assert (server.main_process(), controller.reloads_of_postfix()) == before


def test_each_change_takes_what_it_needs_and_no_more(controller: Controller) -> None:
    server = controller.server
    controller.run()
    process = server.main_process()
    assert controller.run(mode="enforce").changed == ["Write the settings", "Reload the daemon"]
    assert server.main_process() == process
    assert server.answer(FORGED).startswith("550")
    assert server.answer(GENUINE).startswith("250")

    lists = {"partners.txt": ["203.0.113.0/24"]}
    exempt = {**SETTINGS, "exempt": {"networks": ["::1", "file:/etc/spfmilter/partners.txt"]}}
    ran = controller.run(mode="enforce", lists=lists, settings=exempt)
    assert ran.changed == ["Write the lists", "Write the settings", "Reload the daemon"]
    assert server.answer(FORGED).startswith("250"), "a partner's network"

    moved = controller.run("--check", mode="enforce", settings=OTHER_SOCKET)
    assert moved.changed == ["Write the settings"]
    ran = controller.run(mode="enforce", settings=OTHER_SOCKET)
    assert ran.changed == ["Write the settings", "Restart the daemon", "Attach Postfix"]
    assert server.main_process() != process
    assert server.sh("postconf -hx smtpd_milters").strip() == "inet:127.0.0.1:8899"
    assert server.answer(FORGED).startswith("550")
    assert controller.run(mode="enforce", settings=OTHER_SOCKET).changed == []


def test_a_run_that_was_broken_off_is_finished_by_the_next(controller: Controller) -> None:
    """The file is as the role would write it, and the daemon has not read it."""
    server = controller.server
    controller.run()
    server.sh(f"sed -i 's/^mode = monitor$/mode = enforce/' {INI}")
    assert controller.run(mode="enforce").changed == ["Reload the daemon"]
    assert server.answer(FORGED).startswith("550")


def test_wrong_settings_change_nothing(controller: Controller) -> None:
    server = controller.server
    controller.run()
    before = server.sh(f"cat {INI}")
    ran = controller.run(mode="enforce", settings={**SETTINGS, "policy.mailfrom": {"softfail": "bounce"}}, fails=True)
    assert "softfail" in ran.text
    assert server.sh(f"cat {INI}") == before
    server.sh("systemctl restart spfmilter")
    assert server.answer(FORGED).startswith("250")


def test_removal_detaches_first(controller: Controller) -> None:
    server = controller.server
    main = server.sh("cat /etc/postfix/main.cf")
    controller.run(mode="enforce")
    assert server.answer(FORGED).startswith("550")
    assert "Detach Postfix" in controller.run("--check", state="absent", purge=True).changed
    assert server.answer(FORGED).startswith("550"), "check mode removes nothing"
    ran = controller.run(state="absent", purge=True)
    assert ran.changed.index("Detach Postfix") < ran.changed.index("Stop the services")
    assert server.sh("cat /etc/postfix/main.cf") == main
    assert server.answer(FORGED).startswith("250")
    assert server.sh("ls -d /etc/spfmilter /var/lib/spfmilter", check=False).count("No such file") == 2
    assert controller.run(state="absent", purge=True).changed == []


def test_ansible_lint_finds_nothing(tmp_path: Path) -> None:
    """At its strictest profile. From PyPI, in an environment of its own."""
    folder = ROOT / ".cache" / "ansible"
    if not (folder / "bin" / "ansible-lint").exists():
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "ansible-lint"], check=True)
    done = subprocess.run(
        [folder / "bin" / "ansible-lint", "--offline", "--nocolor", "--profile", "production", "--strict", ROLES],
        env={"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
