"""What the refused sender reads, in English; the other languages are in test_languages.py."""

import re
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.language import available
from spfmilter.languagetable import TABLE
from spfmilter.model import Condition, Disposition, Facts, Identity, Problem, ProblemKind, Result, ReversePath, Verdict
from spfmilter.reply import Extras, notice, problem_text, reply_for, sentences
from spfmilter.reply.texts import all_texts
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from spfmilter.web.languages import LANGUAGES
from tests.values import NO_EXTRAS, PAGE_LANGUAGES, action, check, facts, settings, verdict

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
    """The lines of a refusal."""
    return notice(found, about or facts(), settings(ini), extras, disposition=Disposition.REJECT, condition=None)


# -- the built-in texts ------------------------------------------------------------------------------------------------

# Every variant that a verdict can call for, with what its first line must name beside the client's address.
FIRST_LINES: list[tuple[Result, Identity, Mapping[str, Any], tuple[str, ...]]] = [
    (Result.FAIL, MAILFROM, {}, ("example.com", "SPF check: fail", '"-all"')),
    (Result.FAIL, MAILFROM, REDIRECT, ("example.com", "SPF check: fail", '"-all"', "_spf.provider.example")),
    (Result.FAIL, MAILFROM, EXPLICIT, ("example.com", "SPF check: fail", '"-ip4:203.0.113.0/24"')),
    (Result.FAIL, HELO, {}, ("mail.example.com", "SPF check: fail for HELO", '"-all"')),
    (Result.FAIL, HELO, EXPLICIT, ("mail.example.com", "SPF check: fail for HELO", '"-ip4:203.0.113.0/24"')),
    (Result.SOFTFAIL, MAILFROM, {}, ("example.com", "SPF check: softfail", '"~all"')),
    (Result.SOFTFAIL, MAILFROM, EXPLICIT, ("example.com", "SPF check: softfail", '"-ip4:203.0.113.0/24"')),
    (Result.SOFTFAIL, HELO, {}, ("mail.example.com", "SPF check: softfail for HELO", '"~all"')),
    (Result.SOFTFAIL, HELO, EXPLICIT, ("mail.example.com", "SPF check: softfail for HELO")),
    (Result.NEUTRAL, MAILFROM, {}, ("example.com", "SPF check: neutral")),
    (Result.NEUTRAL, MAILFROM, EXPLICIT, ("example.com", "SPF check: neutral", '"-ip4:203.0.113.0/24"')),
    (Result.NEUTRAL, HELO, {}, ("mail.example.com", "SPF check: neutral for HELO")),
    (Result.NEUTRAL, HELO, EXPLICIT, ("mail.example.com", "SPF check: neutral for HELO")),
    (Result.NONE, MAILFROM, {}, ("example.com", "no SPF record", "SPF check: none")),
    (Result.NONE, HELO, {}, ("mail.example.com", "which has no SPF record", "SPF check: none for HELO")),
    (Result.NONE, MAILFROM, {"problem": NO_DOMAIN}, ("user@example.com", "no domain", "SPF check: none")),
    (Result.NONE, HELO, {"problem": NO_DOMAIN}, ("mail.example.com", "not a domain", "SPF check: none for HELO")),
    (Result.PASS, MAILFROM, EXPLICIT, ("example.com", "SPF check: pass")),
    (Result.PASS, HELO, EXPLICIT, ("mail.example.com", "SPF check: pass for HELO")),
    (Result.PERMERROR, MAILFROM, {"problem": BROKEN}, ("example.com", "SPF check: permerror", "ipv4:192.0.2.1")),
    (
        Result.PERMERROR,
        HELO,
        {"problem": BROKEN},
        ("mail.example.com", "SPF check: permerror for HELO", "ipv4:192.0.2.1"),
    ),
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
def test_no_text_blames_this_server_or_the_receivers_record(text: str) -> None:
    """In a bounce, "this server" is the sender's own. The notice that this project answers spoke of "its" list."""
    assert not {"{sender}", "{helo}"} & set(re.findall(r"\{\w+\}", text))
    assert "at this server" not in text
    assert "of {hostname}" not in text
    if "add {add}" in text or "put {add}" in text:
        assert "If you run {" in text or "If it is its name" in text, "advice names whose record"


@pytest.mark.parametrize(("result", "identity", "more", "named"), FIRST_LINES)
def test_the_last_line_says_whom_to_ask(
    result: Result, identity: Identity, more: dict[str, object], named: tuple[str, ...]
) -> None:
    del named
    found = said(verdict(result, identity, **more))
    assert found[-1].endswith("Questions to mx.example.net: postmaster@mx.example.net")


def test_a_refusal_begins_with_that_and_is_for_now_or_for_good() -> None:
    lines = {
        disposition: notice(
            verdict(Result.FAIL), facts(), settings(), NO_EXTRAS, disposition=disposition, condition=None
        )
        for disposition in Disposition
    }
    told = '203.0.113.7 is not in the trusted sender list of example.com (SPF check: fail, matched "-all")'
    assert lines[Disposition.REJECT][0] == f"Message refused: {told}"
    assert lines[Disposition.DEFER][0] == f"Not accepted yet: {told}"
    assert {lines[other][0] for other in Disposition if not other.refuses} == {told}


def test_the_order_is_what_happened_the_link_users_administrators_all_others_the_case_id() -> None:
    extras = Extras(link="https://mx.example.net/spf/AbCd", case="H1FC-402Z-GPWG")
    starts = (
        "Message refused: 203.0.113.7 is not in the trusted sender list of example.com",
        f"Help and current result ({PAGE_LANGUAGES}): https://mx.example.net/spf/AbCd",
        "If you only use this address: send through the webmail or the mail server (SMTP) of example.com.",
        "If you run example.com: add ip4:203.0.113.7 to its SPF record, but only if this server is yours",
        "Otherwise forward this message to the administrator of example.com: only they can change its SPF record",
        "Case: H1FC-402Z-GPWG",
    )
    lines = said(verdict(Result.FAIL), extras=extras)
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


@pytest.mark.parametrize(("address", "term"), [("203.0.113.7", "ip4:203.0.113.7"), ("2001:db8::7", "ip6:2001:db8::7")])
def test_the_term_to_add_is_of_the_clients_ip_version(address: str, term: str) -> None:
    assert f"example.com: add {term} to its SPF record" in said(verdict(Result.FAIL, check=check(address=address)))[2]
    assert f'"v=spf1 {term} -all"' in said(verdict(Result.NONE, check=check(address=address)))[1]


def test_a_redirects_target_is_named_but_the_domains_own_record_is_to_be_changed() -> None:
    first, _, advice, others = said(verdict(Result.FAIL, **REDIRECT))
    assert "203.0.113.7 is not in the trusted sender list of example.com" in first
    assert advice.startswith("If you run example.com: add ip4:203.0.113.7 to its SPF record, before redirect=_spf.prov")
    assert "the administrator of example.com" in others


def test_a_term_that_refuses_by_itself_is_to_be_changed_since_one_behind_it_is_never_reached() -> None:
    advice = said(verdict(Result.FAIL, **EXPLICIT))[2]
    assert 'put ip4:203.0.113.7 before "-ip4:203.0.113.0/24" in its SPF record, or change that' in advice


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL])
def test_a_service_that_the_client_belongs_to_is_to_be_included_by_its_customers(result: Result) -> None:
    service = SERVICES[0]
    lines = said(verdict(result), extras=Extras(clues=Clues(service=service)))
    assert f"add {service.term} to its SPF record, but only if you send through {service.name}." in lines[2]
    assert "ip4:203.0.113.7" not in " ".join(lines)


