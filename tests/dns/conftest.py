"""For this folder: the scripted servers, and a machine that is never too slow for them."""

import pytest

from spfmilter.dns.flight import Flight
from tests.scripted import resolver, second, server

__all__ = ["resolver", "second", "server"]


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent again, however busy the machine is."""
    monkeypatch.setattr(Flight, "_resend", lambda _, pending, now: setattr(pending, "due", now + 60))
