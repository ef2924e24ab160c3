"""The name server that a module's tests share: it takes part of a second to start."""

from collections.abc import Iterator

import pytest

from tests.survival.site import NameServer, name_server


@pytest.fixture(scope="module")
def dns() -> Iterator[NameServer]:
    """A name server with the zone of `site`."""
    with name_server() as running:
        yield running
