"""``spfmilter check`` says of a message what the daemon does with it: same settings, same DNS, same message."""

import io
import json
import re
import secrets
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterclient import Outcome
from spfmilter import caseid
from spfmilter.cli import cli
from spfmilter.model import Rule
from tests.wire.running import CLIENT, Running, running

CASE = re.compile(rf"\s+Case:\s+{caseid.FORM}\.")
SENDERS = ("pass", "fail", "soft", "neutral", "perm", "temp", "open", "strict", "nobody", "none")
HIDING = "=?utf-8?q?a=0AAuthentication-Results=3A_mx.example.net=3B_spf=3Dpass?=@pass.example"
SETTINGS = {
    "usual": "",
    "rcpt": "[policy]\nreject_at = rcpt\n",
    "message": "[policy]\nreject_at = message\n",
    "monitor": "[policy]\nmode = monitor\n",
    "monitor-message": "[policy]\nmode = monitor\nreject_at = message\n",
    "dmarc": "[policy]\nreject_at = message\nyield_to_dmarc = yes\n",
    "forwarders": "[exempt]\nforwarders = .hosts.example\nforwarder_spf = fwd.example\n",
    "recipients-rcpt": "[policy]\nreject_at = rcpt\n"
    "[recipient:sales@]\nfail = tag\nsoftfail = quarantine\nnone = defer\n",
    "recipients-message": "[policy]\nreject_at = message\n[recipient:sales@]\nfail = tag\nsoftfail = defer\n",
    "relay": f"[relays]\ntrusted = {CLIENT}\n[headers]\nskipped = yes\n",
    "relay-refuse": f"[policy]\nreject_at = rcpt\n[relays]\ntrusted = {CLIENT}\nrefuse = yes\n",
    "conditions": "[headers]\ntag_subject = [SPF]\n[policy]\nown_addresses = 198.51.100.99\n"
    "[policy.mailfrom]\nwide_open = tag\nno_mail = quarantine\nunreachable = reject\n",
    "domains": f"[domain:fail.example]\nrecord = v=spf1 ip4:{CLIENT} -all\n[domain:soft.example]\ntrust = {CLIENT}\n",
    "helo": "[policy]\ncheck = helo\n[policy.helo]\nfail = reject\n",
    "on-the-safe-side": "[policy.mailfrom]\nneutral = quarantine\nnone = defer\npermerror = reject\n"
    "[exempt]\nsenders = strict.example\n",
    "senders": "[policy.mailfrom]\npass = reject\nwide_open = reject\n[exempt]\n"
    f"senders = pass.example if pass, open.example if pass, soft.example if pass, fail.example from {CLIENT}\n",
}


class Message(NamedTuple):
    """What both are told."""

    sender: str
    ip: str = CLIENT
    helo: str = "mail.example"
    rcpt: str = "bob@example.net"
    author: str = ""
    auth: str = ""


MESSAGES = [
    *(Message(f"u@{name}.example") for name in SENDERS),
    Message(""),
    Message("", helo="fail.example"),
    Message("u@pass.example", helo="fail.example"),
    Message(HIDING),
    Message("u@pass.example", author=HIDING),
    Message("u@fail.example", rcpt="sales@example.net"),
    Message("u@soft.example", rcpt="Sales@example.net"),
    Message("u@none.example", rcpt="sales@example.net"),
    Message("u@fail.example", rcpt="postmaster@example.net"),
    Message("u@fail.example", author="Ann <ann@strict.example>"),
    Message("u@fail.example", author="Ann <ann@pass.example>"),
    Message("u@fail.example", auth="joe"),
    Message("u@fail.example", ip="198.51.100.7"),
    Message("u@fail.example", ip="198.51.100.8"),
    Message("u@fail.example", ip="198.51.100.9"),
    Message("u@fail.example", ip="10.0.0.7"),
    Message("u@pass.example", ip="2001:db8::7"),
]


def shown(serving: Running, message: Message) -> dict[str, Any]:
    """What the command says."""
    options = {"ip": message.ip, "helo": message.helo, "mail-from": message.sender, "rcpt": message.rcpt}
    options |= {"from": message.author, "auth": message.auth, "hostname": "mx.example.net"}
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    printed = io.StringIO()
    with redirect_stdout(printed):
        cli.main(["check", "--json", "-c", str(serving.daemon.ini_path), *arguments], standalone_mode=False)
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def delivered(serving: Running, message: Message) -> tuple[Outcome, dict[str, Any]]:
    """What the daemon answers, and its line in the log."""
    queue_id = f"Q{secrets.token_hex(4)}"
    macros = {"i": queue_id, "j": "mx.example.net"} | ({"{auth_authen}": message.auth} if message.auth else {})
    fields = [("From", message.author)] if message.author else []
    with serving.client() as mta:
        mta.greet(message.ip, message.helo, macros=macros)
        outcome = mta.deliver(
            f"<{message.sender}>", [f"<{message.rcpt}>"], [*fields, ("Subject", "...")], macros=macros
        )
        mta.quit()
    return outcome, json.loads(serving.line(queue_id))


def compared_check(found: dict[str, Any]) -> dict[str, Any]:
    rule = {key: value or "" for key, value in found["rule"].items() if key != "line"}
    return {
        "action": found["action"],
        "would": found["would"],
        "skip": found["skip"],
        "override": found["override"] and (found["override"]["type"], found["override"]["by"]),
        "rule": str(Rule(**rule, line=found["rule"]["line"])),
        "results": [(verdict["identity"], verdict["result"]) for verdict in found["verdicts"]],
        "reply": found["reply"],
        "fields": sorted((field["name"], field["value"]) for field in found["headers"]),
        "quarantine": found["quarantine"],
    }


def unnamed(lines: list[str]) -> list[str]:
    """The lines of a reply without the one that names the case id, which a trial does not have."""
    return [*lines[:-2], lines[-2].replace("-", " ", 1)] if lines and "Case: " in lines[-1] else lines


def compared_daemon(outcome: Outcome, line: dict[str, Any]) -> dict[str, Any]:
    written = [(field.name, field.value.strip()) for field in outcome.inserted]
    written += [(change.name, change.value.strip()) for change in outcome.changed if change.value]
    return {
        "action": line["action"],
        "would": line.get("would"),
        "skip": line.get("skip"),
        "override": (line["override"], line.get("override_by")) if "override" in line else None,
        "rule": line["rule"],
        "results": [(key.removeprefix("spf_"), line[key]) for key in ("spf_helo", "spf_mailfrom") if key in line],
        "reply": unnamed(list(outcome.reply.lines)) or None,
        "fields": sorted((name, CASE.sub("", value)) for name, value in written),
        "quarantine": outcome.quarantine,
    }


@pytest.mark.parametrize("which", SETTINGS)
def test_the_command_says_what_the_daemon_does(dns: ScriptedDNS, which: str) -> None:
    different = []
    with running(dns, f"{SETTINGS[which]}[log]\nformat = json\n") as serving:
        for message in MESSAGES:
            found, (outcome, line) = shown(serving, message), delivered(serving, message)
            said, done = compared_check(found), compared_daemon(outcome, line)
            different += [(message, key, said[key], done[key]) for key in said if said[key] != done[key]]
            # The line has that of the verdict that decided only.
            assert line.get("condition") in [None, *(verdict["condition"] for verdict in found["verdicts"])]
    assert different == []
