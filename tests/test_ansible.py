"""The Ansible role: its variables, and the settings that it writes. What it does to a host: ``package/tests``."""

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from spfmilter.settings import Settings, parse

ROLE = Path(__file__).parents[1] / "packaging" / "ansible" / "roles" / "spfmilter"
OWN = {"item", "spfmilter_wanted"}  # what a task gives to its template


def read(name: str) -> Any:
    return yaml.safe_load((ROLE / name).read_text())


def rendered(wanted: object) -> str:
    """The settings as Ansible writes them: it removes the line end behind a block."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined)  # noqa: S701 - an INI file
    template = environment.from_string((ROLE / "templates" / "ansible.ini.j2").read_text())
    return template.render(spfmilter_wanted=wanted, ansible_managed="Ansible managed")


def test_every_variable_is_declared_with_its_default_and_documented() -> None:
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = read("defaults/main.yml")
    assert {name: option["default"] for name, option in options.items()} == defaults
    readme = (ROLE / "README.md").read_text()
    assert re.findall(r"(?m)^\| `(spfmilter_\w+)` \|", readme) == list(defaults)


def test_every_task_uses_known_variables() -> None:
    """Those of the defaults, and those that a task registers or sets."""
    texts = [path.read_text() for folder in ("tasks", "handlers", "templates") for path in (ROLE / folder).iterdir()]
    made = {name for text in texts for name in re.findall(r"(?m)(?:register: |^\s+)(spfmilter_\w+)(?::|$)", text)}
    used = {name for text in texts for name in re.findall(r"\bspfmilter_\w+", text)}
    assert used - made - OWN <= set(read("defaults/main.yml"))
    assert set(read("defaults/main.yml")) <= used, "a variable without an effect"


@pytest.mark.parametrize(
    ("given", "section", "key", "value"),
    [
        ({"policy": {"mode": "monitor"}}, "policy", "mode", "monitor"),
        ({"policy": {"yield_to_dmarc": True, "reject_at": "message"}}, "policy", "yield_to_dmarc", "yes"),
        ({"milter": {"workers": 4}}, "milter", "workers", "4"),
        ({"milter": {"socket_mode": "0600"}}, "milter", "socket_mode", "0600"),
        ({"milter": {"socket_group": None}}, "milter", "socket_group", ""),
        ({"exempt": {"networks": ["192.0.2.0/24", "::1"]}}, "exempt", "networks", "192.0.2.0/24, ::1"),
        ({"exempt": {"networks": []}}, "exempt", "networks", ""),
        ({"policy.mailfrom": {"softfail": "defer, tag"}}, "policy.mailfrom", "softfail", "defer, tag"),
        ({"reply": {"fail": "one {domain}; # %\ntwo\n"}}, "reply", "fail", "one {domain}; # %\ntwo"),
    ],
)
def test_settings_are_written_as_the_daemon_reads_them(given, section, key, value) -> None:
    lines = "\n".join(f"{name} = {text}" for name, text in {key: value.replace("\n", "\n  ")}.items())
    others = "reject_at = message\n" if key == "yield_to_dmarc" else ""
    assert parse(rendered(given)) == parse(f"[{section}]\n{others}{lines}\n")


def test_several_sections_and_none() -> None:
    settings = parse(rendered({"policy": {"mode": "monitor"}, "domain:example.com": {"fail": "tag"}, "log": {}}))
    assert settings == parse("[policy]\nmode = monitor\n[domain:example.com]\nfail = tag\n")
    assert parse(rendered({})) == Settings()


def test_the_role_runs_in_monitor_mode_first() -> None:
    assert read("defaults/main.yml")["spfmilter_mode"] == "monitor"


def test_the_example_can_be_used_as_it_is() -> None:
    [play] = yaml.safe_load((ROLE.parents[1] / "site.yml").read_text())
    [role] = play["roles"]
    assert set(role["vars"]) <= set(read("defaults/main.yml"))
    settings = role["vars"]["spfmilter_settings"]
    settings["exempt"]["forwarders"] = role["vars"]["spfmilter_lists"]["forwarders.txt"]
    assert parse(rendered(settings)).exempt.forwarders
