"""``spfmilter check``: what would be done with a message, and why."""

import json
import re

import pytest

from tests.commands.conftest import MESSAGE

pytestmark = pytest.mark.outside

PASSING = ["--ip", "192.0.2.1", "--helo", "mail.example.com", "--mail-from", "alice@example.com"]


def untimed(text: str) -> str:
    """The output without its times, which differ from run to run."""
    return re.sub(r"\d+\.\d ms", "N ms", text)


def unfolded(text: str) -> str:
    return text.replace("\n   ", " ")


def test_a_fail_with_its_reply(run, write) -> None:
    done = run("check", "-c", write("[reply]\ncontact = postmaster@example.net\n"), *MESSAGE, "alice@example.com")
    assert (done.returncode, done.stderr) == (0, "")
    shown, _, reply = done.stdout.partition("reply\n")
    assert (
        untimed(shown)
        == """\
HELO mail.example.com from 203.0.113.7: pass  (1 lookup term, 0 void, N ms)
└── mail.example.com  v=spf1 a -all
    ├── TXT mail.example.com: 1 answer  N ms
    └── ✔ a  pass
        └── A mail.example.com: 203.0.113.7  N ms

MAIL FROM alice@example.com from 203.0.113.7: fail  (1 lookup term, 0 void, N ms)
├── example.com  v=spf1 ip4:192.0.2.0/24 include:_spf.example.org -all exp=why.example.com
│   ├── TXT example.com: 1 answer  N ms
│   ├── · ip4:192.0.2.0/24
│   ├── · include:_spf.example.org
│   │   ├── TXT _spf.example.org: 1 answer  N ms
│   │   └── _spf.example.org  v=spf1 ip4:198.51.100.0/24 ?all
│   │       ├── · ip4:198.51.100.0/24
│   │       └── ○ ?all  neutral
│   ├── ✘ -all  fail
│   └── TXT why.example.com: 1 answer  N ms
└── the domain's own explanation: 203.0.113.7 ?[31mis not [bold red]ours[/]

HELO          pass  matched "a" of mail.example.com
MAIL FROM     fail  matched "-all" of example.com
rule          [policy.mailfrom] fail = reject (the default)
action        reject
"""
    )
    lines = reply.splitlines()
    assert all(re.match(r"  550[- ]5\.7\.23 ", line) for line in lines)
    assert '203.0.113.7 is not in the trusted sender list of example.com (SPF check: fail, matched "-all")' in lines[0]
    assert any("If you run example.com: add ip4:203.0.113.7 to its SPF record" in line for line in lines)
    assert "postmaster@example.net" in reply
    assert "header fields" not in done.stdout, "a refused message gets none"


def test_a_pass_with_its_header_fields(run, write) -> None:
    done = run("check", "-c", write("[policy]\ncheck = mailfrom\n"), *PASSING)
    assert 'MAIL FROM     pass  matched "ip4:192.0.2.0/24" of example.com\n' in done.stdout
    assert "action        accept\n" in done.stdout
    assert "reply" not in done.stdout
    fields = done.stdout.partition("header fields\n")[2]
    assert fields.startswith("  Authentication-Results: mx.example.net; spf=pass (")
    assert "\n  Received-SPF: pass (mx.example.net: " in fields
    # Folded as it will be written, below its label by two columns, and not folded a second time.
    assert all(re.match(r"  (?:[A-Z][\w-]+: | \S)", line) for line in fields.splitlines())


