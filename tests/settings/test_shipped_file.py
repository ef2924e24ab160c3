"""The shipped file is the reference manual: it, and the schema, say the same."""

import re
from pathlib import Path

import pytest

from spfmilter.settings import Settings, load, parse, show
from spfmilter.settings.schema import LATER, NAMED_SECTIONS, SECTIONS, key_of
from spfmilter.settings.values import to_ini
from spfmilter.template import PLACEHOLDERS

SHIPPED = Path(__file__).parents[2] / "conf" / "spfmilter.ini"
TEXT = SHIPPED.read_text(encoding="utf-8")


def documented() -> dict[tuple[str, str], tuple[str, list[str]]]:
    """(section, key) -> its value and the comment lines directly above it, read without spfmilter's own reader."""
    found: dict[tuple[str, str], tuple[str, list[str]]] = {}
    section, comment = "", []
    for line in TEXT.splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        if header := re.fullmatch(r"\[(.*)\]", line):
            section = header[1]
        elif entry := re.fullmatch(r"(\w+) =(?: (.*))?", line):
            found[section, entry[1]] = (entry[2] or "", comment)
        else:
            assert not line, f"{line!r} is neither a comment, a section nor a key"
        comment = []
    return found


DOCUMENTED = documented()
KEYS = [(section, model, name) for section, (_, model) in SECTIONS.items() for name in model.model_fields]


def test_it_parses_to_the_defaults() -> None:
    assert load(SHIPPED) == Settings()


def test_it_holds_every_key_of_the_schema_in_the_schemas_order_and_no_other() -> None:
    assert list(DOCUMENTED) == [(section, key_of(model, name)) for section, model, name in KEYS]


@pytest.mark.parametrize(("section", "model", "name"), KEYS, ids=[f"{s}.{n}" for s, _, n in KEYS])
def test_a_comment_above_each_key_names_its_default_and_whether_it_is_there_yet(section, model, name) -> None:
    info = model.model_fields[name]
    default = to_ini(info.default)
    value, comment = DOCUMENTED[section, key_of(model, name)]
    assert value == default
    assert comment, "no comment directly above the key"
    said = [line for line in comment if line.startswith("Default:")]
    assert said in (
        [[f"Default: {default}"]] if default else [["Default: empty"], ["Default: empty (the built-in text)"]]
    )
    later = any(line.startswith("Not available yet: only the default is accepted") for line in comment)
    assert later is (LATER in info.metadata)
    assert len(comment[0]) > 10, "the first line is the title"


def test_every_placeholder_is_listed_with_its_meaning() -> None:
    listed = re.findall(r"^#   \{(\w+)\} +(.+)$", TEXT, re.MULTILINE)
    assert dict(listed) == dict(PLACEHOLDERS)


def test_named_sections_are_shown_as_comments() -> None:
    for kind in NAMED_SECTIONS:
        assert re.search(rf"^# \[{kind}:.+\]$", TEXT, re.MULTILINE)


def test_its_own_advice_about_templates_works() -> None:
    """The example of [reply] fail, uncommented, is a template."""
    example = re.search(r"^# Example: (\{address\}.*)\n# ( +.*)$", TEXT, re.MULTILINE)
    assert example is not None
    settings = parse(f"[reply]\nfail = {example[1]}\n{example[2]}\n")
    assert len(settings.reply.fail) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT,
        "[milter]\nsocket = local:/run/x.sock\nsocket_mode = 666\nsocket_group = postfix\ndrain_timeout = 0s\n",
        "[policy]\ncheck = mailfrom\nmode = MONITOR\n[policy.helo]\npass = quarantine\n",
        "[exempt]\nnetworks =\n  192.0.2.0/24\n  2001:db8::/32, 192.0.2.7\n\n  ::1\nauthenticated = off\n",
        "[reply]\nfail =\n  first {address} {{literal}}\n  second; # %\ncontact = nobody at all\n",
        "[reply]\nlanguages = ZH-hant,EN\nhelp_url = https://mx.example.net/{token}?x=%41\nsuggest_services = off\n",
        "[headers]\nwrite =\nauthserv_id = mx.example.net\ntag_header = x-note\nremove_forged = no\n",
        "[dns]\nnameservers = 127.0.0.1, [::1], [::1]:5353, 192.0.2.1:53\ntimeout = 1500ms\n",
        "[milter]\nsocket = systemd\nworkers = 7\nmemory_limit = 1024M\n[metrics]\nlisten = [::1]:9890\n",
        "[state]\nurl = rediss://[2001:db8::9]:7000?ssl_ca_certs=/etc/ca.pem\n",
        "[web]\nrate = 7 / Hour\ntrusted_proxies =\ntoken_lifetime = 48h\ncontact = \u5ba2\u670d +86 10 1234\n",
        "[service:Bulk  Mail]\ninclude = SPF.bulk.example.\nhosts = bulk.example,\n  b\u00fccher.example\n",
        "[web]\nname = \u67d0\u5927\u5b66\n",
        "[dns]\nprefetch = no\ncache_entries = 0\ncache_max_ttl = 300s\nserve_stale = 48h\n",
    ],
)
def test_show_gives_a_text_that_means_the_same(text) -> None:
    settings = parse(text)
    again = parse(show(settings))
    assert again == settings
    assert show(again) == show(settings)
