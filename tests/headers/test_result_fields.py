"""The fields that record a verdict, read back by parsers that are not ours."""

import re
from email import message_from_string, policy
from itertools import product

import authres
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import readers
from spfmilter.edits import HeaderField
from spfmilter.headers import edits, result_fields
from spfmilter.model import Client, Disposition, Facts, Identity, Problem, ProblemKind, Result, ReversePath, Verdict
from tests.headers.received_spf import parse
from tests.values import action, check, facts, settings, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
NO_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="the identity names no domain that can be looked up")


def written(*verdicts: Verdict, about: Facts | None = None, ini: str = "") -> dict[str, list[str]]:
    """The unfolded values of the result fields, by name."""
    found: dict[str, list[str]] = {}
    for field in result_fields(verdicts, about or facts(), settings(ini)):
        found.setdefault(field.name, []).append(field.value.replace("\n", ""))
    return found


def received(found: Verdict, **other: object) -> dict[str, str]:
    """The one Received-SPF field of a verdict, as its key-value pairs with `result` and `comment`."""
    (value,) = written(found, about=facts(**other))["Received-SPF"]  # type: ignore[arg-type]
    return parse(value)


def authentication_results(*verdicts: Verdict, about: Facts | None = None) -> authres.AuthenticationResultsHeader:
    """The Authentication-Results field, read by authres."""
    (value,) = written(*verdicts, about=about)["Authentication-Results"]
    return authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {value}")


# -- Received-SPF ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "identity"), list(product(Result, Identity)))
def test_received_spf_says_result_and_identity_for_every_result(result: Result, identity: Identity) -> None:
    found = received(verdict(result, identity))
    assert (found["result"], found["identity"]) == (result, identity)


def test_received_spf_of_mail_from_holds_what_was_checked_and_what_matched() -> None:
    assert received(verdict(Result.FAIL)) == {
        "result": "fail",
        "comment": "mx.example.net: domain of example.com does not designate 203.0.113.7 as permitted sender",
        "client-ip": "203.0.113.7",
        "envelope-from": "user@example.com",
        "helo": "mail.example.com",
        "receiver": "mx.example.net",
        "identity": "mailfrom",
        "mechanism": "-all",
    }


def test_received_spf_of_helo_is_about_the_host_alone() -> None:
    found = received(verdict(Result.PASS, HELO, term="ip6:2001:db8::/32", check=check(HELO, address="2001:db8::7")))
    assert "envelope-from" not in found
    assert (found["helo"], found["client-ip"]) == ("mail.example.com", "2001:db8::7")
    assert found["mechanism"] == "ip6:2001:db8::/32"


def test_a_null_sender_is_an_empty_envelope_from_nowhere_and_the_helo_identity() -> None:
    found = received(verdict(Result.PASS, check=check(HELO, null_sender=True)), sender="<>")
    assert found["identity"] == "helo"
    assert "envelope-from" not in found


def test_what_matched_nothing_is_the_default() -> None:
    assert received(verdict(Result.NEUTRAL))["mechanism"] == "default"  # RFC 7208 section 9.1


def test_a_problem_takes_the_place_of_the_mechanism() -> None:
    broken = Problem(kind=ProblemKind.SYNTAX, text='no "(mechanism)"', term="ipv4:1.2.3.4", domain="inc.example")
    found = received(verdict(Result.PERMERROR, problem=broken))
    assert found["problem"] == 'no "(mechanism)" at "ipv4:1.2.3.4" in the record of inc.example'
    assert found["comment"].endswith('example.com: no "[mechanism]" at "ipv4:1.2.3.4" in the record of inc.example')
    assert "mechanism" not in found


@pytest.mark.parametrize(
    ("sender", "smtputf8", "expected"),
    [
        ("<jürgen@example.com>", True, "jürgen@example.com"),
        ("<jürgen@example.com>", False, "j?rgen@example.com"),
        ("<u@bücher.example>", True, "u@bücher.example"),
        ("<u@bücher.example>", False, "u@b?cher.example"),
        ("<j\udcfcrgen@example.com>", True, "j?rgen@example.com"),  # an octet that was no UTF-8
        ("<a\u202eb@example.com>", True, "a?b@example.com"),  # would turn the reading direction
        ('<"a\\"b c"@example.com>', False, '"a\\"b c"@example.com'),
        ("<a(b)c@example.com>", False, "a(b)c@example.com"),
        ("<a\r\nX-Evil: 1@example.com>", False, "a??X-Evil: 1@example.com"),
        ("<a\x00\x7f\t@example.com>", False, "a???@example.com"),
    ],
)
def test_utf8_goes_out_only_where_the_client_asked_for_it_and_nothing_harmful_ever(
    sender: str, smtputf8: bool, expected: str
) -> None:
    assert received(verdict(Result.FAIL), sender=sender, smtputf8=smtputf8)["envelope-from"] == expected


