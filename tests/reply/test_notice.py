"""What the refused sender reads, in English; the other languages are in test_languages.py."""

import re
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.language import available
from spfmilter.model import Condition, Disposition, Facts, Identity, Problem, ProblemKind, Result, ReversePath, Verdict
from spfmilter.reply import Extras, notice, problem_text, reply_for, sentences
from spfmilter.reply.texts import all_texts
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from tests.values import NO_EXTRAS, action, check, facts, settings, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
REDIRECT: Mapping[str, Any] = {"term": "-all", "term_domain": "_spf.provider.example"}
EXPLICIT: Mapping[str, Any] = {"term": "-ip4:203.0.113.0/24", "term_domain": "example.com"}
NO_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="the identity names no domain that can be looked up")
BROKEN = Problem(kind=ProblemKind.SYNTAX, text="not a mechanism", term="ipv4:192.0.2.1", domain="example.com")
SILENT = Problem(
    kind=ProblemKind.DNS_FAILURE, text="DNS lookup of example.com (TXT) failed: timeout", domain="example.com"
)
LINK = "https://mx.example.net/spf/" + "x" * 273  # the longest name's


def said(found: Verdict, ini: str = "", about: Facts | None = None, extras: Extras = NO_EXTRAS) -> tuple[str, ...]:
    """The lines of a notice."""
    return notice(found, about or facts(), settings(ini), extras, condition=None)


# -- the built-in texts ------------------------------------------------------------------------------------------------

# Every variant that a verdict can call for, with what its first line must name beside the client's address.
FIRST_LINES: list[tuple[Result, Identity, Mapping[str, Any], tuple[str, ...]]] = [
    (Result.FAIL, MAILFROM, {}, ("example.com", "SPF fail", '"-all"')),
    (Result.FAIL, MAILFROM, REDIRECT, ("example.com", "SPF fail", '"-all"', "_spf.provider.example")),
    (Result.FAIL, MAILFROM, EXPLICIT, ("example.com", "SPF fail", '"-ip4:203.0.113.0/24"')),
    (Result.FAIL, HELO, {}, ("mail.example.com", "SPF fail for HELO", '"-all"')),
    (Result.FAIL, HELO, EXPLICIT, ("mail.example.com", "SPF fail for HELO", '"-ip4:203.0.113.0/24"')),
    (Result.SOFTFAIL, MAILFROM, {}, ("example.com", "SPF softfail", '"~all"')),
    (Result.SOFTFAIL, MAILFROM, EXPLICIT, ("example.com", "SPF softfail", '"-ip4:203.0.113.0/24"')),
    (Result.SOFTFAIL, HELO, {}, ("mail.example.com", "SPF softfail for HELO", '"~all"')),
    (Result.SOFTFAIL, HELO, EXPLICIT, ("mail.example.com", "SPF softfail for HELO")),
    (Result.NEUTRAL, MAILFROM, {}, ("example.com", "SPF neutral")),
    (Result.NEUTRAL, MAILFROM, EXPLICIT, ("example.com", "SPF neutral", '"-ip4:203.0.113.0/24"')),
    (Result.NEUTRAL, HELO, {}, ("mail.example.com", "SPF neutral for HELO")),
    (Result.NEUTRAL, HELO, EXPLICIT, ("mail.example.com", "SPF neutral for HELO")),
    (Result.NONE, MAILFROM, {}, ("example.com", "no SPF record", "SPF none")),
    (Result.NONE, HELO, {}, ("mail.example.com", "no SPF record", "SPF none for HELO")),
    (Result.NONE, MAILFROM, {"problem": NO_DOMAIN}, ("user@example.com", "no domain", "SPF none")),
    (Result.NONE, HELO, {"problem": NO_DOMAIN}, ("mail.example.com", "not a domain", "SPF none for HELO")),
    (Result.PASS, MAILFROM, EXPLICIT, ("example.com", "SPF pass")),
    (Result.PASS, HELO, EXPLICIT, ("mail.example.com", "SPF pass for HELO")),
    (Result.PERMERROR, MAILFROM, {"problem": BROKEN}, ("example.com", "SPF permerror", "ipv4:192.0.2.1")),
    (Result.PERMERROR, HELO, {"problem": BROKEN}, ("mail.example.com", "SPF permerror for HELO", "ipv4:192.0.2.1")),
    (Result.TEMPERROR, MAILFROM, {"problem": SILENT}, ("example.com", "timeout")),
    (Result.TEMPERROR, HELO, {"problem": SILENT}, ("mail.example.com", "timeout")),
]


