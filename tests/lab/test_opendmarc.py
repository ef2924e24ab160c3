"""The lab's OpenDMARC: its own DNS, and what it says where it cannot start. What it does to mail is tests/mta's."""

import subprocess
from pathlib import Path

import pytest

from lab import opendmarc
from lab.opendmarc import OpenDmarc
from lab.processes import with_resolv_conf

pytestmark = pytest.mark.skipif(bool(opendmarc.unavailable()), reason=opendmarc.unavailable() or "available")


def test_a_program_sees_a_resolv_conf_of_its_own_and_no_other_program_does(tmp_path: Path) -> None:
    own = tmp_path / "resolv.conf"
    own.write_text("nameserver 127.84.0.1\n")
    before = Path("/etc/resolv.conf").read_text()
    seen = subprocess.run(  # noqa: S603 - no shell of ours, own arguments
        with_resolv_conf(own, ["cat", "/etc/resolv.conf"]), check=True, capture_output=True, text=True
    )
    assert seen.stdout == own.read_text()
    assert Path("/etc/resolv.conf").read_text() == before


def test_a_failed_start_says_why_and_leaves_nothing() -> None:
    server = OpenDmarc("127.84.0.1")
    (server.folder / "conf").write_text("NoSuchKey yes\n")
    with pytest.raises(RuntimeError, match=r"opendmarc ended with 78:\n.*unrecognized parameter"):
        server.start()
    assert not server.folder.exists()
