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
    "text": (),
    "caseid": (),
    "template": (),
    "language": (),
    "zones": (),
    "counters": (),
    "interfaces": (),
    "ownership": (),
    "model": ("value",),
    "addresses": ("model",),
    "spf": ("addresses", "model", "spf", "text"),
    "settings": ("addresses", "language", "model", "settings", "spf.record", "template", "zones"),
    "policy": ("addresses", "model", "policy", "settings", "spf.checks"),
    "relays": ("addresses", "model", "relays", "settings.networklist"),
    "reply": ("language", "model", "reply", "settings", "spf.services", "template", "text"),
    "headers": ("addresses", "headers", "model", "reply", "settings", "text"),
    "message": ("addresses", "headers", "message", "model", "policy", "relays", "reply", "settings", "value"),
    "session": ("addresses", "headers", "message", "model", "policy", "reply", "settings", "value"),
    "dns": ("counters", "dns", "model", "settings.values", "value", "zones"),
    "evaluation": ("counters", "dns", "evaluation", "model", "settings.schema", "spf", "text", "value", "zones"),
    "evaluation.evidence": ("dns", "evaluation", "model", "policy"),
    "observe": ("addresses", "counters", "model", "observe", "settings", "text"),
    "state": ("observe.log", "observe.ratelimited", "settings.urls", "state"),
    "helplink": ("caseid", "evaluation", "helplink", "model", "ownership", "reply", "settings"),
    "journal": ("addresses", "journal", "model", "observe", "settings", "text"),
    "milter": (
        "addresses",
        "caseid",
        "evaluation.budget",
        "evaluation.engine",
        "evaluation.evidence",
        "headers",
        "helplink",
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
        "helplink",
        "interfaces",
        "milter",
        "observe",
        "ownership",
        "settings",
        "state",
        "text",
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
    ),
    "commands": (
        "addresses",
        "commands",
        "daemon.start",
        "daemon.trial",
        "evaluation",
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
        "session",
        "settings",
        "spf.loops",
        "text",
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
    "daemon.storage": ("daemon.background", "observe", "settings"),
    "daemon.child": ("daemon.link", "observe.log"),
    "daemon.background": ("daemon.child", "daemon.snapshot", "observe.log"),
    "daemon.exporter": ("daemon.background", "daemon.hints", "observe", "settings.values"),
    "daemon.hints": ("ownership",),
    "daemon.link": (),
    "daemon.listener": ("daemon.hints", "ownership", "settings"),
    "daemon.notify": (),
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
    "daemon.supervisor": ("daemon", "dns.reports", "observe", "settings", "state"),
    "daemon.statusreport": ("daemon", "observe.log", "settings"),
    "observe.sink": (),
    "journal.rows": ("addresses", "model", "text"),  # in each worker
    "journal.tables": ("journal.rows",),
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
    "commands.probe": ("health.handshake", "ownership"),
    "commands.postconf": ("commands.milterlist",),
    "commands.sendmailcf": ("health.handshake",),
    "commands.mta": ("commands.milterlist", "commands.postconf", "health.handshake", "settings"),
    "commands.survey": ("commands", "health.handshake"),
    "commands.status": ("health",),
    "commands.redecide": ("addresses", "model", "policy", "settings"),
    "commands.against": ("commands.console", "commands.redecide", "journal", "model", "settings", "text"),
    "commands.tree": ("model", "reply", "spf.loops", "text"),
    "commands.explain": ("commands.tree", "model", "reply", "text"),
}

# Who may import a library that is not Python's own.
OWNERS: Mapping[str, tuple[str, ...]] = {
    "spf": ("evaluation",),
    "dns": ("dns", "evaluation"),
    "milter": ("milter.callbacks", "milter.negotiation", "daemon.worker"),  # what runs in a worker
    "pydantic": ("settings",),
    "idna": ("addresses",),
    "click": ("cli", "commands"),
    "rich": ("commands",),
    "prometheus_client": ("observe.metrics", "observe.counterfile"),
    "redis": ("state.server",),
    "sqlalchemy": ("journal",),
    "alembic": ("journal",),
    "psycopg": (),  # SQLAlchemy loads it
    "starlette": ("web",),
    "uvicorn": ("web.connections", "web.server"),
    "jinja2": ("web.render",),
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
