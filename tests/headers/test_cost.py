"""What a message can make us compute: fields and addresses of a size that no MTA refuses, in milliseconds of CPU.

Postfix takes a field of 100 KB (`header_size_limit`), and any number of them. `pytest -s` shows the figures.
"""

from collections.abc import Callable
from functools import partial
from itertools import product

import pytest

from spfmilter.addresses import dns_domain, is_plain, parse_recipient, parse_reverse_path
from spfmilter.headers import author_domain, claims
from spfmilter.headers.forged import _hides
from spfmilter.headers.subjects import tagged
from spfmilter.relays import received
from tests.cost import ALLOWED, cpu

pytestmark = pytest.mark.alone

KB = 1024
PIECES = [
    *(
        " ",
        "\n ",
        ".",
        ". ",
        " . ",
        "\t.\n ",
        "(",
        ")",
        "()",
        "((",
        '"',
        '""',
        '"\\',
        "\\",
        '\\"',
        "<",
        "<>",
        "@",
        "a@",
    ),
    *("a", "a.", "a ", "a\0", "=?", "=?a?q?", "=?a?b?", "=?utf-8?q?a", "=?utf-8?q?a?= ", ",", ":", ";", "[", "[]"),
    *(
        " helo=",
        " ident=",
        "helo=a ident=",
        "(helo=",
        "([",
        "\u3002",
        "\u00fc",
        "\u00fc.",
        "\udcff",
        "\u00ad",
        "%",
        "%a",
    ),
]
READERS: dict[str, Callable[[str], object]] = {
    "Authentication-Results": partial(claims, own_id="mx.example.net"),
    "any field": _hides,
    "Received": received.parse,
    "Subject": lambda text: tagged([(1, text)], "[SPF]", ""),
    "Subject, prefix beyond ASCII": lambda text: tagged([(1, text)], "[垃圾]", ""),
    "Subject of raw bytes": lambda text: tagged(
        [(1, f"{text}\udcfc{text}")], "[SPF]", "text/plain; charset=iso-8859-1"
    ),
    "Content-Type": lambda text: tagged([(1, "\udcfc")], "[SPF]", text[:1024]),
    "From": lambda text: author_domain([text]),
    "a name": dns_domain,
    "a sender": lambda text: (is_plain(text), parse_reverse_path(text)),
    "a recipient": parse_recipient,
}
# What brings a reader to the place where the repeated piece is read.
BEFORE = ["", "a", "x", '"', "(", "<", "a@", "[SPF]", "from a (b [192.0.2.1", "from [192.0.2.1] (", "by ", "=?utf-8?q?"]


@pytest.mark.parametrize("size", [KB, 64 * KB])
@pytest.mark.parametrize("name", READERS)
def test_reading_what_a_client_sends_costs_little(name: str, size: int) -> None:
    reader, worst = READERS[name], (0.0, "", "")
    for before, piece in product(BEFORE, PIECES):
        text = before + piece * (size // len(piece)) + "!"  # so that it does not fit, however it is read
        worst = max(worst, (cpu(partial(reader, text)), before, piece))
        if worst[0] > ALLOWED:
            break
    print(f"\n{1000 * worst[0]:7.1f} ms  {size // KB} KB: {name} {worst[1:]}")  # noqa: T201 - the figures are what the test is for
    assert worst[0] < ALLOWED, worst[1:]
