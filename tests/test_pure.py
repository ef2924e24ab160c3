"""A pure test cannot reach outside unnoticed (tests/conftest.py)."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_pure_test_that_opens_a_network_connection_fails() -> None:
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match="bind"):
        sock.bind(("127.0.0.1", 0))
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match="connect"):
        sock.connect(("127.0.0.1", 9))


def test_a_pure_test_that_resolves_a_name_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="getaddrinfo"):
        socket.getaddrinfo("localhost", 9)


def test_a_pure_test_that_runs_another_program_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="Popen"):
        subprocess.run(["true"], check=True)  # noqa: S607 - it is not run


def test_python_and_unix_sockets_are_allowed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ""], check=True)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))


@pytest.mark.outside
def test_others_may_do_all_of_it() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
    subprocess.run(["true"], check=True)  # noqa: S607 - the shortest program