@pytest.mark.parametrize(("result", "identity", "more", "named"), FIRST_LINES)
def test_the_first_line_alone_names_the_address_the_domain_and_what_happened(
    result: Result, identity: Identity, more: dict[str, object], named: tuple[str, ...]
) -> None:
    first = said(verdict(result, identity, **more))[0]
    assert "203.0.113.7" in first
    for part in named:
        assert part in first


@pytest.mark.parametrize("text", all_texts())
def test_no_text_names_the_receivers_record(text: str) -> None:
    """The notice that this project answers did just that: 'your mailbox is not in its trusted sender list'."""
    assert not {"{hostname}", "{sender}", "{helo}"} & set(re.findall(r"\{\w+\}", text)), "nothing of the receiver's"
    if "SPF record" in text and text.startswith(("To allow", "If it", "To have")):
        assert "{record_domain}" in text, "advice names whose record"


@pytest.mark.parametrize(("result", "identity", "more", "named"), FIRST_LINES)
def test_advice_names_the_senders_own_record_and_says_whom_to_ask(
    result: Result, identity: Identity, more: dict[str, object], named: tuple[str, ...]
) -> None:
    del named
    found = said(verdict(result, identity, **more))
    assert found[-1].endswith("Contact here: postmaster@mx.example.net")
    assert "mx.example.net" not in " ".join(found).replace("postmaster@mx.example.net", ""), "not the receiver's record"


@pytest.mark.parametrize(("address", "term"), [("203.0.113.7", "ip4:203.0.113.7"), ("2001:db8::7", "ip6:2001:db8::7")])
def test_the_term_to_add_is_of_the_clients_ip_version(address: str, term: str) -> None:
    assert f"add {term} to the SPF record of example.com" in said(verdict(Result.FAIL, check=check(address=address)))[1]
    assert f'"v=spf1 {term} -all"' in said(verdict(Result.NONE, check=check(address=address)))[1]


def test_a_redirects_target_is_named_but_the_domains_own_record_is_to_be_changed() -> None:
    first, advice, own, *_ = said(verdict(Result.FAIL, **REDIRECT))
    assert first.startswith("203.0.113.7 is not in the trusted sender list of example.com")
    assert "the SPF record of example.com, before its redirect to _spf.provider.example" in advice
    assert "changed in the DNS of example.com" in own


def test_a_term_that_refuses_by_itself_is_to_be_changed_since_one_behind_it_is_never_reached() -> None:
    advice = said(verdict(Result.FAIL, **EXPLICIT))[1]
    assert 'change "-ip4:203.0.113.0/24" in the SPF record of example.com, or put ip4:203.0.113.7 before it' in advice


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE])
def test_a_service_that_the_client_belongs_to_is_to_be_included(result: Result) -> None:
    service = SERVICES[0]
    lines = said(verdict(result), extras=Extras(clues=Clues(service=service)))
    assert service.term in lines[1]
    assert "ip4:203.0.113.7" not in lines[1]
    assert lines[2].startswith(f"{service.term} stands for all servers of {service.name}, and this is one of them.")
    assert lines[2].endswith("only if example.com sends through them.")


def test_a_record_that_lets_this_server_in_by_another_term_is_not_told_to_give_up_the_clients() -> None:
    """Found by asking for this server's own address: the client's term may be right."""
    wide = verdict(Result.PASS, term="ip4:203.0.113.7", term_domain="example.com", condition=Condition.WIDE_OPEN)
    lines = notice(wide, facts(), settings(), NO_EXTRAS, condition=Condition.WIDE_OPEN)
    assert "list only the domain's own servers" in lines[1]
    assert "ip4:203.0.113.7" not in lines[1]


