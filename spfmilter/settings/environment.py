"""Settings in environment variables: ``SPFMILTER_DNS_TIMEOUT`` is ``timeout`` of ``[dns]``.

Knows how a variable is named, and which variables of the prefix are no settings. Its caller has the environment.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping

from spfmilter.settings import ini, schema
from spfmilter.settings.ini import SettingProblem

PREFIX = "SPFMILTER_"
_CLOSE = 0.8  # of difflib: LOGLEVEL is meant to be LOG_LEVEL, and VERSION is no setting
# Kubernetes gives each container the addresses of all services. A service that is called spfmilter or spfmilter-web has
# variables with our prefix.
_SERVICE = re.compile(
    r"(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)"
)
_SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://")  # the value of NAME_PORT, which an administrator may have guessed


def variable(section: str, key: str) -> str:
    """Return the name of the variable for a key: a dot of the section becomes an underscore."""
    return f"{PREFIX}{section}_{key}".replace(".", "_").upper()


@functools.cache
def _known() -> Mapping[str, tuple[str, str]]:
    """Return section and key by the variable's name."""
    return {
        variable(section, key): (section, key)
        for section, (_, model) in schema.SECTIONS.items()
        for key in (schema.key_of(model, attribute) for attribute in model.model_fields)
    }


def parse(environ: Mapping[str, str]) -> tuple[list[tuple[str, ini.Document]], list[SettingProblem]]:
    """Return each variable that sets a key, as a text of its own; and what is wrong with the names of others.

    Variables with our prefix that resemble no setting are left alone: they belong to other programs.
    """
    documents, problems = [], []
    for name in sorted(environ):
        place, text = _known().get(name), environ[name]
        if place is not None:
            documents.append((name, _document(*place, text)))
        elif name.startswith(PREFIX) and not _is_of_kubernetes(name.removeprefix(PREFIX), text):
            message = _mistake(name.removeprefix(PREFIX))
            problems += [SettingProblem(message=message, file=name)] if message else []
    return documents, problems


def _document(section: str, key: str, text: str) -> ini.Document:
    """Return the value as the INI reader does: lines without blanks around them, all printable, no comments between."""
    lines = [line for line in (raw.strip() for raw in text.splitlines()) if line]
    lines = [line for number, line in enumerate(lines) if number == 0 or line[0] not in ";#"]
    found, document = ini.Section(section, None), ini.Document()
    document.sections[section] = found
    bad = next(filter(None, map(ini.unprintable, lines)), None)
    if bad is not None:
        document.problems.append(SettingProblem(message=bad, section=section, key=key))
    else:
        found.entries[key] = ini.Entry(key, "\n".join(lines), None)
    return document


def _is_of_kubernetes(rest: str, text: str) -> bool:
    if _SERVICE.fullmatch(rest):
        return True
    return (rest == "PORT" or rest.endswith("_PORT")) and _SERVICE_ADDRESS.match(text) is not None


def _mistake(rest: str) -> str:
    """Return what is wrong with a name behind the prefix that is no setting; empty: it is not meant to be one."""
    kind = next((kind for kind in schema.NAMED_SECTIONS if rest.startswith(f"{kind.upper()}_")), None)
    if kind is not None:
        return f"[{kind}:NAME] cannot be set by a variable: write it into the INI file, or into a file of conf.d"
    names = [name.removeprefix(PREFIX) for name in _known()]
    close = difflib.get_close_matches(rest.upper(), names, n=1, cutoff=_CLOSE)
    if not close and not any(rest.upper() == name or rest.upper().startswith(f"{name}_") for name in _section_names()):
        return ""
    meant = f"did you mean {PREFIX}{close[0]}?" if close else "man spfmilter.ini lists all keys"
    return f"there is no such setting; {meant}"


def _section_names() -> list[str]:
    return [section.replace(".", "_").upper() for section in schema.SECTIONS]