def test_a_first_record_includes_the_service() -> None:
    lines = said(verdict(Result.NONE), extras=Extras(clues=Clues(service=SERVICES[0])))
    assert f'"v=spf1 {SERVICES[0].term} -all"' in lines[1]


def test_a_record_that_lets_this_server_in_by_another_term_is_not_told_to_give_up_the_clients() -> None:
    """Found by asking for this server's own address: the client's term may be right."""
    wide = verdict(Result.PASS, term="ip4:203.0.113.7", term_domain="example.com", condition=Condition.WIDE_OPEN)
    by = Condition.WIDE_OPEN
    lines = notice(wide, facts(), settings(), NO_EXTRAS, disposition=Disposition.REJECT, condition=by)
    assert "list only its own sending servers" in lines[1]
    assert "ip4:203.0.113.7" not in lines[1]


@pytest.mark.parametrize("result", [Result.PERMERROR, Result.TEMPERROR, Result.PASS])
def test_no_service_helps_where_a_term_would_change_nothing(result: Result) -> None:
    assert said(verdict(result), extras=Extras(clues=Clues(service=SERVICES[0]))) == said(verdict(result))


def test_softfail_and_neutral_do_not_speak_as_if_the_mail_were_forbidden() -> None:
    assert "is probably not allowed" in said(verdict(Result.SOFTFAIL))[0]
    assert "does not say whether the server 203.0.113.7 may" in said(verdict(Result.NEUTRAL))[0]