@pytest.mark.parametrize("result", [Result.PERMERROR, Result.TEMPERROR, Result.PASS])
def test_no_service_helps_where_a_term_would_change_nothing(result: Result) -> None:
    assert said(verdict(result), extras=Extras(clues=Clues(service=SERVICES[0]))) == said(verdict(result))


def test_softfail_and_neutral_do_not_speak_as_if_the_mail_were_forbidden() -> None:
    for result in (Result.SOFTFAIL, Result.NEUTRAL):
        assert said(verdict(result))[1].startswith("If it may send for example.com, add ip4:203.0.113.7")


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL])
def test_for_helo_it_is_asked_first_whether_the_name_is_right(result: Result) -> None:
    lines = said(verdict(result, HELO))
    assert lines[1].startswith("If mail.example.com is not the host name of 203.0.113.7, configure the server to use")
    assert lines[2].startswith("If it is, add ip4:203.0.113.7 to the SPF record of mail.example.com")


@pytest.mark.parametrize("ini", ["", "[reply]\nfail = Own words.\n    More of them."])
def test_the_link_is_the_last_line_and_whole_after_any_other_lines(ini: str) -> None:
    lines = said(verdict(Result.FAIL), ini, extras=Extras(link=LINK))
    assert lines == (*said(verdict(Result.FAIL), ini), f"Details: {LINK}")


def test_our_own_resolvers_failure_is_not_the_senders_to_fix() -> None:
    ours = Problem(kind=ProblemKind.OWN_RESOLVER, text="no nameserver answers", domain="example.com")
    advice = said(verdict(Result.TEMPERROR, problem=ours))[1]
    assert advice == "Please send again later. This server's own name servers do not answer at present."


def test_a_problem_without_its_term_is_still_to_be_corrected_somewhere() -> None:
    nowhere = Problem(kind=ProblemKind.BAD_MACRO, text="odd", domain="example.com")
    advice = said(verdict(Result.PERMERROR, problem=nowhere))[1]
    assert advice == "To have it checked, correct this in the SPF record of example.com."


def test_sentences_can_follow_each_other() -> None:
    first, *others = sentences(verdict(Result.FAIL), facts(), settings(), condition=None, case="H1FC-402Z-GPWG")
    assert first.endswith('matched "-all").')
    assert all(other.endswith(".") for other in others)
    assert others[-1] == "Case: H1FC-402Z-GPWG."


@pytest.mark.parametrize("term", ["-all", "~ALL", "?All", "all", "+all"])
def test_all_is_no_explicit_term_with_any_case_and_qualifier(term: str) -> None:
    assert "To allow it, add" in said(verdict(Result.FAIL, term=term, term_domain="example.com"))[1]


def test_a_permerror_is_fixed_in_the_record_with_the_problem() -> None:
    included = Problem(kind=ProblemKind.SYNTAX, text="not a mechanism", term="ipv4:1.2.3.4", domain="inc.example")
    first, advice, own = said(verdict(Result.PERMERROR, problem=included))
    assert 'not a mechanism at "ipv4:1.2.3.4" in the record of inc.example' in first
    assert "in the SPF record of inc.example" in advice
    assert "in the DNS of inc.example" in own


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (BROKEN, 'not a mechanism at "ipv4:192.0.2.1" in the record of example.com'),
        (SILENT, "DNS lookup of example.com (TXT) failed: timeout"),  # the name is not written twice
        (
            Problem(kind=ProblemKind.TIME_LIMIT, text="took longer than 20 s", domain="b.example", term="mx:a.example"),
            'took longer than 20 s at "mx:a.example" while looking up b.example',
        ),
        (Problem(kind=ProblemKind.LOOKUP_LIMIT, text="more than 10 terms"), "more than 10 terms"),
        (Problem(kind=ProblemKind.SYNTAX, text="odd", term="x\r\ny\x00"), 'odd at "x??y?"'),
    ],
)
def test_a_problem_is_one_clause(problem: Problem, text: str) -> None:
    assert problem_text(problem) == text


# -- the administrator's own texts -------------------------------------------------------------------------------------


