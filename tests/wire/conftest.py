"""One DNS server for all wire tests, and one daemon with default settings for those that need no other."""

from collections.abc import Iterator

import pytest

from lab.dnsserver import ScriptedDNS
from tests.wire.running import ZONE, Running, running


@pytest.fixture(scope="session")
def dns() -> Iterator[ScriptedDNS]:
    """The zone of `running`, authoritative for everything else as well."""
    with ScriptedDNS(ZONE) as server:
        yield server


@pytest.fixture(scope="session")
def usual(dns: ScriptedDNS) -> Iterator[Running]:
    """A daemon with default settings; its end is a clean one."""
    with running(dns) as serving:
        yield serving
    assert serving.daemon.process.returncode == 0
    assert "internal error" not in serving.daemon.log()
