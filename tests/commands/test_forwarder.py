"""``spfmilter check --explain``: the client's reverse names, and what to set if it is a forwarder."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.outside

FORWARDED = ["--ip", "203.0.113.9", "--helo", "anyone.example", "--mail-from", "alice@example.com", "--explain"]
NAMES = """\
reverse names of 203.0.113.9
  → a,b.example.org: confirmed, the name has this address
  → mx1.forward.example.org: confirmed, the name has this address
  · liar.example.com: not confirmed, the name has other addresses
  · gone.example.com: not confirmed, no such name
"""
LINES = """\
  [exempt]
  forwarders = mx1.forward.example.org
  forwarder_spf = forward.example.org
"""


def test_the_names_and_the_lines_to_set_are_shown(run, write) -> None:
    done = run("check", "-c", write(), *FORWARDED)
    assert (done.returncode, done.stderr) == (0, "")
    heading = "\nif you know this client as a forwarder, either of these lines accepts its mail\n"
    assert f"{NAMES}{heading}{LINES}\n" in done.stdout
    assert "action        reject\n" in done.stdout


@pytest.mark.parametrize("line", LINES.splitlines()[1:])
def test_each_line_is_enough(run, write, line: str) -> None:
    done = run("check", "-c", write(f"[exempt]\n{line.strip()}\n"), *FORWARDED)
    assert "action        accept\n" in done.stdout
    assert f"override by   {line.rsplit(maxsplit=1)[-1]}\n" in done.stdout
    assert NAMES in done.stdout
    assert "if you know this client" not in done.stdout


def test_names_that_are_set_already_are_kept(run, write) -> None:
    path = write("[exempt]\nforwarders = .lists.example, mx.example\n")
    place = path.read_text().splitlines().index("forwarders = .lists.example, mx.example") + 1
    shown = run("check", "-c", path, *FORWARDED).stdout
    assert (
        f"  forwarders = .lists.example, mx.example, mx1.forward.example.org\n  # in place of line {place}\n" in shown
    )


def test_monitor_mode_shows_what_enforcing_would_need(run, write) -> None:
    assert LINES in run("check", "-c", write("[policy]\nmode = monitor\n"), *FORWARDED).stdout


def test_where_no_line_fits_that_is_said(run, write) -> None:
    message = ["--ip", "203.0.113.8", *FORWARDED[2:]]
    shown = run("check", "-c", write(), *message).stdout
    assert "reverse names of 203.0.113.8\n  · none: no such name\n" in shown
    assert "no line in [exempt] forwarders or forwarder_spf fits: it has no confirmed name" in shown


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(["--mail-from", "a@forward.example.org"], id="pass"),
        pytest.param(["--mail-from", "a@unknown.example"], id="none"),
    ],
)
def test_mail_that_is_accepted_needs_no_line(run, write, message: list[str]) -> None:
    shown = run("check", "-c", write("[policy]\ncheck = mailfrom\n"), *FORWARDED, *message).stdout
    assert NAMES in shown
    assert "forwarder," not in shown


@pytest.mark.parametrize("options", [FORWARDED[:-1], [*FORWARDED, "--auth", "alice"]])
def test_the_names_are_looked_up_only_where_they_are_asked_for(run, write, dns, options: list[str]) -> None:
    dns.reset_counts()
    shown = run("check", "-c", write("[reply]\nsuggest_services = no\n"), *options).stdout
    assert "reverse names" not in shown
    assert not any("in-addr" in str(question) for question in dns.queries)


def test_a_private_name_in_the_reverse_dns_is_not_asked_for(run, write, dns) -> None:
    path = write()
    path.write_text(path.read_text().replace("[dns]\n", "[dns]\nprivate_zones = example.org\n"))
    dns.reset_counts()
    shown = run("check", "-c", path, *FORWARDED).stdout
    assert "  · mx1.forward.example.org: not confirmed, a private name\n" in shown
    assert "if you know this client as a forwarder\n  no line in" in shown
    assert not any(name.endswith("forward.example.org") for name, _ in dns.queries)


def test_the_same_as_json(run, write) -> None:
    shown: dict[str, Any] = json.loads(run("check", "-c", write(), *FORWARDED, "--json").stdout)
    assert [(one["name"], one["confirmed"]) for one in shown["reverse_names"]] == [
        ("a,b.example.org", True),
        ("mx1.forward.example.org", True),
        ("liar.example.com", False),
        ("gone.example.com", False),
    ]
    assert [(one["section"], one["key"], one["value"]) for one in shown["forwarder_settings"]] == [
        ("exempt", "forwarders", "mx1.forward.example.org"),
        ("exempt", "forwarder_spf", "forward.example.org"),
    ]
