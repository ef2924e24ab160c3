"""What makes a folder writable for the service: systemd binds what the unit names when the service starts."""

import errno
import os
from pathlib import Path

import pytest

from spfmilter import ownership, units
from spfmilter.daemon import sockethints
from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.helplink import secrethints
from spfmilter.journal import place
from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.choice import StoreError
from tests.exemptions.samples import exempt

STATE, OTHER = Path("/var/lib/spfmilter"), Path("/srv/state")
STRICT = {"ProtectSystem": ["strict"], "ReadWritePaths": ["-/var/lib/spfmilter"]}
MAKE_ALL = "systemd-tmpfiles --create spfmilter.conf && systemctl restart spfmilter"
LATE = "if it was made after the start of the service: systemctl restart spfmilter"
FEW = "systemd lets the service write in few folders: add ReadWritePaths=/srv/state in a drop-in (systemctl edit spf"


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the installed unit says; a test may change it."""
    said = dict(STRICT)
    monkeypatch.setattr(units, "settings", lambda *_: said or None)
    return said


@pytest.mark.parametrize(
    ("folder", "strict", "hint"),
    [
        (STATE, True, MAKE_ALL),
        (STATE, False, MAKE_ALL),
        (STATE / "requests", True, MAKE_ALL),
        (OTHER, False, "make && systemctl restart spfmilter"),
        (
            OTHER,
            True,
            "make, with ReadWritePaths=/srv/state in a drop-in (systemctl edit spfmilter, below [Service]), ",
        ),
    ],
)
def test_a_missing_folder(folder: Path, strict: bool, hint: str, unit: dict[str, list[str]]) -> None:
    if not strict:
        unit.clear()
    said = units.to_make(folder, "make")
    assert said.startswith(hint)
    assert said.endswith("systemctl restart spfmilter")


@pytest.mark.parametrize(
    ("folder", "paths", "begin", "words"),
    [
        (STATE, "-/var/lib/spfmilter", LATE, "; otherwise the file system itself is read-only"),
        (STATE, None, LATE, "; otherwise the file system itself is read-only"),
        (Path("/var/spool/postfix/spfmilter"), None, LATE, "; otherwise the file system itself is read-only"),
        (OTHER, "/srv/state", LATE, "; otherwise the file system itself is read-only"),
        (OTHER, None, LATE, "; otherwise " + FEW),
        (OTHER, "-/var/lib/spfmilter", FEW, "[Service]), and systemctl restart spfmilter"),
    ],
)
def test_a_read_only_folder(
    folder: Path, paths: str | None, begin: str, words: str, unit: dict[str, list[str]]
) -> None:
    """``paths``: those of the installed unit; None: none is installed."""
    if paths is None:
        unit.clear()
    else:
        unit["ReadWritePaths"] = [paths]
    said = units.to_write(folder)
    assert said.startswith(begin)
    assert words in said


def test_the_journals_missing_folder(unit: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert unit
    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    assert place.trouble(JournalUrl(path=f"{STATE}/journal.db")) == (f"there is no folder {STATE}", MAKE_ALL)


def test_the_journals_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner and mode are right, so nobody is told to give it to somebody."""
    monkeypatch.setattr(ownership, "is_read_only", lambda _: True)
    reason, fix = place.trouble(JournalUrl(path=f"{tmp_path}/journal.db")) or ("", "")
    assert (reason, LATE in fix, "give it" in fix) == (f"{tmp_path} is read-only", True, False)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errno.EROFS, "is read-only: if it was made after the start of the service: systemctl restart spfmilter"),
        (errno.ENOENT, "is not a folder: make it"),
        (errno.EACCES, "may not write"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("store", [EmbeddedStore, EmbeddedRequests])
def test_a_store_that_takes_no_file(
    store: type[EmbeddedStore | EmbeddedRequests],
    error: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    opened = store(tmp_path / "x.db")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreError) as caught:
        opened.add(exempt("192.0.2.1")) if isinstance(opened, EmbeddedStore) else opened.prepare()
    monkeypatch.undo()
    assert words in str(caught.value)
    if error == errno.EROFS:
        assert ("restart spfmilter spfmilter-web" in str(caught.value)) == isinstance(opened, EmbeddedRequests)


def test_a_file_that_is_there_in_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exemptions.db").touch()
    monkeypatch.setattr(ownership, "is_read_only", lambda _: True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="is read-only: if it was made after the start") as caught:
        EmbeddedStore(tmp_path / "exemptions.db").version()
    assert not caught.value.denied, "another user could not write, either"


def test_the_missing_folder_of_a_host() -> None:
    """One command makes the daemon's folder and that of the requests."""
    for store, services in ((EmbeddedStore, "spfmilter"), (EmbeddedRequests, "spfmilter spfmilter-web")):
        path = STATE / ("requests/x.db" if store is EmbeddedRequests else "x.db")
        said = str(store(path)._error(FileNotFoundError()))
        assert said.startswith(f"{STATE} is not a folder: make it")
        assert said.endswith(f": systemd-tmpfiles --create spfmilter.conf && systemctl restart {services}")
    made = secrethints.to_make(FileNotFoundError(), STATE / "secret", "spfmilter")
    assert made == f": make the folder: {MAKE_ALL}"


def test_the_chroots_folder_is_named_by_the_shipped_unit_already(
    tmp_path: Path, unit: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit.clear()
    monkeypatch.setattr(units, "WRITABLE", (tmp_path,))
    said = sockethints.for_path(OSError(errno.EROFS, "x"), tmp_path / "m.sock")
    assert (LATE in said, "ReadWritePaths" in said) == (True, False)