@pytest.mark.parametrize("helo", ["[203.0.113.7]", 'a"b', "a\\b", "a;b=c", "a(b", "x y", "", "a..b", ".a", "a.", "-"])
def test_any_helo_comes_back_from_received_spf_as_it_was_sent(helo: str) -> None:
    assert received(verdict(Result.FAIL), helo=helo)["helo"] == helo


# -- Authentication-Results --------------------------------------------------------------------------------------------


def test_each_identity_has_authentication_results_of_its_own_and_mail_froms_are_on_top() -> None:
    both = verdict(Result.NONE, HELO), verdict(Result.PASS, term="mx")
    fields = written(*both)["Authentication-Results"]
    assert fields == [
        (
            "mx.example.net; "
            "spf=pass (domain of example.com designates 203.0.113.7 as permitted sender) smtp.mailfrom=example.com"
        ),
        (
            "mx.example.net; "
            "spf=none (domain of mail.example.com does not designate permitted sender hosts) "
            "smtp.helo=mail.example.com"
        ),
    ]
    read = [authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {value}") for value in fields]
    assert [(found.authserv_id, found.version) for found in read] == [("mx.example.net", None)] * 2
    results = [result for found in read for result in found.results]
    assert [(r.method, r.result) for r in results] == [("spf", "pass"), ("spf", "none")]
    assert [(p.type, p.name, p.value) for r in results for p in r.properties] == [
        ("smtp", "mailfrom", "example.com"),
        ("smtp", "helo", "mail.example.com"),
    ]


@pytest.mark.outside
@pytest.mark.skipif(bool(readers.no_spamassassin()), reason=readers.no_spamassassin() or "available")
def test_spamassassin_takes_each_result_for_its_identity() -> None:
    """Its plugin SPF reads the last result of a field only, and AuthRes takes the first, or any pass."""
    both = ("authentication-results", "received-spf, authentication-results")
    cases = {
        f"{place}-{helo}-{result}": (helo, result, fields)
        for place, fields in enumerate(both)
        for helo, result in product((Result.NONE, Result.FAIL), Result)
    }
    messages = {}
    for name, (helo, result, fields) in cases.items():
        ini = settings(f"[headers]\nwrite = {fields}")
        written_fields = result_fields([verdict(helo, HELO), verdict(result)], facts(), ini)
        head = "".join(f"{field.name}: {field.value}\n" for field in written_fields)
        hop = (
            "Received: from mail.example.com (mail.example.com [203.0.113.7]) by mx.example.net (Postfix) with ESMTP\n"
        )
        messages[name] = f"{head}{hop}From: a@example.com\nSubject: x\n\nHello.\n".encode()
    assert readers.spamassassin_results(messages) == {
        name: readers.Seen(authres=result, mail_from=result, helo=helo) for name, (helo, result, _) in cases.items()
    }


@pytest.mark.parametrize(("result", "identity"), list(product(Result, Identity)))
def test_authentication_results_say_every_result(result: Result, identity: Identity) -> None:
    (found,) = authentication_results(verdict(result, identity)).results
    assert (found.result, found.properties[0].name) == (result, identity)


@pytest.mark.parametrize(
    ("domain", "said", "value"),
    [
        ("example.com", "bounces+a=b.example@example.com", "example.com"),
        ("xn--bcher-kva.example", "u@bücher.example", "xn--bcher-kva.example"),
        ("", "a=b@localhost", "localhost"),
        ("", "a@[203.0.113.7]", "[203.0.113.7]"),
        ("", "nobody@", ""),
        ('a"b;c.example', 'u@a"b;c.example', "a?b?c.example"),  # what a reader could take for the field's syntax
    ],
)
def test_smtp_mailfrom_is_the_domain_alone(domain: str, said: str, value: str) -> None:
    """OpenDMARC matches nothing else, and drops the field over a `=` in an address."""
    (value_found,) = written(verdict(Result.NONE, check=check(domain=domain, as_sent=said)))["Authentication-Results"]
    assert re.search(rf'smtp\.mailfrom=({re.escape(value)}|"{re.escape(value)}")$', value_found)
    (found,) = authentication_results(verdict(Result.NONE, check=check(domain=domain, as_sent=said))).results
    assert found.properties[0].value.strip('"') == value


@pytest.mark.parametrize(
    ("ini", "hostname", "own"),
    [
        ("", "mx.example.net", "mx.example.net"),
        ("[headers]\nauthserv_id = Example.Org", "mx.example.net", "Example.Org"),
        ("", "", "localhost"),
        ("", "m x\n", '"m x?"'),
    ],
)
def test_the_authserv_id_is_configured_or_the_mtas_name(ini: str, hostname: str, own: str) -> None:
    found = written(verdict(Result.FAIL), about=facts(hostname=hostname), ini=ini)
    assert found["Authentication-Results"][0].startswith(f"{own}; spf=fail ")
    assert f"receiver={own}; " in found["Received-SPF"][0]


# -- which fields, and where -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "names"),
    [
        ("received-spf, authentication-results", ["Authentication-Results"] * 2 + ["Received-SPF"] * 2),
        ("authentication-results", ["Authentication-Results"] * 2),
        ("received-spf", ["Received-SPF", "Received-SPF"]),
        ("", []),
    ],
)
def test_the_fields_written_are_those_that_are_configured(write: str, names: list[str]) -> None:
    both = verdict(Result.NONE, HELO), verdict(Result.PASS)
    found = result_fields(both, facts(), settings(f"[headers]\nwrite = {write}"))
    assert [field.name for field in found] == names