def test_a_softfail_is_tagged_with_a_notice(run, write) -> None:
    path = write("[policy.mailfrom]\nsoftfail = tag\n")
    done = run("check", "-c", path, *MESSAGE, "bob@soft.example.com")
    line = path.read_text().splitlines().index("softfail = tag") + 1
    assert f"rule          [policy.mailfrom] softfail = tag (line {line})\n" in done.stdout
    assert "action        tag\n" in done.stdout
    assert (
        "  X-SPF-Notice: tag; The server 203.0.113.7 is probably not allowed to send mail for soft.example.com"
        in unfolded(done.stdout)
    )


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        (
            "a@broken.example.com",
            [
                "from 203.0.113.7: permerror  (1 lookup term, ",
                "! include:nothing.example.com\n",
                "nothing.example.com has no SPF record",
                "action        tag\n",
            ],
        ),
        (
            "a@lost.example.com",
            [
                "from 203.0.113.7: temperror  (1 lookup term, ",
                "! include:servfail.example.com\n",
                "TXT servfail.example.com: SERVFAIL",
                "action        accept\n",
            ],
        ),
        (
            "a@redirect.example.com",
            ["→ redirect=example.com\n", "✘ -all  fail\n", '"-all" of example.com\n', "action        reject\n"],
        ),
        ("a@unknown.example", ["unknown.example  no SPF record\n", "MAIL FROM     none\n", "action        accept\n"]),
        ("", ["HELO mail.example.com, for the empty MAIL FROM from 203.0.113.7: pass", "action        accept\n"]),
        ("<>", ["HELO mail.example.com, for the empty MAIL FROM from 203.0.113.7: pass", "action        accept\n"]),
    ],
)
def test_other_results(run, write, sender, expected) -> None:
    done = run("check", "-c", write(), *MESSAGE, sender)
    assert done.returncode == 0
    for text in expected:
        assert text in done.stdout


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (
            "two.example.com",
            """\
├── two.example.com  more than one SPF record
│   └── TXT two.example.com: 3 answers  N ms
│       ├── v=spf1 a -all
│       └── v=spf1 mx ~all
└── two.example.com has more than one SPF record
""",
        ),
        (
            "merged.example.com",
            """\
├── merged.example.com  v=spf1 include:two.example.com -all
│   ├── TXT merged.example.com: 1 answer  N ms
│   └── ! include:two.example.com
│       └── TXT two.example.com: 3 answers  N ms
│           ├── v=spf1 a -all
│           └── v=spf1 mx ~all
""",
        ),
        (
            "umlaut.example.com",
            """\
├── umlaut.example.com  an SPF record that is not ASCII
│   └── TXT umlaut.example.com: 1 answer  N ms
│       └── v=spf1 a:b\\xc3\\xbccher.example -all
""",
        ),
        (
            "servfail.example.com",
            """\
├── servfail.example.com  the SPF record could not be looked up
│   └── TXT servfail.example.com: SERVFAIL  N ms
""",
        ),
        (
            "nothing.example.com",
            """\
└── nothing.example.com  no SPF record
    └── TXT nothing.example.com: no such name  N ms
""",
        ),
    ],
)
def test_a_record_that_could_not_be_read_is_not_reported_as_missing(run, write, domain: str, expected: str) -> None:
    shown = untimed(run("check", "-c", write(), *MESSAGE, f"a@{domain}").stdout)
    assert expected in shown
    assert ("no SPF record" in shown) is ("no SPF record" in expected)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (
            "loop.example.com",
            """\
├── loop.example.com  v=spf1 include:loop.example.com -all
│   ├── TXT loop.example.com: 1 answer  N ms
│   └── ! include:loop.example.com  it includes itself
├── more than 10 terms that need a DNS lookup: loop.example.com includes itself at "include:loop.example.com"
└── If you run loop.example.com: remove "include:loop.example.com". With it, the SPF record leads to itself.
""",
        ),
        ("turn.example.com", "│   └── ! redirect=turn.example.com  it redirects to itself\n"),
        (
            "one.example.com",
            """\
│   └── → include:other.example.com
│       ├── TXT other.example.com: 1 answer  N ms
│       └── other.example.com  v=spf1 include:one.example.com -all
│           └── ! include:one.example.com  one.example.com includes itself
""",
        ),
    ],
)
def test_a_record_that_leads_back_to_itself_is_shown_once(run, write, domain: str, expected: str) -> None:
    done = run("check", "-c", write("[policy]\ncheck = mailfrom\n"), *MESSAGE, f"a@{domain}")
    assert expected in untimed(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "reason", "rule"),
    [
        (["--ip", "192.0.2.99"], "exempt-network", "networks = 192.0.2.99 (line 6)"),
        (["--auth", "alice"], "authenticated", "authenticated = yes (the default)"),
        (["--ip", "10.0.0.7"], "private-client", "private_clients = yes (the default)"),
    ],
)
def test_what_is_exempt_is_not_checked(run, write, dns, arguments, reason, rule) -> None:
    dns.reset_counts()
    path = write("[exempt]\nnetworks = 192.0.2.99\n")
    done = run("check", "-c", path, *MESSAGE, "alice@example.com", *arguments)
    assert done.stdout == f"not checked   {reason}\nrule          [exempt] {rule}\naction        accept\n"
    assert not dns.queries


def test_monitor_mode_says_what_would_be_done(run, write) -> None:
    done = run("check", "-c", write("[policy]\nmode = monitor\n"), *MESSAGE, "alice@example.com")
    assert "action        accept (monitor mode; would be: reject)\n" in done.stdout
    assert "  X-SPF-Notice: in monitor mode; would be: reject; 203.0.113.7 is not in the trusted" in unfolded(
        done.stdout
    )
    assert "\nreply\n" not in done.stdout


