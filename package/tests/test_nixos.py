"""The NixOS module and package, as far as a Nix without nixpkgs and without a store can judge them.

`nixos.nix` stands in for nixpkgs. The test in virtual machines, packaging/nixos/vm.nix, needs a Nix that can build.
"""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from spfmilter import __version__
from spfmilter.settings import parse

ROOT = Path(__file__).parents[2]
NIXOS = ROOT / "packaging" / "nixos"
UNITS = sorted((ROOT / "systemd").glob("*.service"))

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(shutil.which("nix-instantiate") is None, reason="nix-bin is missing: tools/setup.sh packages"),
]


def nix(*arguments: str) -> str:
    """Run Nix without a store: what would write into one fails."""
    command = ["nix-instantiate", "--store", "dummy://", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def evaluated(options: str) -> dict:
    """What the module makes of options, which are written in Nix."""
    stub = Path(__file__).with_name("nixos.nix")
    found: dict = json.loads(
        nix("--eval", "--json", "--strict", str(stub), "--arg", "folder", str(NIXOS), "--arg", "options", options)
    )
    return found


@pytest.mark.parametrize("file", sorted(NIXOS.glob("*.nix")), ids=lambda file: file.name)
def test_nix_can_read_it(file: Path) -> None:
    nix("--parse", str(file))


def test_the_package_needs_what_the_project_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    def names(requirements: list[str]) -> list[str]:
        return [re.split(r"[\[><=]", requirement)[0].lower() for requirement in requirements]

    package = evaluated("{ }")["package"]
    assert package["version"] == __version__
    assert package["build-system"] == names(project["build-system"]["requires"])
    assert package["dependencies"] == names(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    assert package["optional-dependencies"] == {extra: names(extras[extra]) for extra in extras}


def test_nothing_is_done_unless_it_is_enabled() -> None:
    assert evaluated('{ settings.policy.mode = "monitor"; }')["config"] == {}


def test_each_option_is_described() -> None:
    assert evaluated("{ }")["described"]


SETTINGS = """{
  policy = { mode = "monitor"; reject_at = "rcpt"; yield_to_dmarc = false; };
  "policy.mailfrom".softfail = "tag";
  exempt.networks = [ "192.0.2.0/24" "2001:db8::/32" ];
  dns.lookup_limit = 9;
  reply.fail = "first line\\nsecond line";
}"""


def test_the_settings_become_an_ini_file_that_the_daemon_reads() -> None:
    text = evaluated(f"{{ enable = true; settings = {SETTINGS}; }}")["text"]
    settings = parse(text)
    assert settings.policy.mode == "monitor"
    assert settings.policy.yield_to_dmarc is False
    assert [str(network) for network in settings.exempt.networks] == ["192.0.2.0/24", "2001:db8::/32"]
    assert settings.dns.lookup_limit == 9


def test_with_socket_activation_the_daemon_takes_the_socket_of_systemd() -> None:
    found = evaluated("{ enable = true; socketActivation = true; attachPostfix = true; settings.milter.workers = 2; }")
    assert "[milter]\nsocket = systemd\nworkers = 2\n" in found["text"]
    assert found["config"]["systemd"]["sockets"]["spfmilter"] == {"wantedBy": ["sockets.target"]}
    listens = re.findall(r"(?m)^ListenStream=(\S+)", (ROOT / "systemd" / "spfmilter.socket").read_text())
    assert found["config"]["services"]["postfix"]["settings"]["main"]["smtpd_milters"] == [f"inet:{listens[0]}"]


@pytest.mark.parametrize(
    ("socket", "address"),
    [
        ("inet:9000@192.0.2.1", "inet:192.0.2.1:9000"),
        ("inet6:8890@::1", "inet:[::1]:8890"),
        ("unix:/run/spfmilter/spfmilter.sock", None),
    ],
)
def test_postfix_is_given_the_address_of_the_socket(socket: str, address: str | None) -> None:
    options = f'enable = true; settings.milter.socket = "{socket}";'
    (assertion,) = evaluated(f"{{ {options} }}")["config"]["assertions"]
    assert assertion["assertion"], "without Postfix any socket will do"
    if address is None:
        # the address is never built; the assertion ends the build with its message
        without = evaluated(f"{{ {options} attachPostfix = true; }}")["config"]
        assert not without["assertions"][0]["assertion"]
    else:
        found = evaluated(f"{{ {options} attachPostfix = true; }}")["config"]
        assert found["assertions"][0]["assertion"]
        assert found["services"]["postfix"]["settings"]["main"] == {"smtpd_milters": [address]}


def test_a_secret_is_linked_and_not_copied() -> None:
    found = evaluated('{ enable = true; secretsFile = "/run/secrets/spfmilter.ini"; }')
    assert found["config"]["systemd"]["tmpfiles"]["rules"][-1].endswith(
        "/etc/spfmilter/conf.d/90-secrets.ini - - - - /run/secrets/spfmilter.ini"
    )


def test_extras_are_installed_where_they_are_used() -> None:
    assert "starlette" not in evaluated("{ enable = true; }")["installed"]
    installed = evaluated("{ enable = true; web.enable = true; redis = true; postgresql = true; }")["installed"]
    assert {"starlette", "redis", "psycopg"} <= set(installed)


def test_the_units_are_the_shipped_ones() -> None:
    """So their hardening is the same. What the module adds to them says nothing about it."""
    found = evaluated("{ enable = true; web.enable = true; requests.enable = true; socketActivation = true; }")
    assert found["config"]["systemd"]["packages"] == ["/nix/store/spfmilter"]
    for kind in ("services", "sockets", "timers"):
        for name, unit in found["config"]["systemd"][kind].items():
            assert set(unit) <= {"wantedBy", "reloadTriggers", "restartTriggers"}, name


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_package_gives_the_units_paths_that_nixos_has(unit: Path, tmp_path: Path) -> None:
    """By the command of package.nix, on a copy."""
    script = evaluated("{ }")["package"]["postInstall"]
    edits = script[script.index("sed -i") :]
    copies = tmp_path / "lib" / "systemd" / "system"
    copies.mkdir(parents=True)
    shutil.copy2(unit, copies)
    subprocess.run(["sh", "-c", f"out={tmp_path}\n{edits}"], check=True)
    text = (copies / unit.name).read_text()
    programs = re.findall(r"(?m)^Exec\w+=[-+!@:]*(\S+)", text)
    assert programs
    for program in programs:
        assert program in {f"{tmp_path}/bin/spfmilter", "/bin/sh"}
    kept = {line for line in unit.read_text().splitlines() if not line.startswith("Exec")}
    assert kept <= set(text.splitlines()), "nothing but the programs has changed"


def test_the_users_are_those_of_sysusers() -> None:
    users = evaluated("{ enable = true; }")["config"]["users"]
    lines = (ROOT / "systemd" / "sysusers.d" / "spfmilter.conf").read_text().splitlines()
    named = {line.split()[1] for line in lines if line.startswith("u ")}
    member = [line.split()[1:3] for line in lines if line.startswith("m ")]
    assert set(users["users"]) == set(users["groups"]) == named
    assert [[name, group] for name, it in users["users"].items() for group in it.get("extraGroups", [])] == member


def test_what_is_missing_is_installed_by_an_option() -> None:
    extras = dict(
        re.findall(r"(?m)^(\w+) = set services\.spfmilter\.([\w.]+) = true$", (NIXOS / "extras.txt").read_text())
    )
    assert set(extras) == set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    for extra, option in extras.items():
        assert len(evaluated(f"{{ enable = true; {option} = true; }}")["installed"]) > len(
            evaluated("{ enable = true; }")["installed"]
        ), extra


def test_the_keys_that_need_a_restart_are_in_the_section_that_the_module_watches() -> None:
    """Others take effect by the reload."""
    section = ""
    for line in (ROOT / "conf" / "spfmilter.ini").read_text().splitlines():
        if line.startswith("["):
            section = line
        if "A change needs a restart" in line:
            assert section == "[milter]"
