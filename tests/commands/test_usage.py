"""Exit codes, wrong usage, and the commands that only look at the INI file."""

import json
import os
import subprocess
import sys
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from lab.processes import HUNG
from spfmilter import __version__
from spfmilter.cli import cli, config, main
from spfmilter.settings import DEFAULT_PATH, Settings, parse, show

COMMANDS = [*([name] for name in cli.commands), *(["config", name] for name in config.commands)]


def test_the_version(run) -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"spfmilter, version {__version__}\n")


@pytest.mark.parametrize("command", [[], *COMMANDS], ids=" ".join)
def test_help_goes_to_stdout(run, command) -> None:
    done = run(*command, "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert "..." not in done.stdout.partition("Options:")[2], "a summary that does not fit its line"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "unexpected"],
        ["config"],
        ["config", "show", "-c"],
        ["check"],
        ["check", "--ip", "203.0.113.7"],
        ["check", "--mail-from", "a@example.com"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_64_and_reported_on_stderr(run, arguments) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert done.stderr.startswith(("Usage: ", "Error: "))


@pytest.mark.outside
def test_what_is_no_address_is_wrong_usage(run, write) -> None:
    done = run("check", "-c", write(), "--ip", "localhost", "--mail-from", "a@example.com")
    assert done.returncode == os.EX_USAGE
    assert "'localhost' is not an IP address: write 192.0.2.1 or 2001:db8::1" in done.stderr


@pytest.mark.parametrize("command", [["run"], ["attach"], ["config", "check"], ["config", "show"], ["web"]])
def test_a_directory_in_place_of_the_file_is_78(run, tmp_path, command) -> None:
    done = run(*command, "-c", tmp_path)
    said = f"{tmp_path}: cannot be read: Is a directory: name the file itself with -c FILE\n"
    assert (done.returncode, done.stderr) == (os.EX_CONFIG, said)


@pytest.mark.skipif(DEFAULT_PATH.exists(), reason="this host has settings of its own")
@pytest.mark.parametrize(
    "command", [["run"], ["attach"], ["config", "check"], ["check", "--ip", "192.0.2.1", "--mail-from", "a@b.example"]]
)
def test_without_a_file_the_default_one_is_read_and_its_absence_reported(run, command) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (os.EX_CONFIG, "")
    assert done.stderr == f"{DEFAULT_PATH}: there is no such file: write it, or name another with -c FILE\n"


@pytest.mark.outside
@pytest.mark.parametrize(
    "command", [["run"], ["config", "check"], ["check", "--ip", "192.0.2.1", "--mail-from", "a@b"]]
)
def test_an_unreadable_file_is_78_as_the_manual_says(tmp_path, command, monkeypatch) -> None:
    """In a process of its own, which gives up root's rights for good if it has them."""
    path, said = tmp_path / "spfmilter.ini", tmp_path / "said"
    path.write_text("")
    path.chmod(0)
    monkeypatch.setattr(sys, "argv", ["spfmilter", *command, "-c", str(path)])
    for folder in (tmp_path, *list(tmp_path.parents)[:4]):  # those that pytest has made for this user alone
        folder.chmod(0o755 if folder.name != "tmp" else 0o1777)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with said.open("w") as output:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                with redirect_stderr(output):
                    main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == os.EX_CONFIG
    assert said.read_text().startswith(f"{path}: cannot be read: Permission denied: user ")
    assert said.read_text().endswith("mode 0000: run this as root\n")


@pytest.mark.outside
def test_a_path_that_leads_through_a_file_is_reported(run, write) -> None:
    path = write() / "below"
    done = run("config", "check", "-c", path)
    assert (done.returncode, done.stderr) == (
        os.EX_CONFIG,
        f"{path}: cannot be read: Not a directory: name another file with -c FILE\n",
    )


@pytest.mark.outside
def test_config_check_of_a_good_file(run, write) -> None:
    path = write()
    done = run("config", "check", "-c", path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{path}: no problems\n", "")


@pytest.mark.outside
def test_config_check_names_a_setting_without_effect(run, write) -> None:
    path = write("[relays]\nrefuse = yes\n")
    done = run("config", "check", "-c", path)
    warning = (
        f"{path}: warning: line 6: [relays] refuse: has no effect: trusted is empty, so no server counts as a relay"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{warning}\n{path}: no problems\n", "")


@pytest.mark.outside
def test_config_show_prints_every_key_and_can_be_read_again(run, write) -> None:
    path = write("[policy]\nmode = monitor\n[reply]\nfail = first; # %\n  second {domain}\n")
    done = run("config", "show", "-c", path)
    assert done.returncode == 0
    settings = parse(path.read_text())
    assert parse(done.stdout) == settings
    assert done.stdout == show(settings)


@pytest.mark.outside
def test_config_show_as_json(run, write) -> None:
    shown = json.loads(run("config", "show", "--json", "-c", write("[policy]\nmode = monitor\n")).stdout)
    assert shown["policy"] == {
        "mode": "monitor",
        "reject_at": "rcpt",
        "check": "helo, mailfrom",
        "yield_to_dmarc": "no",
        "defer_at_most": "4h",
        "own_addresses": "",
        "nat64_prefixes": "64:ff9b::/96",
    }
    assert list(shown) == [line.strip("[]") for line in show(Settings()).splitlines() if line.startswith("[")]


@pytest.mark.outside
def test_a_reader_that_goes_away_is_no_error(write) -> None:
    """As in ``spfmilter config show | head -1``: no traceback."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "spfmilter", "config", "show", "-c", str(write())]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1, "click's and rich's word for it"


@pytest.mark.parametrize("command", ["run", "web"])
def test_a_bad_file_is_78_also_where_the_problems_cannot_be_written(command: str, tmp_path: Path) -> None:
    """A service manager goes by the status: 78 is not tried again."""
    path = tmp_path / "spfmilter.ini"
    path.write_text("[nonsense]\n")
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "spfmilter", command, "-c", path],
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=full,
            timeout=HUNG,
            check=False,
        )
    assert ended.returncode == 78