def test_quarantine_says_why_the_message_is_held(run, write) -> None:
    done = run("check", "-c", write("[policy.mailfrom]\nfail = quarantine\n"), *MESSAGE, "alice@example.com")
    assert "action        quarantine\nheld because  SPF fail for example.com from 203.0.113.7\n" in done.stdout


@pytest.mark.parametrize(
    "sender", ["a@hostile.example.com", "a@markup.example.com", "a\x1b[31m[bold]\u202e@example.com"]
)
@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1", "COLUMNS": "100"}])
def test_hostile_text_is_shown_harmlessly(run, write, sender, environment) -> None:
    done = run("check", "-c", write(), *MESSAGE, sender, "--helo", "[/bold]\x1b]0;title\x07", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout) if environment else done.stdout
    assert all(c == "\n" or c.isprintable() for c in plain), "no control character but those of our own colours"
    assert "\u202e" not in plain
    # The brackets of markup stay to be read, and give no style and no error.
    assert "[bold]" in plain
    assert "[/bold]?]0;title?" in plain


def test_as_json(run, write) -> None:
    done = run("check", "--json", "-c", write(), *MESSAGE, "alice@example.com", "--rcpt", "bob@example.net")
    shown = json.loads(done.stdout)
    assert (shown["client"], shown["helo"], shown["mail_from"]) == (
        "203.0.113.7",
        "mail.example.com",
        "alice@example.com",
    )
    assert (shown["action"], shown["would"], shown["skip"], shown["rcpt"]) == ("reject", None, None, "bob@example.net")
    assert shown["rule"] == {
        "section": "policy.mailfrom",
        "key": "fail",
        "value": "reject",
        "line": None,
        "remark": None,
        "file": None,
    }
    assert shown["reply"][0].startswith(
        "550-5.7.23 Message refused: 203.0.113.7 is not in the trusted sender list of example.com"
    )
    helo, mailfrom = shown["verdicts"]
    assert (helo["identity"], helo["result"], helo["term"]) == ("helo", "pass", "a")
    assert (mailfrom["result"], mailfrom["term"], mailfrom["record"]) == ("fail", "-all", "example.com")
    assert mailfrom["lookups"] == 1
    assert mailfrom["ttl"] == 300
    assert [(term["term"], term["matched"]) for term in mailfrom["tree"]["terms"]] == [
        ("ip4:192.0.2.0/24", False),
        ("include:_spf.example.org", False),
        ("-all", True),
    ]
    assert mailfrom["tree"]["terms"][1]["record"]["domain"] == "_spf.example.org"


def test_json_of_a_hostile_record_is_ascii(run, write) -> None:
    done = run("check", "--json", "-c", write(), *MESSAGE, "a@hostile.example.com")
    assert done.stdout.isascii()
    assert all(c == "\n" or c.isprintable() for c in done.stdout)
    assert json.loads(done.stdout)["action"] == "tag"


def test_json_of_what_is_not_checked(run, write) -> None:
    shown = json.loads(run("check", "--json", "-c", write(), *MESSAGE, "a@example.com", "--auth", "alice").stdout)
    assert (shown["skip"], shown["verdicts"], shown["reply"], shown["headers"]) == ("authenticated", [], None, [])


def test_nothing_is_folded_for_a_pipe(run, write) -> None:
    done = run("check", "-c", write(), *MESSAGE, "alice@example.com", COLUMNS="40")
    assert "example.com  v=spf1 ip4:192.0.2.0/24 include:_spf.example.org -all exp=why.example.com\n" in done.stdout
    assert not any(line != line.rstrip() for line in done.stdout.splitlines())


def test_for_a_terminal_long_lines_go_on_below_themselves(run, write) -> None:
    done = run("check", "-c", write(), *MESSAGE, "alice@example.com", COLUMNS="60", FORCE_COLOR="1")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert max(map(len, plain.splitlines())) <= 60
    reply = plain.partition("reply\n")[2].splitlines()
    assert re.match(r"  550-5\.7\.23 ", reply[0])
    assert re.match(r"    \S", reply[1])


