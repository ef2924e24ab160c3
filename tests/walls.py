"""The walls between the packages: ``test_architecture`` holds them, and ``docs/architecture.md`` shows them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "spfmilter"

# From the ground up: a line may name only lines above it, and for a package also itself. A name stands for the module
# or package and all below it; a module follows the line with the longest name that fits it.
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "": (),  # spfmilter/__init__.py: the version, which every module may know
    "value": (),
    "edits": ("value",),
    "text": (),
    "caseid": (),
    "template": (),
    "language": (),
    "zones": (),
    "counters": (),
    "interfaces": (),
    "ownership": (),
    "units": (),
    "packages": (),
    "dns.answer": ("value",),
    "model": ("dns.answer", "value"),
    "addresses": ("model",),
    "spf": ("addresses", "model", "spf", "text"),
    "settings": (
        "addresses",
        "language",
        "model",
        "ownership",
        "settings",
        "spf.record",
        "template",
        "units",
        "zones",
    ),
    "exemptions": ("addresses", "exemptions", "model", "ownership", "packages", "settings", "text"),
    "policy": ("addresses", "exemptions.inforce", "model", "policy", "settings", "spf.checks"),
    "relays": ("addresses", "model", "relays", "settings.networklist"),
    "reply": ("language", "model", "reply", "settings", "spf.services", "template", "text"),
    "headers": ("addresses", "edits", "headers", "model", "reply", "settings", "text"),
    "message": ("addresses", "edits", "headers", "message", "model", "policy", "relays", "reply", "settings", "value"),
    "session": ("addresses", "headers", "message", "model", "policy", "reply", "settings", "value"),
    "dns": ("counters", "dns", "model", "settings.values", "value", "zones"),
    "evaluation": ("counters", "dns", "evaluation", "model", "settings.schema", "spf", "text", "value", "zones"),
    "evaluation.evidence": ("dns", "evaluation", "exemptions.inforce", "model", "policy"),
    "observe": ("addresses", "counters", "model", "observe", "settings", "text"),
    "state": ("observe.log", "observe.ratelimited", "packages", "settings.urls", "state", "text"),
    "helplink": ("caseid", "evaluation", "helplink", "model", "ownership", "reply", "settings", "units"),
    "journal": (
        "addresses",
        "dns.answer",
        "journal",
        "model",
        "observe",
        "ownership",
        "packages",
        "settings",
        "spf.checks",
        "text",
    ),
    "exemptions.sql": ("exemptions", "journal", "settings"),
    "exemptions.server": ("exemptions", "settings", "state.connection"),
    "exemptions.embedded": ("exemptions", "ownership", "settings"),
    "exemptions.opening": ("exemptions", "packages", "settings"),
    "milter": (
        "addresses",
        "caseid",
        "edits",
        "evaluation.budget",
        "evaluation.engine",
        "evaluation.evidence",
        "exemptions.inforce",
        "headers",
        "helplink",
        "journal.recorder",
        "message",
        "milter",
        "model",
        "observe",
        "policy",
        "reply",
        "session",
        "settings",
        "state",
    ),
    "daemon": (
        "daemon",
        "dns",
        "evaluation.engine",
        "packages",
        "exemptions",
        "helplink",
        "interfaces",
        "journal",
        "milter",
        "observe",
        "ownership",
        "settings",
        "state",
        "text",
        "units",
    ),
    "web": (
        "addresses",
        "daemon.hints",
        "daemon.notify",
        "daemon.page",
        "evaluation",
        "helplink",
        "language",
        "model",
        "observe.log",
        "reply.advice",
        "settings",
        "spf.checks",
        "spf.loops",
        "spf.services",
        "text",
        "web",
    ),
    "health": (
        "daemon.inforce",
        "daemon.life",
        "daemon.snapshot",
        "daemon.statusfile",
        "daemon.versions",
        "dns",
        "health",
        "ownership",
        "settings",
        "state",
        "text",
        "units",
    ),
    "report": (
        "addresses",
        "caseid",
        "evaluation",
        "exemptions.exemption",
        "journal",
        "model",
        "packages",
        "report",
        "settings",
        "text",
    ),
    "commands": (
        "addresses",
        "caseid",
        "commands",
        "daemon.notify",
        "daemon.start",
        "daemon.statusfile",
        "daemon.trial",
        "dns.answer",
        "edits",
        "evaluation",
        "exemptions",
        "packages",
        "health",
        "helplink",
        "interfaces",
        "journal",
        "language",
        "message",
        "model",
        "observe.journal",
        "ownership",
        "policy",
        "reply",
        "report",
        "session",
        "settings",
        "spf.loops",
        "text",
        "units",
        "web.server",
    ),
    "cli": ("commands", "health.parts", "language", "settings"),
    "__main__": ("cli",),
}

# Narrower than the package around them.
NARROWER: Mapping[str, tuple[str, ...]] = {
    "reply.advice": ("model", "spf.services"),  # the help page gives the same advice
    "reply.texts": ("language", "model", "reply.advice", "template"),
    "daemon.events": ("daemon.link",),
    "daemon.slots": ("daemon.events", "daemon.link"),
    "daemon.fleet": ("daemon.events", "daemon.slots"),
    "daemon.board": (),
    "daemon.exemptionboard": ("daemon.board", "exemptions.inforce", "observe.log"),
    "daemon.exemptiontask": ("daemon.exemptionboard", "exemptions", "observe", "settings"),
    "daemon.storage": (
        "daemon.background",
        "daemon.exemptiontask",
        "daemon.shared",
        "journal",
        "observe",
        "settings",
    ),
    "daemon.beside": ("daemon", "settings"),
    "daemon.child": ("daemon.link", "observe.log"),
    "daemon.background": ("daemon.child", "daemon.snapshot", "observe.log"),
    "daemon.exporter": ("daemon.background", "daemon.hints", "observe", "settings.values"),
    "daemon.hints": ("ownership",),
    "daemon.sockethints": ("ownership", "units"),
    "daemon.link": (),
    "daemon.listener": ("daemon.hints", "daemon.sockethints", "ownership", "settings"),
    "daemon.nameservers": ("dns", "observe.log"),
    "daemon.notify": ("text",),  # the commands use it, too: a service that does not start says why
    # The commands use these five, too.
    "daemon.inforce": ("settings",),
    "daemon.life": (),
    "daemon.snapshot": ("text",),
    "daemon.statusfile": ("daemon.snapshot",),
    "daemon.versions": (),
    "daemon.figures": ("daemon.snapshot", "observe.log"),
    "daemon.ownfigures": ("daemon.snapshot", "evaluation.engine", "milter.callbacks"),
    "daemon.page": (),
    # Its workers know of messages. It reads the help page's secrets only to refuse a reload that could not read them.
    "daemon.supervisor": ("daemon", "observe", "settings"),
    "daemon.shared": (
        "daemon",
        "dns.reports",
        "journal.backlog",
        "journal.channel",
        "journal.totals",
        "observe.log",
        "settings",
        "state",
    ),
    "daemon.handover": ("daemon.connections", "daemon.folders"),
    "daemon.statusreport": ("daemon", "exemptions.store", "observe.log", "settings"),
    "observe.sink": (),
    "journal.rows": ("addresses", "model", "text"),  # in each worker
    "journal.answers": ("dns.answer", "model", "spf.checks"),  # in each worker
    "journal.tables": ("journal.rows",),
    "journal.totals": ("observe.log",),
    "journal.channel": ("journal.rows",),
    "journal.recorder": (
        "journal.answers",
        "journal.channel",
        "journal.rows",
        "journal.totals",
        "model",
        "observe.ratelimited",
    ),
    "journal.backlog": ("journal.channel", "journal.rows", "journal.totals", "observe"),
    "journal.intake": ("journal.backlog", "journal.channel"),
    "journal.place": ("ownership", "packages", "settings.journalurl"),
    "journal.sums": (),
    "journal.statistics": ("journal.rows", "journal.sums", "journal.tables", "model", "text"),
    "report.period": ("settings.values", "text"),
    "report.related": ("addresses", "model"),
    "report.heaviest": (),
    "report.chart": (),
    "report.advice": ("caseid", "settings"),
    "report.resolver": ("journal.sums",),
    "report.page": ("report",),
    "report.as_json": ("report",),
    "report.wording": ("journal.sums", "report.summary"),
    "report.gather": ("exemptions.exemption", "journal", "model", "report", "settings"),
    "report.reverse": ("addresses", "evaluation", "report", "settings.schema"),
    "commands.reportview": ("report", "text"),
    "observe.journal": ("observe.sink",),  # the commands use it, too
    "web.form": ("addresses", "model", "spf.checks", "text", "web"),
    "web.fixes": ("model", "text"),
    "web.case": ("model", "reply.advice", "spf.loops", "spf.services", "text", "web"),
    "web.errors": ("helplink.token", "web.wording"),
    "web.security": ("observe.log",),
    "commands.milterlist": (),
    "health.handshake": (),
    "health.parts": (),
    "health.output": ("health.parts", "text"),
    "commands.accessfix": ("daemon.statusfile", "ownership", "units"),
    "commands.activation": ("commands.postconf", "settings", "units"),
    "commands.probe": ("commands.accessfix", "health.handshake", "ownership"),
    "commands.postconf": ("commands.milterlist",),
    "commands.sendmailcf": ("commands.postconf", "health.handshake"),
    "commands.sendmail": ("commands.mta", "commands.sendmailcf", "commands.survey", "settings"),
    "commands.mta": ("commands.milterlist", "commands.postconf", "health.handshake", "settings"),
    "commands.survey": ("commands", "health.handshake", "units"),
    "commands.status": ("health",),
    "commands.tree": ("dns.answer", "model", "reply", "spf.loops", "text"),
    "commands.redecide": ("addresses", "model", "policy", "settings"),
    "commands.against": ("commands.console", "commands.redecide", "journal", "model", "settings", "text"),
    "commands.explain": ("commands.tree", "edits", "model", "reply", "text"),
}

# Who may import a library that is not Python's own.
OWNERS: Mapping[str, tuple[str, ...]] = {
    "spf": ("evaluation",),
    "dns": ("dns", "evaluation"),
    "milter": ("milter.callbacks", "milter.negotiation", "daemon.handover", "daemon.worker"),  # what runs in a worker
    "pydantic": ("settings",),
    "idna": ("addresses",),
    "click": ("cli", "commands"),
    "rich": ("commands",),
    "prometheus_client": ("observe.metrics", "observe.counterfile"),
    "redis": ("state.connection",),
    "sqlalchemy": (
        "exemptions.sql",
        "journal.database",
        "journal.migrations",
        "journal.reader",
        "journal.statistics",
        "journal.tables",
        "journal.writer",
    ),
    "alembic": ("journal.database", "journal.migrations"),
    "psycopg": (),  # SQLAlchemy loads it
    "starlette": ("web",),
    "uvicorn": ("web.connections", "web.server"),
    "jinja2": ("commands.report", "report.page", "web.render"),  # the command asks only whether it is there
    "babel": ("web.languages",),
    "limits": ("web.ratelimit",),
    "itsdangerous": ("helplink.token",),
}
# What the library is called where it is declared.
DISTRIBUTIONS = {"spf": "pyspf", "dns": "dnspython", "milter": "pymilter", "prometheus_client": "prometheus-client"}

# No I/O, no clock, no thread, no chance.
PURE = (
    "model",
    "counters",
    "text",
    "template",
    "zones",
    "addresses",
    "spf",
    "settings",
    "exemptions.dangers",
    "exemptions.exemption",
    "exemptions.inforce",
    "policy",
    "relays",
    "reply",
    "headers",
    "message",
    "session",
    "dns.answer",
    "dns.private",
    "dns.wire",
    "evaluation.budget",
    "evaluation.limits",
    "evaluation.explanation",
    "evaluation.influence",
    "evaluation.trace",
    "evaluation.treewalk",
    "helplink.token",
    "daemon.events",
    "daemon.fleet",
    "daemon.link",
    "daemon.slots",
    "daemon.snapshot",
    "health.output",
    "health.parts",
    "commands.milterlist",
    "journal.sums",
    "report.related",
    "report.heaviest",
    "report.chart",
    "report.advice",
    "report.forwarders",
    "report.partners",
    "report.resolver",
    "report.exceptions",
    "report.summary",
    "report.findings",
    "report.wording",
    "report.as_json",
    "commands.redecide",
    "web.form",
    "web.fixes",
    "web.case",
    "web.errors",
    "web.wording",
)


def layers() -> str:
    """Return the layers as a Markdown table, from the top: each package, what it is, and which others it may import."""
    lines = ["| package | what it is | imports |", "| --- | --- | --- |"]
    for name, allowed in reversed(list(MAY_IMPORT.items())):
        if name:
            others = ", ".join(f"`{other}`" for other in allowed if other != name)
            lines.append(f"| `{name}` | {_first_sentence(name)} | {others} |")
    return "\n".join(lines) + "\n"


def _first_sentence(name: str) -> str:
    path = PACKAGE.joinpath(*name.split("."))
    text = ast.get_docstring(
        ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    )
    return (text or "").splitlines()[0].replace("|", "\\|")


PAGE = PACKAGE.parent / "docs" / "architecture.md"
_BEGIN, _END = "<!-- layers: printed by python -m tests.walls -->\n", "<!-- end of layers -->"


def with_layers(page: str) -> str:
    """Return the text of the page with the layers as they are now between its markers."""
    head, _, rest = page.partition(_BEGIN)
    _, _, tail = rest.partition(_END)
    return f"{head}{_BEGIN}\n{layers()}\n{_END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_layers(PAGE.read_text()))
