"""Servers that the modules share: each takes part of a second to start."""

from collections.abc import Iterator

import pytest

from lab import nsd, opendmarc, postfix
from lab.nsd import Nsd
from tests.mta.site import Site
from tests.mta.zones import ZONES

_MISSING = postfix.unavailable() or nsd.unavailable()


@pytest.fixture(scope="session")
def name_server() -> Iterator[Nsd]:
    """One NSD for all; no test changes its zones."""
    if _MISSING:
        pytest.skip(_MISSING)
    with Nsd(ZONES) as server:
        yield server


@pytest.fixture(scope="session")
def resolver() -> Iterator[Nsd]:
    """The same zones at port 53 of an address of its own, for OpenDMARC, which goes by resolv.conf."""
    if missing := _MISSING or opendmarc.unavailable():
        pytest.skip(missing)
    with Nsd(ZONES, host=nsd.own_address(), port=53) as server:
        yield server


@pytest.fixture(scope="session")
def site(name_server: Nsd) -> Iterator[Site]:
    """A site with the settings that an administrator gets without writing any, but for the stage of a refusal."""
    with Site(name_server) as running:
        yield running
