"""Which incoming header fields pretend to be ours.

Knows the fields that are for the receiving server alone, and every way in which a program that reads mail could take
one for ours. Knows nothing of the fields that we write.

A gatekeeper has the duty opposite to a parser's: a parser refuses what breaks the grammar, and some reader of the same
field will not. So a field is forged as soon as one known kind of reader could see our authserv-id in it, and also where
it carries what no legitimate writer puts there (docs/decisions/0026-readers.md).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection, Iterator

from spfmilter.addresses import dns_domain
from spfmilter.headers import encodedwords
from spfmilter.settings import Settings

AUTHENTICATION_RESULTS = "Authentication-Results"
ARC_AUTHENTICATION_RESULTS = "ARC-Authentication-Results"  # RFC 8617 section 4.1.1
RECEIVED_SPF = "Received-SPF"

_RESULTS = AUTHENTICATION_RESULTS.lower()
_ARC_RESULTS = ARC_AUTHENTICATION_RESULTS.lower()
_CR, _QUESTION_MARK = b"\r?"
_BARE_CR = re.compile(r"\r(?!\n)")
# What nearly all writers write: an id, perhaps a version, a semicolon. All readers see the same id there.
_PLAIN = re.compile(r"[ \t\r\n]*([!#-'*+\-./0-9:<>@A-Z^_`a-z{|}~\[\]]+)[ \t\r\n]*(?:[0-9]+[ \t\r\n]*)?(?:;|$)")
_INSTANCE = re.compile(r"[ \t\r\n]*i[ \t\r\n]*=", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n]+")
_DOT = re.compile(r" ?\. ?")  # blanks around dots: RFC 5322 section 4.4, obs-domain
_FIRST_WORD = re.compile(r"[ )]*([^ ,;()]*)")
_NOT_QUOTES = str.maketrans("", "", '"\\')
_NO_PARENTHESES = str.maketrans("()", "  ")
_MARKS = re.compile(r"[();]")
_ESCAPES = re.compile(r"[();]|\\.", re.DOTALL)
_FLAT_COMMENT = re.compile(r"\([^)]*\)?")
_FLAT_COMMENT_WITH_ESCAPES = re.compile(r"\((?:[^)\\]|\\.?)*+\)?", re.DOTALL)
_JOINERS = re.compile("(?<=[^\x00-\x7f])[\u200c\u200d](?=[^\x00-\x7f])")  # Persian and Indic names need them (RFC 5892)
_NAME_GOES_ON = re.compile(r"[\w-]")
_MAX_READ = 2048  # characters that an honest field needs at most for what stands before its first result
_MAX_WORD = 1024  # characters of a word that are compared: an authserv-id has 253 at most
# Characters without a picture that Unicode counts among the letters and marks (Default_Ignorable_Code_Point).
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef\u2800]"
)


def watched(settings: Settings) -> frozenset[str]:
    """Return the names, in lower case, of the incoming fields that matter: the forgeable ones, and those read."""
    needed = {
        "received": bool(settings.relays.trusted),
        "from": settings.policy.yield_to_dmarc,
        "subject": bool(settings.headers.tag_subject),
        "content-type": bool(settings.headers.tag_subject),
    }
    return forgeable(settings) | {name for name, is_needed in needed.items() if is_needed}


def forgeable(settings: Settings) -> frozenset[str]:
    """Return the names, in lower case, of the fields that ``is_forged`` checks; none if all fields stay."""
    if not settings.headers.remove_forged:
        return frozenset()
    return frozenset({_RESULTS, _ARC_RESULTS, RECEIVED_SPF.lower(), settings.headers.tag_header.lower()})


def is_forged(name: str, value: str, own_id: str, settings: Settings) -> bool:
    """Return whether an incoming field pretends to be ours (RFC 8601 section 5).

    Only the last server writes Received-SPF and our notice: each that comes in is forged. (ARC-)Authentication-Results
    are forged where they could be read as ours. Those of other servers stay: users may have reasons to believe them.

    Args:
        name: of the field.
        value: as the MTA handed it over; bytes that are no UTF-8 as surrogates.
        own_id: the authserv-id under which we write.
        settings: name the further ids of the same administration, and the notice's field.
    """
    key = name.lower()
    if key in {_RESULTS, _ARC_RESULTS}:
        ids = (own_id, *settings.headers.authserv_id[1:])
        notice = settings.headers.tag_header.lower()
        return _could_be_read_as(value, ids, instance=key == _ARC_RESULTS) or _hides(value, notice)
    return key in forgeable(settings)


def claims(value: str, own_id: str) -> bool:
    """Return whether a reader could take the value of an Authentication-Results field for one under our authserv-id."""
    return _could_be_read_as(value, (own_id,)) or _hides(value)


def _could_be_read_as(value: str, ids: Collection[str], *, instance: bool = False) -> bool:
    """Return whether a reader could see one of our ids in the value.

    Args:
        value: of the field.
        ids: our authserv-ids.
        instance: whether a segment such as ``i=1;`` stands before the id, as in ARC's fields.
    """
    if _BARE_CR.search(value):
        return True
    plain = _PLAIN.match(value)
    if plain is not None and not instance:
        return _is_one_of(plain[1], ids)
    # Behind an encoded word, also one in a comment, readers part ways: decoded, it may end the comment.
    known = value[:_MAX_READ].partition(encodedwords.BEGIN)[0]
    readings = [*_without_comments(known, whole=known == value)]
    if known != value and any(reading.count(";") <= instance for reading in readings):
        return True
    heads = {head for reading in readings for head in _heads(reading, instance=instance)}
    return any(_is_suspicious(word, ids) for head in heads for word in _first_words(head))


def _heads(text: str, *, instance: bool) -> list[str]:
    """Return what may hold the authserv-id: the first segment, and the second where the first is ``i=1``, or may be."""
    found = text.split(";", 2)[:2]
    return found if instance or _INSTANCE.match(found[0]) is not None else found[:1]


# -- fields inside others ----------------------------------------------------------------------------------------------


def may_hide(value: bytes) -> bool:
    """Return whether ``hides`` has to look at the value at all.

    Asked for each field of each message. So it looks for single octets, as numbers: a search for ``b"?"`` takes Python
    twenty times as long.
    """
    return _CR in value or (_QUESTION_MARK in value and b"=?" in value)


def hides(value: str, settings: Settings) -> bool:
    """Return whether a field, of any name, holds another one that only we may write.

    Python's email package begins a new field at a bare CR, SpamAssassin at a line break in an encoded word.
    """
    if "\n" not in value and "\r" not in value and encodedwords.BEGIN not in value:
        return False
    return settings.headers.remove_forged and _hides(value, settings.headers.tag_header.lower())


def _hides(value: str, notice: str = "") -> bool:
    hidden = _hidden(notice)
    if hidden.search(value) is not None:
        return True
    if encodedwords.BEGIN not in value or not encodedwords.may_break(value):
        return False
    return encodedwords.nests(value) or any(map(hidden.search, encodedwords.readings(value)))


@functools.lru_cache(maxsize=8)
def _hidden(notice: str) -> re.Pattern[str]:
    """Return what finds a field of ours behind a line break; ``notice`` is the name of the notice's, if any."""
    names = ["(?:arc-)?authentication-results", "received-spf", *([re.escape(notice)] if notice else [])]
    return re.compile(rf"(?:\r(?!\n)|\n)(?:{'|'.join(names)})[ \t]*:", re.IGNORECASE)