def test_an_administrators_text_takes_the_place_of_the_built_in_one_for_its_result_alone() -> None:
    ini = "[reply]\nfail = {address} is not {domain}: {term}\n    Ask {contact}, {{really}}."
    assert said(verdict(Result.FAIL), ini) == (
        "203.0.113.7 is not example.com: -all",
        "Ask postmaster@mx.example.net, {really}.",
    )
    assert said(verdict(Result.SOFTFAIL), ini) == said(verdict(Result.SOFTFAIL))


@pytest.mark.parametrize(
    ("placeholder", "value"),
    [
        ("address", "203.0.113.7"),
        ("identity", "MAIL FROM"),
        ("said", "user@example.com"),
        ("sender", "user@example.com"),
        ("domain", "example.com"),
        ("helo", "mail.example.com"),
        ("result", "fail"),
        ("term", "-all"),
        ("record_domain", "example.com"),
        ("problem", ""),
        ("add", "ip4:203.0.113.7"),
        ("contact", "postmaster@mx.example.net"),
        ("hostname", "mx.example.net"),
    ],
)
def test_every_placeholder_has_its_value(placeholder: str, value: str) -> None:
    assert said(verdict(Result.FAIL), f"[reply]\nfail = <{{{placeholder}}}>") == (f"<{value}>",)


def test_the_contact_can_be_given() -> None:
    assert said(verdict(Result.FAIL), "[exempt]\nrecipients = help@\n[reply]\ncontact = help@{hostname}")[-1].endswith(
        "help@mx.example.net"
    )
    assert said(verdict(Result.FAIL), "[reply]\ncontact = +49 30 1234")[-1].endswith("Contact here: +49 30 1234")


def test_a_line_that_comes_out_empty_is_left_out() -> None:
    assert said(verdict(Result.FAIL), "[reply]\nfail = {problem}\n    second") == ("second",)


def test_a_text_that_grows_too_long_is_cut_and_not_refused() -> None:
    (line,) = said(verdict(Result.FAIL), f"[reply]\nfail = {'x' * 390}{{domain}}", facts())
    assert len(line) <= 480
    (line,) = said(
        verdict(Result.FAIL, check=check(domain="d" * 253)), f"[reply]\nfail = {'x' * 390}{{domain}}", facts()
    )
    assert (len(line), line[-3:]) == (480, "...")


# -- the domain's own explanation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("explanation", "line"),
    [
        ("See http://example.com/why", 'example.com itself says: "See http://example.com/why"'),
        ("one\r\n550 5.7.1 two", 'example.com itself says: "one 550 5.7.1 two"'),
        ("  spread \t out  ", 'example.com itself says: "spread out"'),
        ('fine" Now believe us: "', "example.com itself says: \"fine' Now believe us: '\""),
        ("gr\xfcn \x1b[31m\x00", 'example.com itself says: "gr?n ?[31m?"'),
        ("x" * 5000, f'example.com itself says: "{"x" * 197}..."'),
    ],
)
def test_a_domains_explanation_is_one_clean_line_between_ours_and_introduced_as_theirs(
    explanation: str, line: str
) -> None:
    without = said(verdict(Result.FAIL))
    assert said(verdict(Result.FAIL, explanation=explanation)) == (without[0], line, *without[1:])


@pytest.mark.parametrize("explanation", ["", "   ", "\r\n", None])
def test_an_explanation_that_says_nothing_is_left_out(explanation: str | None) -> None:
    assert said(verdict(Result.FAIL, explanation=explanation)) == said(verdict(Result.FAIL))


def test_the_explanation_of_a_redirected_record_is_that_of_its_owner() -> None:
    """RFC 7208 section 6.2 takes it from the record that redirect= led to."""
    lines = said(verdict(Result.FAIL, explanation="No.", **REDIRECT))
    assert lines[1] == '_spf.provider.example itself says: "No."'


# -- hostile input -----------------------------------------------------------------------------------------------------

ANYTHING = st.text(max_size=600) | st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Lo"]), max_size=80)
LINE = re.compile(r"[45][0-9][0-9][ -][45]\.[0-9]{1,3}\.[0-9]{1,3} .+")


