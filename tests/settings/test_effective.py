"""The line of the file that sets a key, by its section and name."""

from dataclasses import replace

import pytest

from spfmilter.settings import Settings, schema
from spfmilter.spf.services import Service
from tests.values import settings

INI = """
[exempt]
networks = 192.0.2.0/24
    2001:db8::/32
[policy.mailfrom]
pass = tag
[domain:bücher.example]
trust = 192.0.2.9
[recipient:Sales@]
no_mail = reject
[policy]
reject_at = rcpt
"""


@pytest.mark.parametrize(
    ("section", "key", "text"),
    [
        ("exempt", "networks", "[exempt] networks = 192.0.2.0/24, 2001:db8::/32 (line 3)"),
        ("policy.mailfrom", "pass", "[policy.mailfrom] pass = tag (line 6)"),
        ("policy.helo", "pass", "[policy.helo] pass = accept"),
        ("policy.helo", "no_mail", "[policy.helo] no_mail = (empty)"),
        ("policy", "defer_at_most", "[policy] defer_at_most = 4h"),
        ("policy", "yield_to_dmarc", "[policy] yield_to_dmarc = no"),
        ("domain:xn--bcher-kva.example", "trust", "[domain:xn--bcher-kva.example] trust = 192.0.2.9 (line 8)"),
        ("domain:xn--bcher-kva.example", "fail", "[domain:xn--bcher-kva.example] fail = (empty)"),
        ("recipient:sales@", "no_mail", "[recipient:sales@] no_mail = reject (line 10)"),
    ],
)
def test_a_rule_is_the_line_of_a_key_with_its_value(section: str, key: str, text: str) -> None:
    chosen = settings(INI)
    assert str(chosen.rule(section, key)) == text
    assert chosen.rule(section, key) is chosen.rule(section, key), "made once"


def test_a_service_is_known_by_its_name_as_it_is_written() -> None:
    text = "[service:Bulk  Mail]\ninclude = SPF.bulk.example\nhosts = Bulk.example, bücher.example.\n"
    assert settings(text).own_services == (
        Service(
            name="Bulk Mail",
            include="spf.bulk.example",
            hosts=("bulk.example", "xn--bcher-kva.example"),
            provider="Bulk Mail",
        ),
    )
    assert str(settings(text).rule("service:Bulk Mail", "include")) == (
        "[service:Bulk Mail] include = spf.bulk.example (line 2)"
    )
    assert settings().own_services == ()


def test_every_key_has_a_rule() -> None:
    for section, (_, model) in schema.SECTIONS.items():
        for attribute in model.model_fields:
            key = schema.key_of(model, attribute)
            assert schema.attribute_of(model, key) == attribute
            assert settings().rule(section, key).key == key


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("exempt", "network"),
        ("exempted", "networks"),
        ("policy.mailfrom", "pass_"),  # the attribute, not the key
        ("mailfrom", "pass"),
        ("domain:example.com", "trust"),  # there is no such section
        ("domain", "trust"),
        ("recipient:sales@", "trust"),
        ("", ""),
    ],
)
def test_an_unknown_section_or_key_is_an_error_of_the_caller(section: str, key: str) -> None:
    with pytest.raises(KeyError, match=r"\["):
        settings(INI).rule(section, key)


def test_rules_that_were_looked_up_do_not_make_settings_different() -> None:
    one, other = settings(INI), settings(INI)
    one.rule("exempt", "networks")
    assert one == other
    assert repr(one) == repr(other)


def test_changed_settings_have_rules_of_their_own() -> None:
    chosen = settings(INI)
    assert chosen.rule("policy", "yield_to_dmarc").value == "no"
    changed: Settings = replace(chosen, policy=chosen.policy.model_copy(update={"yield_to_dmarc": True}))
    assert changed.rule("policy", "yield_to_dmarc").value == "yes"
