"""The field of a message that was not checked, where the settings want one."""

import pytest

from spfmilter.edits import Edits
from spfmilter.headers import edits
from spfmilter.model import SkipReason
from spfmilter.policy import plan
from tests.values import decide, facts, settings

WANTED = "[headers]\nskipped = yes\n"


def written(ini: str, **about: object) -> Edits:
    given = facts(**about)  # type: ignore[arg-type]
    chosen = settings(ini)
    planned = plan(given, chosen)
    return edits(
        decide(planned, (), chosen),
        (),
        given,
        chosen,
        (),
        skip=planned.skip,
        subject_fields=(),
        content_type="",
        case="",
    )


@pytest.mark.parametrize(
    ("about", "value"),
    [
        ({"authenticated": "joe"}, "spf=none (not checked: authenticated)\n smtp.mailfrom=example.com"),
        ({"address": "10.0.0.1"}, "spf=none (not checked: private-client)\n smtp.mailfrom=example.com"),
        ({"address": None}, "spf=none (not checked: unknown-client)\n smtp.mailfrom=example.com"),
        (
            {"authenticated": "joe", "sender": "<>"},
            "spf=none (not checked: authenticated)\n smtp.helo=mail.example.com",
        ),
        (
            {"authenticated": "joe", "sender": '<u@a"b c.example>'},
            'spf=none (not checked: authenticated)\n smtp.mailfrom="a?b c.example"',
        ),
        ({"authenticated": "joe", "sender": "<joe>"}, "spf=none (not checked: authenticated)\n smtp.mailfrom=joe"),
        (
            {"authenticated": "joe", "sender": "<u@bücher.example>"},
            "spf=none (not checked: authenticated)\n smtp.mailfrom=xn--bcher-kva.example",
        ),
    ],
)
def test_it_says_why(about: dict[str, object], value: str) -> None:
    (field,) = written(WANTED, **about).insert
    assert (field.name, field.value) == ("Authentication-Results", f"mx.example.net; {value}")


@pytest.mark.parametrize("ini", ["", f"{WANTED}write = received-spf\n", f"{WANTED}write =\n"])
def test_it_is_not_written_unasked(ini: str) -> None:
    assert written(ini, authenticated="joe") == Edits()


def test_every_reason_can_stand_in_it() -> None:
    for reason in SkipReason:
        chosen = settings(WANTED)
        action = decide(plan(facts(authenticated="joe"), chosen), (), chosen)
        (field,) = edits(
            action,
            (),
            facts(),
            chosen,
            (),
            skip=reason,
            subject_fields=(),
            content_type="",
            case="",
        ).insert
        assert f"(not checked: {reason})" in field.value.replace("\n ", " ")
