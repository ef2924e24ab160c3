"""The grammar of Received-SPF (RFC 7208 section 9.1) as a strict parser, written from the RFCs alone.

header-field = "Received-SPF:" [CFWS] result FWS [comment FWS] [ key-value-list ]
key-value-list = key-value-pair *( ";" [CFWS] key-value-pair ) [";"]
key-value-pair = key [CFWS] "=" ( dot-atom / quoted-string )
"""

import re

_RESULT = re.compile("pass|fail|softfail|neutral|none|temperror|permerror")
_FWS = re.compile("[ \t]+")
_KEY = re.compile("client-ip|envelope-from|helo|problem|receiver|identity|mechanism|[A-Za-z][A-Za-z0-9_.-]*")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
# RFC 5322 qtext and quoted-pair, with RFC 6532's UTF8-non-ascii.
_QUOTED = re.compile(r'"((?:[ \t!#-\[\]-~]|[^\x00-\x7f]|\\[ \t!-~])*)"')
_CTEXT = re.compile(r"[!-'*-\[\]-~ \t]|[^\x00-\x7f]|\\[ \t!-~]")


def parse(value: str) -> dict[str, str]:
    """An unfolded value as its pairs, with `result` and `comment`; ValueError where it is not of the grammar."""
    result, rest = _take(_RESULT, value)
    _, rest = _take(_FWS, rest)
    found = {"result": result}
    if rest.startswith("("):
        found["comment"], rest = _comment(rest)
        _, rest = _take(_FWS, rest)
    while rest:
        key, rest = _take(_KEY, rest)
        if not rest.startswith("="):
            raise ValueError(f"no = after {key!r}: {rest!r}")
        text, rest = _value(rest[1:])
        if key in found:
            raise ValueError(f"{key!r} stands twice")
        found[key] = text
        if rest:
            _, rest = _take(re.compile("; *"), rest)
    return found


def _take(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    match = pattern.match(text)
    if match is None:
        raise ValueError(f"not {pattern.pattern}: {text!r}")
    return match[0], text[match.end() :]


def _value(text: str) -> tuple[str, str]:
    if not text.startswith('"'):
        return _take(_DOT_ATOM, text)
    quoted, rest = _take(_QUOTED, text)
    return re.sub(r"\\(.)", r"\1", quoted[1:-1]), rest


def _comment(text: str) -> tuple[str, str]:
    """A comment without nested ones, which we do not write."""
    content, rest = "", text[1:]
    while not rest.startswith(")"):
        piece, rest = _take(_CTEXT, rest)
        content += piece[-1]
    return content, rest[1:]
