"""Settings in environment variables: which variable sets which key, what comes first, and what a wrong one says."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from spfmilter.daemon.inforce import digest
from spfmilter.settings import Settings, SettingsError, environment, load, parse, schema, show, without_effect

KEYS = [
    (section, schema.key_of(model, attribute))
    for section, (_, model) in schema.SECTIONS.items()
    for attribute in model.model_fields
]
INI = "[dns]\ntimeout = 5s\n[domain:example.com]\nfail = tag\n"


def settings_of(folder: Path, variables: Mapping[str, str], text: str = INI, **further: str) -> Settings:
    """The settings of a file, those of conf.d by their names, and variables without their prefix."""
    path = folder / "spfmilter.ini"
    path.write_text(text)
    (folder / "conf.d").mkdir(exist_ok=True)
    for name, more in further.items():
        (folder / "conf.d" / f"{name}.ini").write_text(more)
    return load(path, {f"SPFMILTER_{name}": value for name, value in variables.items()})


def problems_of(folder: Path, variables: Mapping[str, str], text: str = INI, **further: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(folder, variables, text, **further)
    return str(caught.value).replace(str(folder), "{folder}").splitlines()


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("dns", "timeout", "SPFMILTER_DNS_TIMEOUT"),
        ("policy", "mode", "SPFMILTER_POLICY_MODE"),
        ("policy.mailfrom", "softfail", "SPFMILTER_POLICY_MAILFROM_SOFTFAIL"),
        ("policy.helo", "pass", "SPFMILTER_POLICY_HELO_PASS"),
        ("web", "requests_mail", "SPFMILTER_WEB_REQUESTS_MAIL"),
    ],
)
def test_a_variable_is_named_after_section_and_key(section: str, key: str, name: str) -> None:
    assert environment.variable(section, key) == name


def test_no_two_keys_have_the_same_variable() -> None:
    """``[policy.mailfrom] fail`` and a ``[policy] mailfrom_fail`` would."""
    names = [environment.variable(section, key) for section, key in KEYS]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch("SPFMILTER_[A-Z0-9_]+", name)] == []


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_can_be_set_and_means_what_it_means_in_the_file(tmp_path: Path, section: str, key: str) -> None:
    shown = dict(line.partition(" =")[::2] for line in _shown_section(section))
    text = shown[key].strip()
    name = environment.variable(section, key).removeprefix("SPFMILTER_")
    by_variable = settings_of(tmp_path, {name: text}, "")
    assert by_variable == parse(f"[{section}]\n{key} = {text}\n")
    assert by_variable.rule(section, key).place == f"SPFMILTER_{name}"


def _shown_section(section: str) -> list[str]:
    blocks = [block.split("\n") for block in show(Settings()).rstrip().split("\n\n")]
    (lines,) = [lines for head, *lines in blocks if head == f"[{section}]"]
    return lines


# -- values ------------------------------------------------------------------------------------------------------------


def test_a_variable_comes_after_the_file_and_conf_d(tmp_path: Path) -> None:
    further = "[dns]\ntimeout = 6s\nlookup_limit = 20\n"
    read = settings_of(tmp_path, {"DNS_TIMEOUT": "7s"}, INI, a=further)
    assert (str(read.dns.timeout), read.dns.lookup_limit) == ("7s", 20)
    assert (read.variables, read.further) == (("SPFMILTER_DNS_TIMEOUT",), (f"{tmp_path}/conf.d/a.ini",))
    assert str(read.rule("dns", "timeout")) == "[dns] timeout = 7s (SPFMILTER_DNS_TIMEOUT)"
    assert str(read.rule("dns", "lookup_limit")) == "[dns] lookup_limit = 20 (conf.d/a.ini line 3)"
    assert str(read.rule("dns", "void_lookup_limit")) == "[dns] void_lookup_limit = 2"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("192.0.2.7,2001:db8::/32", ["192.0.2.7/32", "2001:db8::/32"]),
        ("192.0.2.7\n  2001:db8::/32\n", ["192.0.2.7/32", "2001:db8::/32"]),
        ("file:{folder}/list, 192.0.2.7", ["198.51.100.1/32", "192.0.2.7/32"]),
        ("  ", []),
        ("", []),
    ],
)
def test_lists_are_written_as_in_the_file(tmp_path: Path, written: str, expected: list[str]) -> None:
    """An empty variable is an empty value, as ``networks =`` is."""
    (tmp_path / "list").write_text("198.51.100.1\n")
    read = settings_of(tmp_path, {"EXEMPT_NETWORKS": written.replace("{folder}", str(tmp_path))})
    assert [str(network) for network in read.exempt.networks] == expected


def test_a_text_of_several_lines(tmp_path: Path) -> None:
    read = settings_of(tmp_path, {"REPLY_FAIL": "Refused: {domain}\n# a comment\n\n Questions: {contact}\n"})
    assert [str(line) for line in read.reply.fail] == ["Refused: {domain}", "Questions: {contact}"]
    assert read == parse(show(read))


def test_variables_are_no_other_settings_than_the_same_in_the_file(tmp_path: Path) -> None:
    """So ``spfmilter status`` finds no change, if a setting moves from the file to the environment."""
    by_variable = settings_of(tmp_path, {"DNS_TIMEOUT": "5s"}, "")
    by_file = parse("[dns]\ntimeout = 5s\n")
    assert digest(by_variable, counting=True) == digest(by_file, counting=True)
    assert show(by_variable) == show(by_file)


def test_config_show_names_the_variable(tmp_path: Path) -> None:
    read = settings_of(tmp_path, {"DNS_LOOKUP_LIMIT": "11", "STATE_URL": "redis://:pa55word@db.example"})
    text = show(read, changed=True, variables=True)
    assert text == (
        "[dns]\ntimeout = 5s\n# set by SPFMILTER_DNS_LOOKUP_LIMIT\nlookup_limit = 11\n\n"
        "[state]\n# set by SPFMILTER_STATE_URL\nurl = redis://:***@db.example/0\n\n"
        "[domain:example.com]\nfail = tag\n"
    )


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        (
            {"DNS_TIMEOUT": "5"},
            ("[dns] timeout: '5' is not a time: write a whole number with ms, s, m, h or d, such as 30s"),
        ),
        (
            {"DNS_TIMEOUT": ""},
            ("[dns] timeout: an empty value is not a time: write a whole number with ms, s, m, h or d, such as 30s"),
        ),
        (
            {"POLICY_MAILFROM_FAIL": "bounce"},
            ("[policy.mailfrom] fail: 'bounce' is not one of accept, tag, quarantine, defer, reject"),
        ),
        (
            {"POLICY_YIELD_TO_DMARC": "yes"},
            (
                "[policy] yield_to_dmarc: the From field is known only with the whole "
                "header: write reject_at = message as well"
            ),
        ),
        (
            {"WEB_NAME": "a\x07b"},
            ("[web] name: holds U+0007 (a control character), which is not printable: remove it, or type it anew"),
        ),
        (
            {"WEB_NAME": "a\udcffb"},
            ("[web] name: holds U+DCFF (a control character), which is not printable: remove it, or type it anew"),
        ),
        ({"DNS_TIMOUT": "5s"}, "there is no such setting; did you mean SPFMILTER_DNS_TIMEOUT?"),
        ({"DNS_timeout": "5s"}, "there is no such setting; did you mean SPFMILTER_DNS_TIMEOUT?"),
        ({"LOGLEVEL": "info"}, "there is no such setting; did you mean SPFMILTER_LOG_LEVEL?"),
        (
            {"POLCY_HELO_FAIL": "tag"},
            "there is no such setting; did you mean SPFMILTER_POLICY_HELO_FAIL?",
        ),
        ({"LOG": "info"}, "there is no such setting; man spfmilter.ini lists all keys"),
        (
            {"DNS_QQQQQQQQQQQQQQQQQ": "1"},
            "there is no such setting; man spfmilter.ini lists all keys",
        ),
        ({"WEB_PORT": "8891"}, "there is no such setting; man spfmilter.ini lists all keys"),
        (
            {"DOMAIN_EXAMPLE_COM_FAIL": "tag"},
            ("[domain:NAME] cannot be set by a variable: write it into the INI file, or into a file of conf.d"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_problem_names_its_variable(tmp_path: Path, variables: dict[str, str], problem: str) -> None:
    (name,) = variables
    assert problems_of(tmp_path, variables) == [f"SPFMILTER_{name}: {problem}"]


def test_problems_of_files_and_variables_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("192.0.2.1\nx\n")
    variables = {"EXEMPT_NETWORKS": f"file:{tmp_path}/list", "DNS_TIMEOUT": "x", "DNS_TIMOUT": "5s"}
    assert [line.partition(": [")[0] for line in problems_of(tmp_path, variables, "[dns]\ntimeout = 5\n")] == [
        "{folder}/spfmilter.ini: line 2",
        "{folder}/list: line 2",
        "SPFMILTER_DNS_TIMEOUT",
        "SPFMILTER_DNS_TIMOUT: there is no such setting; did you mean SPFMILTER_DNS_TIMEOUT?",
    ]


def test_a_password_is_in_no_problem(tmp_path: Path) -> None:
    variables = {
        "STATE_URL": "redis://:pa55word@db.example:99999",
        "STATE_URI": "redis://:pa55word@db.example",
        "DOMAIN_X_FAIL": "pa55word",
    }
    problems = problems_of(tmp_path, variables)
    assert len(problems) == 3
    assert "pa55word" not in "".join(problems)


def test_a_setting_without_effect_names_its_variable(tmp_path: Path) -> None:
    (found,) = without_effect(settings_of(tmp_path, {"RELAYS_REFUSE": "yes"}), is_public=True)
    assert (found.file, found.line) == ("SPFMILTER_RELAYS_REFUSE", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_HOST", "10.0.0.7"),  # Kubernetes, for a service that is called spfmilter
        ("SERVICE_PORT", "8890"),
        ("SERVICE_PORT_MILTER", "8890"),
        ("PORT", "tcp://10.0.0.7:8890"),
        ("PORT_8890_TCP", "tcp://10.0.0.7:8890"),
        ("PORT_8890_TCP_PROTO", "tcp"),
        ("PORT_8890_TCP_ADDR", "10.0.0.7"),
        ("WEB_SERVICE_HOST", "10.0.0.7"),  # for one that is called spfmilter-web
        ("WEB_SERVICE_PORT", "8891"),
        ("WEB_PORT", "tcp://10.0.0.7:8891"),
        ("WEB_PORT_8891_TCP_PORT", "8891"),
        ("VERSION", "1.0"),  # scripts and compose files have their own
        ("IMAGE", "registry.example/spfmilter"),
        ("DOMAIN", "example.com"),
        ("CLIENT", "192.0.2.1"),  # a field of the log in the journal
        ("QUEUE_ID", "4Xyz12"),
    ],
)
def test_other_programs_have_variables_with_the_prefix(tmp_path: Path, name: str, value: str) -> None:
    read = settings_of(tmp_path, {name: value})
    assert read == parse(INI)
    assert read.variables == ()


def test_a_missing_file_is_an_error_all_the_same(tmp_path: Path) -> None:
    """Else a folder mounted in the wrong place would be the policy of the defaults."""
    with pytest.raises(SettingsError, match=r"spfmilter\.ini: there is no such file: write it"):
        load(tmp_path / "spfmilter.ini", {"SPFMILTER_DNS_TIMEOUT": "5s"})