def test_nothing_is_recorded_where_nothing_was_checked() -> None:
    assert result_fields((), facts(), settings()) == ()


def test_a_helo_without_a_domain_is_recorded_only_where_there_is_nothing_else() -> None:
    domainless = verdict(Result.NONE, check=check(HELO, domain="", as_sent="[203.0.113.7]"), problem=NO_DOMAIN)
    assert len(written(domainless, verdict(Result.PASS))["Received-SPF"]) == 1
    assert [r.properties[0].value for r in authentication_results(domainless).results] == ["[203.0.113.7]"]


def test_a_sender_without_a_domain_is_recorded_above_its_host() -> None:
    """The sender's field is the first: OpenDMARC reads no other."""
    domainless = verdict(Result.NONE, check=check(domain="", as_sent="user@localhost"), problem=NO_DOMAIN)
    assert [parse(value)["identity"] for value in written(verdict(Result.PASS, HELO), domainless)["Received-SPF"]] == [
        "mailfrom",
        "helo",
    ]


@pytest.mark.parametrize(
    ("disposition", "would", "notice"),
    [
        (Disposition.ACCEPT, None, None),
        (Disposition.TAG, None, "tag; The server 203.0.113.7 is probably not"),
        (Disposition.QUARANTINE, None, "quarantine; The server 203.0.113.7 is probably not"),
        (
            Disposition.ACCEPT,
            Disposition.REJECT,
            "in monitor mode; would be: reject; The server 203.0.113.7 is probably not",
        ),
        (Disposition.ACCEPT, Disposition.TAG, "in monitor mode; would be: tag; The server 203.0.113.7 is probably not"),
    ],
)
def test_the_notice_comes_with_tag_quarantine_and_what_monitor_mode_did_not_do(
    disposition: Disposition, would: Disposition | None, notice: str | None
) -> None:
    found = verdict(Result.SOFTFAIL)
    change = edits(
        action(disposition, found, would),
        [found],
        facts(),
        settings(),
        (),
        skip=None,
        subject_fields=(),
        content_type="",
        case="",
    )
    assert [f.name for f in change.insert[:2]] == ["Authentication-Results", "Received-SPF"]
    notices = [f.value.replace("\n", "") for f in change.insert if f.name == "X-SPF-Notice"]
    assert [n[: len(notice)] for n in notices if notice] == ([notice] if notice else [])
    assert len(notices) == bool(notice)
    held = "SPF softfail for example.com from 203.0.113.7"
    assert change.quarantine == (held if disposition is Disposition.QUARANTINE else None)


