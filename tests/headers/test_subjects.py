"""The prefix before the subject of a tagged message."""

import re
from base64 import b64decode
from email import message_from_string
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.headers.subjects import missing, tagged

NI_HAO = "=?utf-8?b?5L2g5aW9?="


def tag(subject: str, prefix: str, content_type: str = "") -> str | None:
    """The only subject of a message, with the prefix; None where it is left as it is."""
    changes, _ = tagged([(1, subject)], prefix, content_type)
    assert all(change.index == 1 for change in changes)
    return changes[0].value if changes else None


def surrogates(raw: bytes) -> str:
    """Bytes as the callback reads them."""
    return raw.decode("utf-8", "surrogateescape")


def shown(value: str) -> str:
    """The subject as a mail program shows it."""
    return str(message_from_string(f"Subject: {value}\n\nbody", policy=default)["subject"])


@pytest.mark.parametrize(
    ("subject", "prefix", "seen"),
    [
        ("hello", "[SPF]", "[SPF] hello"),
        ("", "[SPF]", "[SPF]"),
        (NI_HAO, "[SPF]", "[SPF] 你好"),
        (NI_HAO, "[垃圾]", "[垃圾] 你好"),
        ("hello", "[垃圾]", "[垃圾] hello"),
        (f"Re: {NI_HAO}", "[SPF]", "[SPF] Re: 你好"),
        ("hello =?x-unknown?b?5L2g?=", "[SPF]", None),  # whatever encoding a program knows
        ("=?utf-8?b?!?=", "[SPF]", None),
        ("grüß", "[SPF]", "[SPF] grüß"),  # SMTPUTF8
    ],
)
def test_the_prefix_is_seen_before_the_subject(subject: str, prefix: str, seen: str | None) -> None:
    value = tag(subject, prefix)
    assert value is not None
    assert value.endswith(subject)
    assert seen is None or shown(value) == seen


@pytest.mark.parametrize(
    ("subject", "prefix"),
    [
        ("[SPF] hello", "[SPF]"),
        ("  [SPF] hello", "[SPF]"),
        ("Re: [SPF] hello", "[SPF]"),
        ("AW: Fwd:[SPF] hello", "[SPF]"),
        ("回复：[SPF] hello", "[SPF]"),
        ("=?utf-8?q?=5BSPF=5D_hello?=", "[SPF]"),
        ("=?utf-8?q?Re=3A_=5BSPF=5D_hello?=", "[SPF]"),
        ("=?utf-8?b?W+WegyDlnL5d?= =?utf-8?b?5L2g5aW9?=", "[垃 圾]"),
    ],
)
def test_what_has_it_is_left_alone(subject: str, prefix: str) -> None:
    assert tag(subject, prefix) is None


@pytest.mark.parametrize(
    "subject",
    [
        "Invoice [SPF]",
        f"Invoice{' ' * 300}[SPF]",
        f"Re:{' ' * 300}[SPF]",
        f"{' ' * 300}[SPF]",
        f"{'Re: ' * 20}[SPF]",
        f"{'a' * 60}: [SPF]",
        "a b: [SPF]",
        "=?utf-8?q?Invoice_?= =?utf-8?q?=5BSPF=5D?=",
        # Character sets that Python knows, and no mail program does.
        "=?unicode-escape?b?XHg1YlNQRlx4NWQ=?= Buy",
        "=?raw-unicode-escape?q?=5Cu005bSPF=5Cu005d?= Buy",
        "=?punycode?q?[SPF]-?= Buy",
        "=?utf-7?q?+AFs-SPF+AF0-?= Buy",
        "=?utf-16?b?WwBTAFAARgBdAA==?= Buy",
        "=?idna?q?[SPF]?= Buy",
        "=?iso-8859-99?q?[SPF]?= Buy",  # matches the names of those that mail programs know, and is none
    ],
)
def test_a_subject_with_the_prefix_at_an_invisible_place_is_tagged(subject: str) -> None:
    value = tag(subject, "[SPF]")
    assert value is not None
    assert value.startswith("[SPF]")


CHINESE = "你好，这是一封测试邮件，请查收附件"
RAW = {
    "GBK as gb2312": ("镕基 hello 你好".encode("gbk"), "text/plain; charset=gb2312", "镕基 hello 你好"),
    "GBK in quotes": (CHINESE.encode("gbk"), 'text/html;\n\tCHARSET = "GBK"; x=y', CHINESE),
    "GB 18030, long": ("发票𠮷".encode("gb18030") * 40, "text/plain; charset=gb18030", "发票𠮷" * 40),
    "Big5": ("Re: 測試 end".encode("big5"), "text/plain; charset=big5", "Re: 測試 end"),
    "Latin-1": ("Grüße für dich".encode("latin-1"), "text/plain; format=flowed; charset=ISO-8859-1", "Grüße für dich"),
    "Windows under the name of Latin-1": (
        "5 € – „so“".encode("cp1252"),
        "text/plain; charset=iso-8859-1",
        "5 € – „so“",
    ),
    "KOI8-R": ("Привет".encode("koi8-r"), "text/plain; charset=koi8-r", "Привет"),
    "Shift JIS": ("テスト能".encode("shift_jis"), "text/plain; charset=Shift_JIS", "テスト能"),
    # The bytes of the second word are UTF-8 as well.
    "partly UTF-8 by chance": (b"\xc4\xe3 \xc2\xa1", "text/plain; charset=gbk", b"\xc4\xe3 \xc2\xa1".decode("gbk")),
}


