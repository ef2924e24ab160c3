"""Whether settings count as changed, and which of them need a restart."""

import pytest

from spfmilter.daemon.inforce import digest, kept
from tests.values import settings

OLD = "[milter]\nsocket = unix:/run/spfmilter/spfmilter.sock\n[policy]\nmode = monitor\n"


@pytest.mark.parametrize(
    ("new", "same"),
    [
        (OLD, True),
        ("; a comment\n" + OLD, True),
        ("[policy]\nmode = monitor\n[milter]\nsocket = unix:/run/spfmilter/spfmilter.sock", True),
        (OLD + "reject_at = rcpt\n", True),  # the default
        ("[policy]\nmode = monitor\n", True),  # another socket: a matter of a restart
        (OLD + "[metrics]\nlisten = 127.0.0.1:9890\n", True),  # the same
        (OLD.replace("monitor", "enforce"), False),
        (OLD + "[domain:example.com]\nfail = tag\n", False),
        (OLD + "[exempt]\nsenders = example.org\n", False),
    ],
)
def test_the_digest_is_that_of_the_settings(new: str, same: bool) -> None:
    assert (digest(settings(new), counting=False) == digest(settings(OLD), counting=False)) == same


def test_the_metrics_listener_can_be_moved_where_there_are_metrics() -> None:
    one, other = (settings(f"[metrics]\nlisten = 127.0.0.1:{port}\n") for port in (9890, 9891))
    assert digest(one, counting=True) != digest(other, counting=True)
    assert kept(one, counting=True) == kept(other, counting=True)
    assert kept(one, counting=False) != kept(other, counting=False)


def test_what_needs_a_restart() -> None:
    assert kept(settings(OLD), counting=False) == {
        "[milter] socket": "unix:/run/spfmilter/spfmilter.sock",
        "[milter] socket_mode": "0660",
        "[milter] socket_group": "",
        "[metrics] listen": "",
    }