# -- comments ----------------------------------------------------------------------------------------------------------


def _without_comments(value: str, *, whole: bool) -> Iterator[str]:
    """Yield the value without comments, as each kind of reader leaves them out (RFC 5322 section 3.2.2).

    Simple readers know no quoted pairs, or no nesting. A comment that is never closed is read as if its parentheses
    were not there; if the value is not ``whole``, all that follows it is left out.
    """
    yield _without_nested(value, _ESCAPES, whole=whole)
    if "(" not in value:
        return
    yield value  # as a reader sees it that knows no comments
    yield _without_nested(value, _MARKS, whole=whole)
    yield _FLAT_COMMENT.sub("", value)
    yield _FLAT_COMMENT_WITH_ESCAPES.sub("", value)


def _without_nested(value: str, marks: re.Pattern[str], *, whole: bool) -> str:
    """Return the first two segments without comments, which may be nested."""
    kept: list[str] = []
    depth = start = ends = 0
    for found in marks.finditer(value):
        mark = found[0]
        if mark == "(":
            if not depth:
                kept.append(value[start : found.start()])
            depth += 1
        elif mark == ")":
            if not depth:
                kept.append(value[start : found.start()])
            depth = max(depth - 1, 0)
            start = found.end()
        elif mark == ";" and not depth:
            ends += 1
            if ends == 2:
                return "".join([*kept, value[start : found.end()]])
    if depth and whole:
        return value.translate(_NO_PARENTHESES)
    return "".join(kept if depth else [*kept, value[start:]])


# -- the authserv-id ---------------------------------------------------------------------------------------------------


def _first_words(head: str) -> Iterator[str]:
    """Yield the first word, without quotes, as readers see it that allow blanks around its dots, or drop all blanks."""
    text = _BLANKS.sub(" ", head.translate(_NOT_QUOTES))
    for reading in {text, _DOT.sub(".", text), text[:_MAX_WORD].replace(" ", "")}:
        found = _FIRST_WORD.match(reading)
        yield found[1][:_MAX_WORD] if found is not None else ""


def _is_suspicious(word: str, ids: Collection[str]) -> bool:
    """Return whether the word holds characters without a picture, or is one of our ids to a reader that decodes."""
    unseen = not _JOINERS.sub("", word).isprintable() or _UNSEEN.search(word) is not None
    return unseen or _is_one_of(word, ids)


def _is_one_of(word: str, ids: Collection[str]) -> bool:
    """Return whether the word is one of our ids, or one of them with something behind it that continues no name.

    Compared without case (RFC 8601 section 2.2), compatibility forms such as fullwidth letters (RFC 6532 section 3.1),
    and the difference between U-labels and A-labels.
    """
    spellings = {_folded(word)}
    if not word.isascii():
        spellings.add(dns_domain(word).lower())
    return any(_begins_with(spelling, _folded(own)) for spelling in spellings for own in ids)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("\u3002", ".")


def _begins_with(word: str, own: str) -> bool:
    if not own or not word.startswith(own):
        return False
    rest = word[len(own) :].lstrip(".")
    return _NAME_GOES_ON.match(rest) is None