@pytest.mark.parametrize("prefix", ["[SPF]", "[垃圾]"])
@pytest.mark.parametrize(("raw", "content_type", "seen"), RAW.values(), ids=RAW.keys())
def test_raw_bytes_are_kept_in_words_of_the_character_set_that_the_message_names(
    raw: bytes, content_type: str, seen: str, prefix: str
) -> None:
    """As they stand, libmilter's Python side could not write them."""
    value = tag(surrogates(raw), prefix, content_type)
    assert value is not None
    value.encode()
    assert max(map(len, value.split("\n"))) <= 78
    assert shown(value) == f"{prefix} {seen}"
    words = re.sub(r"\?=\s+=\?", "?==?", value).replace("\n", "").encode()  # blanks between two are not shown
    assert re.sub(rb"=\?[^?]*\?b\?([^?]*)\?=", lambda found: b64decode(found[1]), words) == (
        prefix.encode() + b" " + raw
    )


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"\xc4\xe3\xba\xc3", ""),
        (b"\xc4\xe3\xba\xc3", "text/plain"),
        (b"\xc4\xe3\xba\xc3", "multipart/mixed; boundary=x"),  # the parts have character sets of their own
        (b"\xc4\xe3\xba\xc3", "text/plain; charset=utf-8"),
        (b"\xc4\xe3\xba\xc3", "text/plain; charset=us-ascii"),
        (b"\xc4\xe3\xba\xc3", "text/plain; charset=unicode-escape"),  # Python's own
        (b"\xc4\xe3\xba\xc3", "text/plain; charset=iso-8859-99"),
        (b"\xff", "text/plain; charset=gbk"),
        (b"gr\xfc\xdf \xe5\x9e\x83", "text/plain; charset=big5"),
        (b"\x81", "text/plain; charset=windows-1252"),
    ],
)
def test_raw_bytes_of_no_known_character_set_are_left_for_the_reader_to_guess(raw: bytes, content_type: str) -> None:
    subjects = [(1, "hello"), (2, surrogates(raw))]
    changes, untagged = tagged(subjects, "[SPF]", content_type)
    assert ([change.index for change in changes], untagged) == ([1], 1)


def test_a_subject_that_has_been_tagged_is_not_tagged_again() -> None:
    for prefix in ("[SPF]", "[垃圾]"):
        for subject in (NI_HAO, "Invoice [SPF] [垃圾]", "=?utf-8?b?a?=", "=?utf-8?b?a?= x" * 20):
            value = tag(subject, prefix)
            assert value is not None
            assert tag(value, prefix) is None
            assert "b?a?=" in subject or tag(f"Re: {value}", prefix) is None


@pytest.mark.parametrize("subject", ["a\nb", "a\r\nb", "\n\nb", "a\n", "\xff\nX-Spam: no", "a\n\udcffb"])
def test_a_line_break_does_not_end_the_field(subject: str) -> None:
    """An MTA keeps the blank behind each; one that does not is not to get a field of its own back."""
    value = tag(subject, "[SPF]", "text/plain; charset=windows-1252")
    assert value is not None
    assert all(line[:1] in {" ", "\t"} for line in value.split("\n")[1:])
    assert message_from_string(f"Subject: {value}\n\nbody", policy=default).keys() == ["Subject"]


def test_no_line_grows_beyond_78_characters() -> None:
    assert tag("x" * 63, "[SPF]") == f"[SPF] {'x' * 63}"
    assert tag("x" * 64, "[SPF]") == f"[SPF]\n {'x' * 64}"
    assert tag(f"{'x' * 70}\n yz", "[SPF]") == f"[SPF]\n {'x' * 70}\n yz"


def test_of_several_subjects_each_is_tagged_that_lacks_it() -> None:
    """RFC 5322 allows one; of more, some programs show the first, some the last."""
    changes, untagged = tagged([(1, "one"), (2, "[SPF] two"), (7, "three")], "[SPF]", "")
    assert untagged == 0
    assert [(change.name, change.index, change.value) for change in changes] == [
        ("Subject", 1, "[SPF] one"),
        ("Subject", 7, "[SPF] three"),
    ]


def test_a_message_without_subject_gets_one() -> None:
    assert [(field.name, shown(field.value).strip()) for field in missing("[垃圾]")] == [("Subject", "[垃圾]")]


@given(
    st.text() | st.binary().map(surrogates),
    st.text(min_size=1, max_size=10),
    st.text() | st.sampled_from([content_type for _, content_type, _ in RAW.values()]),
)
def test_no_untrusted_subject_breaks_it(subject: str, prefix: str, content_type: str) -> None:
    tag(subject, prefix, content_type)
