"""What tools that read bounces take each of our notices for: a failed authentication, and for how long."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from spfmilter.language import available
from spfmilter.model import Condition, Disposition, Result
from spfmilter.reply import reply_for
from tests.reply.bounces import AUTHENTICATION, SENDER, UNKNOWN, is_temporary, kumomta, sisimai, sisimai_words
from tests.reply.notices.cases import Case, cases
from tests.values import action, facts, settings


def replies(tag: str, disposition: Disposition) -> Iterator[tuple[Case, str]]:
    """Every notice as it goes over the wire."""
    for case in cases():
        by = settings(f"[reply]\nlanguages = {tag}\nown_domains = {'example.com' if case.own else ''}\n")
        decided = replace(action(disposition, case.verdict), condition=case.condition)
        reply = reply_for(decided, facts(smtputf8=True), by, case.extras)
        assert reply is not None
        yield case, str(reply)


@pytest.mark.parametrize("tag", available())
def test_each_refusal_is_a_failed_authentication_for_good(tag: str) -> None:
    for case, reply in replies(tag, Disposition.REJECT):
        # A domain that can receive no mail is a bad sender address (RFC 3463 section 3.2).
        expected = SENDER if case.condition is Condition.UNREACHABLE else AUTHENTICATION
        assert (kumomta(reply), sisimai(reply), is_temporary(reply)) == (expected, expected, False), reply


@pytest.mark.parametrize("tag", available())
def test_each_deferral_is_temporary(tag: str) -> None:
    for case, reply in replies(tag, Disposition.DEFER):
        assert is_temporary(reply), reply
        assert kumomta(reply) == (SENDER if case.condition is Condition.UNREACHABLE else UNKNOWN), (
            "for now, not for good"
        )


@pytest.mark.parametrize("tag", available())
def test_no_word_of_ours_is_taken_for_another_reason(tag: str) -> None:
    """Where a server on the way has replaced our status by its own, the words are all that is left."""
    for case, reply in replies(tag, Disposition.REJECT):
        expected = AUTHENTICATION if case.verdict.result is Result.FAIL else UNKNOWN
        assert sisimai_words(reply) == expected, reply


@pytest.mark.parametrize("tag", available())
def test_the_first_line_alone_is_recognised_and_says_what_became_of_the_message(tag: str) -> None:
    for disposition in (Disposition.REJECT, Disposition.DEFER):
        for case, reply in replies(tag, disposition):
            first = reply.split("\n")[0]
            assert f"SPF check: {case.verdict.result}" in first
            if tag == "en":
                before = "Message refused: " if disposition is Disposition.REJECT else "Not accepted yet: "
                assert first.split(" ", 1)[1].startswith(before)