@pytest.mark.parametrize("result", [Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL])
def test_for_helo_it_is_asked_first_whether_the_name_is_right(result: Result) -> None:
    lines = said(verdict(result, HELO))
    assert lines[1].startswith("If you run the server 203.0.113.7: if mail.example.com is not its name, set its HELO")
    assert lines[2].startswith("If it is its name, add ip4:203.0.113.7 to the SPF record of mail.example.com")


def test_the_link_is_the_second_line_and_behind_an_administrators_own_lines() -> None:
    first, *others = said(verdict(Result.FAIL))
    link = f"Help and current result ({PAGE_LANGUAGES}): {LINK}"
    assert said(verdict(Result.FAIL), extras=Extras(link=LINK)) == (first, link, *others)
    own = "[reply]\nfail = Own words.\n    More of them."
    assert said(verdict(Result.FAIL), own, extras=Extras(link=LINK)) == ("Own words.", "More of them.", link)


def test_the_languages_beside_the_link_are_those_of_the_page() -> None:
    ascii_names = {row.tag: row.ascii_name for row in TABLE}
    assert PAGE_LANGUAGES.split(", ") == list(dict.fromkeys(ascii_names[page.tag] for page in LANGUAGES))


@pytest.mark.parametrize(
    ("kind", "disposition", "told"),
    [
        (ProblemKind.DNS_FAILURE, Disposition.DEFER, "try again by itself; you need not send again. If this goes on"),
        (
            ProblemKind.DNS_FAILURE,
            Disposition.REJECT,
            "Please send again later. If this goes on, tell the administrator",
        ),
        (ProblemKind.OWN_RESOLVER, Disposition.DEFER, "The name servers that mx.example.net uses do not answer"),
        (ProblemKind.OWN_RESOLVER, Disposition.REJECT, "which is not your fault"),
    ],
)
def test_who_is_deferred_need_not_send_again_and_who_is_rejected_must(kind, disposition, told) -> None:
    """People send twice what a 451 tells them to send again: their server retries by itself."""
    found = verdict(Result.TEMPERROR, problem=Problem(kind=kind, text="no answer", domain="example.com"))
    lines = notice(found, facts(), settings(), NO_EXTRAS, disposition=disposition, condition=None)
    assert told in lines[1]
    assert ("send again later" in lines[1]) is (disposition is Disposition.REJECT)
    assert ("by itself" in lines[1]) is (disposition is Disposition.DEFER)


def test_an_accepted_message_is_not_to_be_sent_again() -> None:
    found = verdict(Result.TEMPERROR, problem=SILENT)
    lines = notice(found, facts(), settings(), NO_EXTRAS, disposition=Disposition.TAG, condition=None)
    assert "again" not in " ".join(lines)


