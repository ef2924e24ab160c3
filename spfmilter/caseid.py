"""The case id: the short name of one decision, for the notice, the log, the journal and the telephone.

Knows its form, and how to read what a person has typed. Twelve characters of Crockford's base 32 in three groups
(``H1FC-402Z-GPWG``): 55 random bits and a check character. The alphabet has no I, L, O and U. With a million cases
kept, one installation in seventy thousand has two that are equal.
"""

from __future__ import annotations

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: place for place, character in enumerate(_ALPHABET)} | {"I": 1, "L": 1, "O": 0}
_DATA = 11  # characters without the check character
_GROUP = 4
BITS = 5 * _DATA
FORM = r"[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){2}"  # a regular expression, of an id as we write it


def of_bits(bits: int) -> str:
    """Return the case id for a number of ``BITS`` random bits."""
    digits = [bits >> 5 * place & 31 for place in reversed(range(_DATA))]
    text = "".join(_ALPHABET[digit] for digit in (*digits, _check(digits)))
    return "-".join(text[place : place + _GROUP] for place in range(0, len(text), _GROUP))


def bits_of(case: str) -> int:
    """Return the number of a case id as ``of_bits`` or ``read`` returns it."""
    number = 0
    for character in case.replace("-", "")[:_DATA]:
        number = number << 5 | _VALUES[character]
    return number


def read(text: str) -> str:
    """Return the case id that a person has typed, as we write it: any case, blanks or hyphens, O for 0, I or L for 1.

    Raises:
        ValueError: it is no case id; the message says why.
    """
    plain = "".join(text.upper().replace("-", " ").split())
    if len(plain) != _DATA + 1:
        raise ValueError(f"a case id has {_DATA + 1} letters and digits, such as {of_bits(0)}")
    strange = next((character for character in plain if character not in _VALUES), None)
    if strange is not None:
        raise ValueError(f"a case id has no {strange!a}")
    digits = [_VALUES[character] for character in plain]
    if digits[_DATA] != _check(digits[:_DATA]):
        raise ValueError("a character of the case id is wrong, or two have changed places")
    return of_bits(bits_of("".join(_ALPHABET[digit] for digit in digits)))


def _check(digits: list[int]) -> int:
    """Return the check digit: a sum in the field of 32 elements, with another weight for each place.

    It finds each single wrong character, and any two that have changed places.
    """
    total = 0
    for digit in (*digits, 0):  # the last step gives the last digit a weight that is not the check digit's own
        total = (total << 1 ^ (0b100101 if total & 16 else 0)) ^ digit
    return total