def test_a_terminal_that_has_no_such_characters_gets_others(run, write) -> None:
    environment = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = run("check", "-c", write(), *MESSAGE, "alice@example.com", **environment)
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("sender", "mark", "colour"),
    [
        ("a@example.com", "✘ -all  fail", "31"),
        ("a@soft.example.com", "✘ ~all  softfail", "33"),
        ("a@_spf.example.org", "○ ?all  neutral", ""),
        ("a@mail.example.com", "✔ a  pass", "32"),
        ("a@broken.example.com", "! include:nothing.example.com", "35"),
    ],
)
def test_only_a_pass_has_a_check_mark_and_is_green(run, write, sender: str, mark: str, colour: str) -> None:
    path = write("[policy]\ncheck = mailfrom\n")
    done = run("check", "-c", path, "--explain", *MESSAGE, sender, FORCE_COLOR="1", COLUMNS="120", TERM="xterm")
    (line,) = (line for line in done.stdout.splitlines() if mark in re.sub(r"\x1b\[[0-9;]*m", "", line))
    styled = re.search(r"(?:\x1b\[([0-9;]*)m)?" + mark[0], line)
    assert styled is not None
    assert (styled[1] or "").removeprefix("1").strip(";") == colour
    assert ("✔" in done.stdout) is (mark[0] == "✔"), "no rule and no other line has one, either"


# -- rules -------------------------------------------------------------------------------------------------------------

RULES = """
[policy]
reject_at = rcpt
[exempt]
senders = other.example
[policy.mailfrom]
no_mail = quarantine
[domain:.com]
softfail = tag
[recipient:sales@]
fail = defer
"""


def looked_at(text: str) -> list[str]:
    """The lines below "rules looked at"."""
    return [line.strip() for line in text.partition("rules looked at\n")[2].partition("\n\n")[0].splitlines()]


def test_explain_lists_each_rule_in_its_order_with_line_and_reason(run, write) -> None:
    path = write(RULES)
    lines = path.read_text().splitlines()
    at = {text: lines.index(text) + 1 for text in ("senders = other.example", "no_mail = quarantine")}
    shown = looked_at(
        run("check", "-c", path, *MESSAGE, "a@example.com", "--rcpt", "joe@example.net", "--explain").stdout
    )
    where = f"[exempt] senders = other.example (line {at['senders = other.example']})"
    no_mail = f"[policy.mailfrom] no_mail = quarantine (line {at['no_mail = quarantine']})"
    assert shown[6:] == [
        f"· {where}: no entry exempts this domain and client without a check",
        "· [domain:.com] trust = (empty): the client is in none of them",
        "· [exempt] recipients = postmaster@, abuse@ (the default): the recipient is none of them",
        "→ [policy.helo] pass = accept (the default): this is the entry of the result",
        "· [domain:.com] fail = (empty): empty, so the next section applies",
        f"· {no_mail}: the condition is not met",
        "→ [policy.mailfrom] fail = reject (the default): this is the entry of the result",
    ]
    assert [line.split(" = ")[0] for line in shown[:6]] == [
        "· built in: local-client: the client came over the network",
        "· [relays] trusted",
        "· [exempt] networks",
        "· [exempt] authenticated",
        "· built in: unknown-client: the client's address is known",
        "· [exempt] private_clients",
    ]


@pytest.mark.parametrize(
    ("settings", "arguments", "said"),
    [
        ("authenticated = yes", [], "authenticated = yes (line 6): the client has not logged in"),
        ("authenticated = no", [], "authenticated = no (line 6): the client has not logged in"),
        (
            "authenticated = no",
            ["--auth", "al"],
            "authenticated = no (line 6): the client has logged in, but this is off",
        ),
        ("private_clients = no", [], "private_clients = no (line 6): the client's address is public"),
        (
            "private_clients = no",
            ["--ip", "10.0.0.7"],
            "private_clients = no (line 6): the client's address is private, but this is off",
        ),
    ],
)
def test_explain_says_whether_an_exemption_is_off(run, write, settings, arguments, said) -> None:
    path = write(f"[exempt]\n{settings}\n")
    done = run("check", "-c", path, *MESSAGE, "a@example.com", "--explain", *arguments)
    assert f"· [exempt] {said}" in looked_at(done.stdout)


@pytest.mark.parametrize(
    ("stage", "warned"),
    [
        ("mail", ["the recipient is not known", "the From field is not known"]),
        ("rcpt", ["the From field is not known"]),
        ("message", []),
    ],
)
def test_what_is_not_known_when_it_is_decided_is_reported(run, write, stage, warned) -> None:
    path = write(f"[policy]\nreject_at = {stage}\n")
    done = run(
        "check", "-c", path, *MESSAGE, "a@example.com", "--rcpt", "postmaster@x.example", "--from", "a@x.example"
    )
    ends = f", and so has no effect, with [policy] reject_at = {stage}"
    assert done.stderr.splitlines() == [f"{what}{ends}" for what in warned]