def test_the_notice_goes_under_the_configured_name() -> None:
    found = verdict(Result.SOFTFAIL)
    change = edits(
        action(Disposition.TAG, found),
        [found],
        facts(),
        settings("[headers]\ntag_header = X-Why"),
        (),
        skip=None,
        subject_fields=(),
        content_type="",
        case="",
    )
    assert [f.name for f in change.insert] == ["Authentication-Results", "Received-SPF", "X-Why"]


# -- folding and hostile input -----------------------------------------------------------------------------------------


def assert_well_formed(field: HeaderField) -> None:
    """A field that no line of which breaks out, is too long, or is blank."""
    lines = f"{field.name}: {field.value}".split("\n")
    for place, line in enumerate(lines):
        assert line.isprintable()
        assert len(line.encode()) <= 998  # RFC 5322 section 2.1.1
        assert line.startswith(" ") is (place > 0)
        assert line.strip(), "a line of blanks would end the header for some"
        assert len(line) <= 78 or " " not in outside_quotes(line.strip()).partition(": ")[2], "foldable, and not folded"


def outside_quotes(line: str) -> str:
    """The line without its quoted strings, at whose blanks nothing is folded."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", line)


def test_long_fields_are_folded_at_78_and_unfold_to_what_they_say() -> None:
    long = "very-long-label." * 12 + "example.com"
    found = verdict(Result.FAIL, check=check(domain=long))
    for field in result_fields([found], facts(f"<user@{long}>"), settings()):
        assert field.value.count("\n ") == field.value.count("\n") > 2
        assert_well_formed(field)
        message = message_from_string(f"{field.name}: {field.value}\n\nbody", policy=policy.compat32)
        assert message.get_payload() == "body"
        assert len(message.items()) == 1
    assert parse(written(found, about=facts(f"<user@{long}>"))["Received-SPF"][0])["envelope-from"] == f"user@{long}"


ANYTHING = st.text(max_size=600) | st.text(st.characters(codec="ascii"), max_size=300)


@given(
    result=st.sampled_from(Result),
    identity=st.sampled_from(Identity),
    texts=st.lists(ANYTHING, min_size=7, max_size=7),
    smtputf8=st.booleans(),
    troubled=st.booleans(),
)
def test_nothing_hostile_breaks_a_field(
    result: Result, identity: Identity, texts: list[str], smtputf8: bool, troubled: bool
) -> None:
    local, domain, helo, term, owner, problem, explanation = texts
    about = Facts(
        client=Client(address=facts().client.address, name=helo),
        helo=helo,
        reverse_path=ReversePath(local=local, domain=domain),
        smtputf8=smtputf8,
        hostname=facts().hostname,
    )
    trouble = Problem(kind=ProblemKind.SYNTAX, text=problem, term=term, domain=owner) if troubled else None
    found = Verdict(
        check=check(identity, local=local, domain=domain, as_sent=f"{local}@{domain}"),
        result=result,
        term=term,
        term_domain=owner,
        problem=trouble,
        explanation=explanation,
    )
    change = edits(
        action(Disposition.QUARANTINE, found),
        [found],
        about,
        settings(),
        (),
        skip=None,
        subject_fields=(),
        content_type="",
        case="",
    )
    assert [field.name for field in change.insert] == ["Authentication-Results", "Received-SPF", "X-SPF-Notice"]
    for field in change.insert:
        assert_well_formed(field)
    results, received_spf, notice = (field.value.replace("\n", "") for field in change.insert)
    assert parse(received_spf)["identity"] == identity
    assert parse(received_spf)["result"] == result
    read = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {results}")
    assert [(r.method, r.result) for r in read.results] == [("spf", result)]
    assert notice.isprintable()
    assert notice.isascii() or smtputf8
    assert change.quarantine is not None
    assert change.quarantine.isprintable()


def test_a_record_of_our_own_is_named_as_such() -> None:
    """The reader would look for it in the DNS in vain."""
    values = written(verdict(Result.PASS, check=check(record="v=spf1 +all")))
    for name in ("Authentication-Results", "Received-SPF"):
        (value_found,) = values[name]
        assert "by a record of this server, not the published one" in value_found.replace("\n", "")
