"""The text of a snapshot reads back as it was. Any other text gives clean values, or an error."""

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.daemon.snapshot import FORMAT, ReloadState, Snapshot, decode, encode
from tests.health.snapshots import exemptions, exits, process, snapshot, worker

WHOLE = snapshot(
    reload=ReloadState(done=False, reason="2 problems", age=5.0),
    exits=exits(3.0),
    processes=(process("storage process"), process("metrics exporter", pid=None, wanted=False)),
    exemptions=exemptions(reason="gone"),
    workers=(worker(0), worker(1, pid=None, phase="paused", figures=None, processor=None)),
)


@pytest.mark.parametrize("written", [WHOLE, snapshot()])
def test_a_snapshot_reads_back_as_it_was(written: Snapshot) -> None:
    assert decode(encode(written)) == written


def test_what_a_newer_daemon_adds_is_passed_over() -> None:
    assert decode(json.dumps({**json.loads(encode(WHOLE)), "news": [1]}).encode()) == WHOLE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", FORMAT + 1),
        ("pid", "4711"),
        ("pid", True),
        ("pid", 1.5),
        ("pid", 1 << 70),
        ("pid", None),
        ("age", 1),
        ("age", float("nan")),
        ("age", float("inf")),
        ("socket", None),
        ("socket", ["unix:/x"]),
        ("activated", 1),
        ("kept", []),
        ("kept", {"a": 1}),
        ("nameservers", "127.0.0.1"),
        ("nameservers", [1]),
        ("workers", {}),
        ("workers", [{}]),
        ("workers", [1]),
        ("workers", [None] * 5000),
        ("reload", {"done": True}),
        ("exits", 3),
    ],
)
def test_a_value_of_another_kind_is_an_error(name: str, value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is for people
        decode(json.dumps({**json.loads(encode(WHOLE)), name: value}).encode())


@pytest.mark.parametrize("missing", [field.name for field in fields(Snapshot)])
def test_a_missing_value_is_an_error(missing: str) -> None:
    whole = json.loads(encode(WHOLE))
    del whole[missing]
    with pytest.raises(ValueError, match=f"Snapshot lacks '{missing}'"):
        decode(json.dumps(whole).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format":1' + b"0" * 5000])
def test_what_is_no_snapshot_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - as above
        decode(text)


def texts(value: Any) -> list[str]:
    """All texts in a value."""
    if isinstance(value, str):
        return [value]
    if is_dataclass(value):
        return [text for field in fields(value) for text in texts(getattr(value, field.name))]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, tuple) else []


@given(st.text())
def test_texts_come_out_as_printable_lines(hostile: str) -> None:
    """Terminal sequences, line breaks and surrogates must not reach a terminal or a log of the monitoring system."""
    written = replace(
        WHOLE,
        socket=hostile,
        file=hostile * 1000,
        kept={hostile: hostile},
        nameservers=(hostile,),
        exits=replace(exits(1.0), how=hostile),
        workers=(worker(0, phase=hostile),),
    )
    for text in texts(decode(encode(written))):
        assert text.isprintable()
        assert len(text) <= 512
