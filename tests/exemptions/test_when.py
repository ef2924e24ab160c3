"""Times as people write them."""

import time

import pytest

from spfmilter.exemptions.when import end_after, end_at, local, utc
from spfmilter.stores.rows import LATEST
from tests.exemptions.samples import DAY, NOW


@pytest.mark.parametrize(
    ("text", "end"), [("7d", NOW + 7 * DAY), (" 12H ", NOW + 43_200), ("1s", NOW + 1), ("forever", None)]
)
def test_a_span(text: str, end: int | None) -> None:
    assert end_after(text, NOW) == end


@pytest.mark.parametrize("text", ["", "7", "-7d", "0s", "1ms", "7 days", "999999999d", "1w"])
def test_a_wrong_span(text: str) -> None:
    with pytest.raises(ValueError, match=r"too long|too short|not a time"):
        end_after(text, NOW)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-06-01T00:00:00Z", 1_780_272_000),
        ("2026-06-01T02:00+02:00", 1_780_272_000),
        ("2026-06-01", 1_780_264_800),  # local
        ("2026-06-01 00:00", 1_780_264_800),
    ],
)
def test_a_moment(text: str, end: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert end_at(text, NOW) == end
        assert local(end) == "2026-06-01 00:00:00 CEST" if end == 1_780_264_800 else "2026-06-01 02:00:00 CEST"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-05-28T20:26:40Z", "1999-01-01", "99999-01-01"])
def test_a_wrong_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r"no date and time|is over"):
        end_at(text, NOW)


def test_the_ends_of_time() -> None:
    assert (utc(None), local(None), utc(LATEST)) == ("forever", "forever", "9999-12-31T23:59:59Z")
