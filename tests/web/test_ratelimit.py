import pytest

from spfmilter.web.ratelimit import RateLimit, network_of


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("testclient", "unknown"),
        ("", "unknown"),
        ("<script>", "unknown"),
    ],
)
def test_neighbours_count_as_one(host, network) -> None:
    assert network_of(host) == network


def test_a_network_has_its_own_count() -> None:
    rate_limit = RateLimit("2/hour")
    assert [rate_limit.wait(host) for host in ("192.0.2.1", "192.0.2.200", "198.51.100.1")] == [None] * 3
    wait = rate_limit.wait("192.0.2.2")
    assert wait is not None
    assert 0 < wait <= 3601
    assert rate_limit.wait("198.51.100.2") is None
