"""The notices of a language as one text."""

from pathlib import Path

from spfmilter.reply import notice
from tests.reply.notices.cases import Case, cases
from tests.values import facts, settings

FOLDER = Path(__file__).parent


def lines_of(case: Case, tag: str) -> tuple[str, ...]:
    """A notice as a client reads it that takes UTF-8."""
    return notice(
        case.verdict,
        facts(smtputf8=True),
        settings(f"[reply]\nlanguages = {tag}\nown_domains = {'example.com' if case.own else ''}\n"),
        case.extras,
        disposition=case.disposition,
        condition=case.condition,
    )


def rendered(tag: str) -> str:
    """All notices, each below its title."""
    return "\n".join("\n".join([f"== {case.title}", *lines_of(case, tag), ""]) for case in cases())
