"""The private environment of the Debian 12 packages: which versions it has, and what is left out of it."""

import hashlib
import re
from pathlib import Path

import pytest

from package import lockfiles
from package import privateenv as environment
from package.lockfiles import BUILD, MAIN, PRIVATE, WEB, entries, read, versions
from package.privateenv import languages, make_modules, trim, verified
from package.renew import wanted
from package.requirements import requirements

RENEW = "renew the lists: python -m package.renew"


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("name", PRIVATE)
def test_a_lock_has_what_pyproject_requires(name: str) -> None:
    there = versions(read(MAIN) + read(WEB)) if name == WEB else versions(read(name))
    for package, bound in requirements(wanted()[name]):
        assert numbers(there.get(package, "0")) >= numbers(bound), f"{package}: {RENEW}"


@pytest.mark.parametrize("name", PRIVATE)
def test_each_library_of_a_lock_has_hashes_and_no_marker(name: str) -> None:
    """Markers would be judged by the Python that runs pip, also while it downloads for another."""
    found = entries(read(name))
    assert found.keys() == versions(read(name)).keys()
    for entry in found.values():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n", entry), entry


def test_no_library_is_in_both_packages() -> None:
    assert not versions(read(MAIN)).keys() & versions(read(WEB)).keys()
    assert versions(read(WEB))["babel"] == versions(read(BUILD))["babel"], (
        "what compiled the translations also reads them"
    )


def test_a_file_is_taken_by_its_hash_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tmp_path / "files"
    files.mkdir()
    good = files / "typing_inspection-1.0-py3-none-any.whl"
    good.write_bytes(b"good")
    (files / "other-2.0.tar.gz").write_bytes(b"of no list")
    hash_ = hashlib.sha256(b"good").hexdigest()
    (tmp_path / "list.txt").write_text(f"# made\ntyping-inspection==1.0 \\\n    --hash=sha256:{hash_}\n")
    monkeypatch.setattr(environment, "read", lambda name: lockfiles.read(name, tmp_path))
    assert verified(files, "list.txt") == [good]
    good.write_bytes(b"changed")
    with pytest.raises(SystemExit, match=r"no file with a hash of list\.txt for typing-inspection"):
        verified(files, "list.txt")


def test_the_languages_of_babel_are_those_of_the_page(tmp_path: Path) -> None:
    for name in ("de", "pt_BR", "zh_Hans"):
        (tmp_path / name).mkdir()
    assert languages(tmp_path) == {"root", "en", "de", "pt", "pt_BR", "zh", "zh_Hans"}


def test_what_is_never_used_is_left_out(tmp_path: Path) -> None:
    kept = (
        "spfmilter/locale/de/LC_MESSAGES/web.mo",
        "babel/locale-data/de.dat",
        "rich/table.py",
        "rich-1.dist-info/METADATA",
        "sqlalchemy/ext/__init__.py",
        "sqlalchemy/ext/compiler.py",
    )
    away = (
        "spfmilter/locale/de/LC_MESSAGES/web.po",
        "babel/locale-data/fi.dat",
        "bin/alembic",
        "pygments/lexers/c.py",
        "rich-1.dist-info/RECORD",
        "sqlalchemy/ext/hybrid.py",
        "sqlalchemy/orm/util.py",
        "wrapt/_wrappers.c",
    )
    for name in (*kept, *away):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    trim(tmp_path, {"de"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_library_is_no_program(tmp_path: Path) -> None:
    module = tmp_path / "spf.py"
    module.write_text("#!/usr/bin/python\nRFC = 7208\n")
    module.chmod(0o755)
    make_modules(tmp_path)
    assert module.read_text() == "#/usr/bin/python\nRFC = 7208\n"
    assert module.stat().st_mode & 0o777 == 0o644
