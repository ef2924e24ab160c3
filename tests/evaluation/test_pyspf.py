"""What our grammar has in common with pyspf: our own tables are compared with those of the pyspf that is installed.

Ours stand in ``spf/record.py``, which does without pyspf. A new pyspf that knows more is noticed here.
"""

import pytest
import spf

from spfmilter.dns.answer import Answer, Type
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.model import ProblemKind, Result
from spfmilter.spf import record
from tests.evaluation.world import check


def test_the_mechanisms_are_those_of_pyspf() -> None:
    assert set(spf.ALL_MECHANISMS) == record.MECHANISMS


def test_the_mistaken_names_are_those_of_pyspf() -> None:
    assert spf.COMMON_MISTAKES == record.MISTAKEN_NAMES
    assert set(record.MISTAKEN_NAMES.values()) <= record.MECHANISMS


@pytest.mark.parametrize(
    "text",
    ["1.2.3.4", "255.255.255.255", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4.", "::1", "h"],
)
def test_an_address_in_place_of_a_domain_is_found_where_pyspf_finds_one(text: str) -> None:
    """``a:192.0.2.1`` is a common mistake; the message then says what to write."""
    with pytest.raises(record.RecordError) as caught:
        record.parse(f"v=spf1 a:{text}")
    assert ("write ip4:" in caught.value.text) is bool(spf.RE_IP4.match(text))


def test_an_error_of_ours_passes_through_pyspf() -> None:
    """It is caught by the evaluator, and so must be none of those that pyspf makes a result of."""
    assert not issubclass(record.RecordError, spf.PermError | spf.TempError)


class _Silent:
    """A DNS that finds a permerror, as only pyspf's own code can."""

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:  # noqa: ARG002
        raise spf.PermError("pyspf's own")


def test_a_permerror_that_pyspf_finds_by_itself_is_an_internal_error() -> None:
    verdict = Evaluator().evaluate(check(), _Silent())
    assert verdict.result is Result.TEMPERROR
    assert verdict.problem is not None
    assert verdict.problem.kind is ProblemKind.INTERNAL
    assert "pyspf's own" in str(verdict.fault)
