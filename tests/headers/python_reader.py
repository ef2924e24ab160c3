"""Two readers of Authentication-Results that use Python's email package, as administrators write them."""

import re
import unicodedata
from collections.abc import Callable
from email import message_from_bytes, policy

from tests.headers.spellings import OWN

_COMMENT = re.compile(r"\([^()]*\)")


def decoded(raw: bytes) -> list[str]:
    """The values of (ARC-)Authentication-Results as Python decodes them, of ARC's without the instance."""
    message = message_from_bytes(raw, policy=policy.default)
    plain = [str(value) for value in message.get_all("Authentication-Results", [])]
    return plain + [str(value).partition(";")[2] for value in message.get_all("ARC-Authentication-Results", [])]


def exact(value: str) -> bool:
    """A filter that compares the id as RFC 8601 writes it."""
    own, _, results = value.partition(";")
    return own.strip().strip('"').lower() == OWN and "spf=pass" in results


def generous(value: str) -> bool:
    """A filter that copes with all that it has seen: comments, versions, strange blanks, strange letters."""
    text = unicodedata.normalize("NFKC", value)
    while (shorter := _COMMENT.sub("", text)) != text:
        text = shorter
    text = "".join(c for c in text if c.isprintable())
    words = text.partition(";")[0].replace('"', "").replace("\\", "").split()
    return bool(words) and words[0].rstrip(".").casefold() == OWN and "spf=pass" in value


def taken(raw: bytes, reader: Callable[[str], bool]) -> bool:
    """Whether a reader that uses Python's email package takes any field of a message for ours."""
    return any(map(reader, decoded(raw)))
