"""Unit files are read as systemd reads them: the first folder wins, drop-ins add, an empty value removes."""

from pathlib import Path

import pytest

from spfmilter import units


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    return [tmp_path / "etc", tmp_path / "lib"]


def test_a_unit_that_is_not_installed_says_nothing(roots) -> None:
    write(roots[0], "a.socket.d/one.conf", "[Socket]\nListenStream=1\n")
    assert units.settings("a.socket", "Socket", roots) is None


def test_the_first_folder_wins_and_other_sections_do_not_count(roots) -> None:
    write(roots[0], "a.socket", "[Unit]\nListenStream=0\n# ListenStream=1\n[Socket]\n ListenStream = 127.0.0.1:8890\n")
    write(roots[1], "a.socket", "[Socket]\nListenStream=2\nBacklog=3\n")
    assert units.settings("a.socket", "Socket", roots) == {"ListenStream": ["127.0.0.1:8890"]}


def test_drop_ins_add_in_the_order_of_their_names_and_an_empty_value_removes(roots) -> None:
    write(roots[1], "a.socket", "[Socket]\nListenStream=1\nBacklog=4096\n")
    write(roots[1], "a.socket.d/20.conf", "[Socket]\nListenStream=\nListenStream=2\n")
    write(roots[0], "a.socket.d/30.conf", "[Socket]\nListenStream=3\n")
    write(roots[1], "a.socket.d/30.conf", "[Socket]\nListenStream=hidden by that of etc\n")
    write(roots[0], "a.socket.d/10.conf", "[Socket]\nListenStream=before the removal\n")
    write(roots[0], "a.socket.d/40.bak", "[Socket]\nListenStream=no drop-in\n")
    assert units.settings("a.socket", "Socket", roots) == {"ListenStream": ["2", "3"], "Backlog": ["4096"]}


def test_a_line_goes_on_after_a_backslash_and_a_comment_in_between_is_left_out(roots) -> None:
    write(roots[0], "a.service", "[Service]\nSupplementaryGroups=postfix \\\n# a comment\n  mail\nUser=x\n")
    assert units.settings("a.service", "Service", roots) == {"SupplementaryGroups": ["postfix mail"], "User": ["x"]}


def test_a_file_that_cannot_be_read_is_left_out(roots) -> None:
    (roots[0] / "a.service").mkdir(parents=True)
    write(roots[1], "a.service", "[Service]\nUser=\xff\n")
    assert units.settings("a.service", "Service", roots) == {"User": ["\xff"]}


def test_the_shipped_units_are_read() -> None:
    shipped = [Path(__file__).parents[1] / "systemd"]
    assert units.settings(units.SOCKET, "Socket", shipped) == {
        "ListenStream": ["127.0.0.1:8890"],
        "Backlog": ["4096"],
        "NoDelay": ["yes"],
    }
    service = units.settings(units.SERVICE, "Service", shipped)
    assert service is not None
    assert (service["User"], service["PrivateUsers"]) == (["spfmilter"], ["yes"])
