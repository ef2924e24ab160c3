"""What is installed: the package with its compiled translations, which the repository does not hold."""

import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
# What a build reads; a copy, so that no file that another test has made gets in.
SOURCES = ["pyproject.toml", "README.md", "LICENSE", "spfmilter", "tools", "man", "conf", "systemd"]


def test_the_wheel_holds_compiled_catalogues_the_page_and_the_marker_of_types(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.mo", "__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    shutil.copy(ROOT / ".gitignore", source)  # hatchling leaves out what git ignores
    command = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run([sys.executable, "-m", *command], check=True)  # noqa: S603 - our own
    [wheel] = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    catalogues = {str(path.relative_to(ROOT)) for path in (ROOT / "spfmilter" / "locale").glob("*/LC_MESSAGES/*.po")}
    assert len(catalogues) >= 2
    assert {name.replace(".po", ".mo") for name in catalogues} <= held
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "spfmilter" / "web").glob("[ts]*/*")}
    assert len(page) >= 8
    assert page <= held
    assert "spfmilter/py.typed" in held  # PEP 561: its annotations are for others, too
