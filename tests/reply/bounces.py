"""Two public tools that read bounces, as far as our replies meet them: what each takes a reply for.

Facts of their rules, in words of our own:

- KumoMTA, github.com/KumoCorp/kumomta, assets/bounce_classifier/iana.toml, 3ebc1e8, 2026-08-04: the first rule that
  fits the joined lines. Its rules read the code and the enhanced status alone.
- Sisimai, github.com/sisimai/rb-sisimai, lib/sisimai/reason.rb, lib/sisimai/reason/*.rb and lib/sisimai/smtp/status.rb,
  9c4a184, 2024-10-09: reasons in an order, each by the status or by words of the diagnostic code in lower case. Here
  are the words of a failed authentication, and of other reasons those that are closest to our words.
"""

from __future__ import annotations

import re

AUTHENTICATION, SENDER, UNKNOWN = "authentication", "sender", "unknown"

_KUMOMTA = (
    (re.compile(r"(451|550) [45]\.1\.[78] "), SENDER),
    (re.compile(r"5\d\d [45]\.7\.(\d|1[01245]|19|2\d|30) "), AUTHENTICATION),
)
_NOT_OURS = frozenset({"5.7.27", "5.7.28"})  # a null MX; a flood
_STATUS = {
    "5.7.23": AUTHENTICATION, "5.7.24": AUTHENTICATION, "4.7.24": AUTHENTICATION, "5.1.8": SENDER, "4.7.1": "blocked",
}  # fmt: skip
_AUTHENTICATION = ("spf check: fail", "sender policy framework", "dmarc policy")
_OTHERS = {
    "mailbox full": ("mailbox full", "over quota", "mailbox is full", "quota exceeded"),
    "too large": ("message size exceeds", "message too large", "too big"),
    "suspended": ("mailbox currently suspended", "has been disabled", "mailbox is inactive", "account not available"),
    "moved": ("has been replaced by",),
    "relaying": ("relaying denied", "not a relay", "relay not permitted", "mail server requires authentication"),
    "user unknown": ("user unknown", "no such user", "unknown address", "does not exist."),
    "blocked": ("blocked", "blacklisted", "access denied", "your ip address", "not permitted to send"),
    "spam": ("spam", "junk", "message content rejected"),
    "sender refused": ("sender rejected", "sender denied", "bad sender", "domain of sender address"),
}


def kumomta(reply: str) -> str:
    """Return the class of a reply, all lines of it."""
    line = joined(reply)
    if line[4:].split(" ", 1)[0] in _NOT_OURS:
        return UNKNOWN
    return next((name for pattern, name in _KUMOMTA if pattern.match(line)), UNKNOWN)


def sisimai(reply: str) -> str:
    """Return the reason by the status, or by the words where the status says nothing."""
    return _STATUS.get(joined(reply)[4:].split(" ", 1)[0]) or sisimai_words(joined(reply))


def sisimai_words(text: str) -> str:
    """Return the reason by the words alone, as where a server on the way has put a status of its own."""
    low = text.lower()
    for name, words in _OTHERS.items():
        if any(word in low for word in words):
            return name
    return AUTHENTICATION if any(word in low for word in _AUTHENTICATION) else UNKNOWN


def is_temporary(reply: str) -> bool:
    """Return whether both tools would have the message sent again."""
    return joined(reply)[0] == "4" and joined(reply)[4] == "4"


def joined(reply: str) -> str:
    """Return a reply as one line: code and status once, then the texts."""
    first, *others = reply.split("\n")
    return " ".join([first.replace("-", " ", 1), *(line.split(" ", 1)[1] for line in others)])
