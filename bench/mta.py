"""Postfix with the filter in its way: what a mail server loses by it."""

import shutil
import subprocess
import time
from contextlib import ExitStack
from statistics import median

from bench import zones
from bench.programs import Nothing, nameserver
from bench.setting import Setting, ratios
from bench.table import Report, Target
from lab import postfix
from lab.processes import until

_SOURCE = shutil.which("smtp-source", path="/usr/sbin:/usr/bin")
_SESSIONS = 8


def postfix_rate(setting: Setting) -> Report:
    """Deliveries a second from smtp-source through smtpd and the queue to discard(8), by the milter in use."""
    report = Report("postfix", f"messages/s through Postfix, {_SESSIONS} sessions, one message each")
    report.columns = ("no milter", "nothing", "spfmilter", "of nothing")
    problem = postfix.unavailable() or ("" if _SOURCE else "smtp-source is not installed")
    if problem:
        report.notes.append(f"not measured: {problem}")
        return report
    messages = 300 if setting.quick else 2000
    with ExitStack() as stack:
        server = stack.enter_context(nameserver(setting.shop))
        nothing, ours = (stack.enter_context(each) for each in (Nothing(setting.shop), setting.spfmilter(server)))
        milters = {"no milter": "", "nothing": nothing.socket, "spfmilter": ours.socket}
        servers = {name: stack.enter_context(_postfix(milter)) for name, milter in milters.items()}
        for mta in servers.values():
            _deliver(mta, 100)
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(setting.rounds):
            for name, mta in servers.items():
                rates[name].append(_deliver(mta, messages))
        report.add(
            "mail from one known domain",
            *(median(rates[name]) for name in servers),
            compared=ratios(rates["spfmilter"], rates["nothing"]),
            target=Target(0.95, at_least=True),
        )
    return report


def _postfix(milter: str) -> postfix.Postfix:
    return postfix.Postfix(
        smtpd_milters=milter,
        routes={"example.net": "discard:"},
        main_cf={
            "non_smtpd_milters": "",
            "default_process_limit": "100",
            "smtpd_client_connection_rate_limit": "0",
            "in_flow_delay": "0",
        },
    )


def _deliver(mta: postfix.Postfix, messages: int) -> float:
    """Messages a second until the last one is delivered."""
    before = mta.log().count("status=sent")
    began = time.monotonic()
    subprocess.run(
        [_SOURCE or "smtp-source", "-s", str(_SESSIONS), "-m", str(messages), "-l", "2048",
         "-M", zones.MAIL_ONLY["helo"], "-f", zones.sender("local") % 1, "-t", "somebody@example.net",
         f"inet:127.0.0.1:{mta.port}"],
        check=True, timeout=120, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: mta.log().count("status=sent") >= before + messages, 60, "all messages delivered")
    return messages / (time.monotonic() - began)