@pytest.mark.parametrize(
    ("rcpt", "action", "rule"),
    [
        ("joe@example.net", "reject", "[policy.mailfrom] fail = reject"),
        ("Sales@example.net", "defer", "[recipient:sales@] fail = defer (line "),
        ("postmaster@example.net", "accept", "[exempt] recipients = postmaster@, abuse@"),
    ],
)
def test_a_recipients_own_rules(run, write, rcpt, action, rule) -> None:
    done = run("check", "-c", write(RULES), *MESSAGE, "a@example.com", "--rcpt", rcpt)
    assert f"action        {action}\n" in done.stdout
    assert f"rule          {rule}" in done.stdout


def test_the_condition_that_decided_stands_behind_the_result(run, write) -> None:
    path = write("tag_subject = [SPF]\n[policy.mailfrom]\nunreachable = tag\n")
    done = run("check", "-c", path, *MESSAGE, "a@unknown.example")
    assert "MAIL FROM     none (unreachable)\n" in done.stdout
    assert "\n  Subject: [SPF] ...\n" in done.stdout, "of any subject"
    done = run("check", "-c", path, *MESSAGE, "a@unknown.example", "--json")
    assert [verdict["condition"] for verdict in json.loads(done.stdout)["verdicts"]] == [None, "unreachable"]


def test_a_missing_from_field_is_reported(run, write) -> None:
    path = write("[policy]\nreject_at = message\nyield_to_dmarc = yes\n")
    done = run("check", "-c", path, *MESSAGE, "a@example.com", "--explain")
    assert "yield_to_dmarc = yes (line " in done.stdout
    assert ": no From field is known in which all readers see the same one domain\n" in done.stdout


def test_explain_as_json(run, write) -> None:
    done = run(
        "check", "-c", write(RULES), *MESSAGE, "a@example.com", "--rcpt", "sales@x.example", "--explain", "--json"
    )
    considered = json.loads(done.stdout)["considered"]
    last = [(one["rule"]["section"], one["rule"]["key"], one["applied"]) for one in considered[-2:]]
    assert last == [("recipient:sales@", "fail", True), ("policy", "defer_at_most", False)]
    # The daemon's memory is not asked: it may know of an earlier attempt.
    assert considered[-1]["why"] == "it is not known to have been deferred for that long"
    assert [one["rule"]["key"] for one in considered if one["applied"]] == ["pass", "fail"]


def test_a_pinned_record_is_reported_as_pinned(run, write) -> None:
    path = write("[domain:example.com]\nrecord = v=spf1 ip4:203.0.113.0/24 -all\n")
    done = run("check", "-c", path, *MESSAGE, "a@example.com")
    assert "MAIL FROM     pass  by the record in the settings, not the published one" in done.stdout
    assert "by a record of this server, not the published one" in unfolded(done.stdout)


def test_a_relay_is_no_client_to_check(run, write) -> None:
    path = write("[relays]\ntrusted = 203.0.113.7\n")
    done = run("check", "-c", path, *MESSAGE, "a@example.com", "--explain")
    assert "not checked   relay\n" in done.stdout
    assert "there is no header that tells who is behind it" in done.stdout


# -- addresses as people write them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sender", "said"),
    [
        ("soft.example.com", "postmaster@soft.example.com", "is taken for postmaster@soft.example.com"),
        ("Bob <u@soft.example.com>", "u@soft.example.com", "is taken for u@soft.example.com"),
        ("<u@soft.example.com>", "u@soft.example.com", ""),
        ("bob", "bob", "names no domain that can be looked up"),
        ("u@localhost", "u@localhost", "names no domain that can be looked up"),
        ("u@[192.0.2.1]", "u@[192.0.2.1]", "names no domain that can be looked up"),
        ("", "", ""),
        ("<>", "", ""),
    ],
)
def test_a_sender_that_is_not_taken_as_it_stands_is_named(run, write, given: str, sender: str, said: str) -> None:
    done = run("check", "-c", write(""), "--json", *MESSAGE, given)
    assert json.loads(done.stdout)["mail_from"] == sender
    assert bool(done.stderr) == bool(said)
    assert said in done.stderr


def test_a_recipient_may_have_a_name_and_is_no_domain(run, write) -> None:
    path = write("[policy]\nreject_at = rcpt\n")
    done = run("check", "-c", path, "--json", *MESSAGE, "u@example.com", "--rcpt", "Ann <postmaster+x@example.net>")
    found = json.loads(done.stdout)
    assert (found["rcpt"], found["action"]) == ("postmaster+x@example.net", "accept")
    assert "is taken for postmaster+x@example.net" in done.stderr
    done = run("check", "-c", path, *MESSAGE, "u@example.com", "--rcpt", "example.net")
    assert done.returncode == 64
    assert "'example.net' is a domain: write an address such as bob@example.net" in done.stderr