def test_a_problem_without_its_term_is_still_to_be_corrected_somewhere() -> None:
    nowhere = Problem(kind=ProblemKind.BAD_MACRO, text="odd", domain="example.com")
    advice = said(verdict(Result.PERMERROR, problem=nowhere))[1]
    assert advice == "If you run example.com: correct this in its SPF record."


def test_sentences_can_follow_each_other() -> None:
    first, *others = sentences(verdict(Result.FAIL), facts(), settings(), condition=None, case="H1FC-402Z-GPWG")
    assert first.endswith('matched "-all").')
    assert all(other.endswith(".") for other in others)
    assert others[-1] == "Case: H1FC-402Z-GPWG."


@pytest.mark.parametrize("term", ["-all", "~ALL", "?All", "all", "+all"])
def test_all_is_no_explicit_term_with_any_case_and_qualifier(term: str) -> None:
    assert "If you run example.com: add" in said(verdict(Result.FAIL, term=term, term_domain="example.com"))[2]


def test_a_permerror_is_fixed_in_the_record_with_the_problem() -> None:
    included = Problem(kind=ProblemKind.SYNTAX, text="not a mechanism", term="ipv4:1.2.3.4", domain="inc.example")
    first, advice, others = said(verdict(Result.PERMERROR, problem=included))
    assert 'not a mechanism at "ipv4:1.2.3.4" in the record of inc.example' in first
    assert advice.startswith("If you run inc.example: correct ")
    assert "the administrator of example.com" in others, "whose record includes the other one"


@pytest.mark.parametrize("tag", available())
def test_a_domain_is_named_once_in_the_first_line_of_a_permerror(tag: str) -> None:
    first = said(verdict(Result.PERMERROR, problem=BROKEN), f"[reply]\nlanguages = {tag}", facts(smtputf8=True))[0]
    assert first.count("example.com") == 1


@pytest.mark.parametrize("tag", available())
def test_a_mistaken_mechanism_is_recognised_in_every_language(tag: str) -> None:
    text = "unknown mechanism (did you mean ip4?)"
    problem = Problem(kind=ProblemKind.UNKNOWN_MECHANISM, text=text, term="ipv4:192.0.2.1", domain="example.com")
    first = said(verdict(Result.PERMERROR, problem=problem), f"[reply]\nlanguages = {tag}", facts(smtputf8=True))[0]
    assert re.search(r"\bip4\b", first.replace("ipv4:192.0.2.1", ""), re.ASCII)


def test_a_name_made_from_a_macro_is_not_to_be_removed_with_its_provider() -> None:
    problem = Problem(
        kind=ProblemKind.VOID_LOOKUP_LIMIT, text="...", term="exists:%{i}.x.example", domain="example.com"
    )
    advice = said(verdict(Result.PERMERROR, problem=problem))[1]
    assert "remove" not in advice
    assert "Ask the provider that gave you this term." in advice


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
    assert said(verdict(Result.FAIL), "[reply]\ncontact = +49 30 1234")[-1].endswith("mx.example.net: +49 30 1234")


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
        ("See http://example.com/why", 'example.com says: "See http://example.com/why"'),
        ("one\r\n550 5.7.1 two", 'example.com says: "one 550 5.7.1 two"'),
        ("  spread \t out  ", 'example.com says: "spread out"'),
        ('fine" Now believe us: "', "example.com says: \"fine' Now believe us: '\""),
        ("gr\xfcn \x1b[31m\x00", 'example.com says: "gr?n ?[31m?"'),
        ("x" * 5000, f'example.com says: "{"x" * 197}..."'),
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
    assert lines[1] == '_spf.provider.example says: "No."'


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
    lines = notice(verdict(Result.FAIL), about, by, NO_EXTRAS, disposition=Disposition.REJECT, condition=None)
    text = " ".join(lines)
    assert ("log in to its mail server" in text) is told
    assert ("If you run example.com" in text) is not told
    assert "203.0.113.7 is not in the trusted sender list of example.com" in text