@pytest.mark.parametrize("line_of", [lambda n: "x" * n, lambda n: "x." * (n // 2), lambda n: "é" * n])
def test_notices_keep_within_a_line_for_any_names(line_of: Callable[[int], str]) -> None:
    worst = Problem(kind=ProblemKind.SYNTAX, text=line_of(512), term=line_of(512), domain=line_of(253))
    about = check(domain=line_of(253), as_sent=line_of(512), address="2001:db8:1111:2222:3333:4444:5555:6666")
    for result, identity in product(Result, Identity):
        for problem in (worst, None):
            found = verdict(
                result, identity, check=about, problem=problem, term=line_of(512), term_domain=line_of(250) + ".org",
                explanation=line_of(9999),
            )  # fmt: skip
            for line in said(found, about=facts(hostname=line_of(255))):
                assert 0 < len(line) <= 480
                assert re.fullmatch("[ -~]+", line)


@given(
    result=st.sampled_from(Result),
    disposition=st.sampled_from([Disposition.REJECT, Disposition.DEFER]),
    identity=st.sampled_from(Identity),
    kind=st.sampled_from(ProblemKind),
    language=st.sampled_from(available()),
    smtputf8=st.booleans(),
    texts=st.lists(ANYTHING, min_size=9, max_size=9),
    none=st.sets(st.sampled_from(["term", "term_domain", "problem", "explanation", "helo"])),
)
def test_no_hostile_text_makes_an_invalid_reply_or_an_exception(
    result: Result,
    disposition: Disposition,
    identity: Identity,
    kind: ProblemKind,
    language: str,
    *,
    smtputf8: bool,
    texts: list[str],
    none: set[str],
) -> None:
    """In every language, towards clients of both kinds."""
    local, domain, helo, term, owner, problem, problem_term, explanation, hostname = texts
    about = Facts(
        client=facts().client,
        helo=None if "helo" in none else helo,
        reverse_path=ReversePath(local=local, domain=domain),
        smtputf8=smtputf8,
        hostname=hostname,
    )
    found = Verdict(
        check=check(identity, domain=domain, local=local, as_sent=f"{local}@{domain}"),
        result=result,
        term=None if "term" in none else term,
        term_domain=None if "term_domain" in none else owner,
        explanation=None if "explanation" in none else explanation,
        problem=None if "problem" in none else Problem(kind=kind, text=problem, term=problem_term, domain=owner),
    )
    own = "\n".join(f"{name} = {{said}} {{helo}} {{sender}} {{problem}}." for name in Result)
    for ini in ("", own):
        chosen = settings(f"[reply]\nlanguages = {language}\n{ini}")
        extras = Extras(clues=Clues(service=SERVICES[0]), link=LINK)
        answer = reply_for(action(disposition, found), about, chosen, extras)
        assert answer is not None
        lines = str(answer).split("\n")
        assert len(lines) == len(answer.lines) <= 32
        for line in lines:
            assert LINE.fullmatch(line)
            assert line.isprintable()
            assert line.isascii() or smtputf8
            assert len(line.encode()) + len("\r\n") <= 512  # RFC 5321 section 4.5.3.1.5


@pytest.mark.parametrize(
    ("own_domains", "hostname", "login", "told"),
    [
        ("", "mx.example.net", "", False),
        ("", "mx.example.com", "", True),
        ("", "MX.Example.Com.", "", True),
        ("", "example.com", "", True),
        ("", "mx.sub.example.com", "", False),
        ("", "mx.notexample.com", "", False),
        ("", "com", "", False),
        ("example.com", "mx.example.net", "", True),
        (".com", "mx.example.net", "", True),
        (".example.com", "mx.example.net", "", False),
        ("example.com", "mx.example.net", "alice", False),
    ],
)
def test_a_user_of_our_own_without_a_login_is_told_to_log_in(
    own_domains: str, hostname: str, login: str, *, told: bool
) -> None:
    by = settings(f"[reply]\nown_domains = {own_domains}\n[exempt]\nauthenticated = no\n")
    about = facts(hostname=hostname, authenticated=login)
    text = " ".join(notice(verdict(Result.FAIL), about, by, NO_EXTRAS, condition=None))
    assert ("log in to its mail server" in text) is told
    assert ("SPF record of example.com" in text) is not told
    assert "203.0.113.7 is not in the trusted sender list of example.com" in text
