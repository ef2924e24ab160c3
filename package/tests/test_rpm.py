"""The RPM packages: built in a bare root, installed in another with its systemd and its Postfix, and removed.

No Fedora and no RHEL can be had here, so both roots are Debian. What RPM does with files, users and scripts is the same
there. The names of the packages that the spec requires are not tried.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from package import rpm
from package.lockfiles import PRIVATE
from package.roots import BOOTABLE, Root, snapshot
from package.sources import ROOT, BuildError, Sources
from package.tests.debian import FORGED, GENUINE, RESOLVER, Server, left_behind, prepare

SUITE, PYTHON = "bookworm", "3.11"
BUILD = ("rpm", "gcc", "file", "libmilter-dev", "python3-dev", "python3-pip", "python3-setuptools", "rpmlint")
RUN = (*BOOTABLE, "rpm", "python3", "libmilter1.0.1", "postfix")
FOR_THE_NAMESERVER = ("python3-dnspython",)  # of the tests; the packages cannot see it
EARLIER = "0.0.9"
TOP = Path("/build")
LINT = ROOT / "package" / "rpm" / "rpmlint.toml"


@pytest.fixture(scope="module")
def libraries(sources: Sources) -> Path:
    """The libraries for the root's Python, kept for the next run with the same locks."""
    locks = b"".join((sources.tree / "package" / "locks" / name).read_bytes() for name in PRIVATE)
    kept = ROOT / ".cache" / "rpm" / hashlib.sha256(locks).hexdigest()[:16]
    if not kept.exists():
        part = kept.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        rpm.download(sources, part, PYTHON, ["x86_64"])
        part.rename(kept)
    return kept


@pytest.fixture(scope="module")
def builder(place: Path) -> Iterator[Root]:
    root = Root.make(SUITE, place / "builder", BUILD)
    yield root
    root.remove()


def built(builder: Root, sources: Sources, libraries: Path, dist: Path, *options: str) -> list[Path]:
    """Build in the root, without a network, as mock would."""
    top = builder.path / TOP.relative_to("/")
    shutil.rmtree(top, ignore_errors=True)
    rpm.prepare(sources, top, libraries)
    variables = [f"{name}={value}" for name, value in sources.environment.items()]
    python = ["--define", f"pyname python{PYTHON}"]
    builder.enter("env", *variables, *rpm.command(TOP, "-ba", *python, *options), network=False)
    dist.mkdir(parents=True)
    return [Path(shutil.copy2(package, dist)) for package in sorted(top.glob("*RPMS/**/*.rpm"))]


@pytest.fixture(scope="module")
def packages(builder: Root, sources: Sources, libraries: Path, place: Path) -> list[Path]:
    """The two packages, and then the source package."""
    found = built(builder, sources, libraries, place / "dist")
    names = [f"spfmilter-{sources.version}-1.x86_64.rpm", f"spfmilter-web-{sources.version}-1.x86_64.rpm",
             f"spfmilter-{sources.version}-1.src.rpm"]  # fmt: skip
    by_name = {package.name: package for package in found}
    assert set(by_name) == set(names)
    return [by_name[name] for name in names]


@pytest.fixture(scope="module")
def earlier(builder: Root, sources: Sources, libraries: Path, place: Path) -> Path:
    """The daemon's package with a lower version, as one that came before."""
    tree = place / "earlier"
    shutil.copytree(sources.tree, tree, symlinks=True)
    module = tree / "spfmilter" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{sources.version}"', f'"{EARLIER}"'))
    found = built(builder, replace(sources, tree=tree, version=EARLIER), libraries, place / "before")
    return next(package for package in found if package.name == f"spfmilter-{EARLIER}-1.x86_64.rpm")


def query(package: Path, *options: str) -> list[str]:
    done = subprocess.run(["rpm", "-qp", *options, package], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_two_builds_are_identical(
    builder: Root, sources: Sources, libraries: Path, packages: list[Path], place: Path
) -> None:
    again = {package.name: package for package in built(builder, sources, libraries, place / "again")}
    for package in packages:
        assert again[package.name].read_bytes() == package.read_bytes(), package.name


def test_rpmlint_has_nothing_to_say_but_what_has_its_reason(
    builder: Root, packages: list[Path], sources: Sources
) -> None:
    for file in (*packages, LINT):
        builder.put(file, "/lint/")
    (builder.path / "lint" / "spfmilter.spec").write_text(rpm.filled(sources))
    files = [f"/lint/{name}" for name in ("spfmilter.spec", *(package.name for package in packages))]
    said = builder.enter("rpmlint", "-c", f"/lint/{LINT.name}", *files, network=False).stdout
    assert re.search(r"\b0 errors, 0 warnings", said), said
    bare = builder.enter("rpmlint", *files, network=False, check=False).stdout
    for expression in re.findall(r"(?m)^    '(.*)',$", LINT.read_text()):
        assert re.search(expression, bare), f"{LINT.name}: {expression} filters nothing"


def test_the_packages_contain_what_they_should(packages: list[Path]) -> None:
    daemon, web, _ = (set(query(package, "--list")) for package in packages)
    modules = f"/usr/lib/spfmilter/lib/python{PYTHON}/site-packages"
    assert {"/usr/bin/spfmilter", "/etc/spfmilter/spfmilter.ini", f"{modules}/spfmilter/cli.py", f"{modules}/spf.py",
            "/usr/share/man/man1/spfmilter.1.gz", "/usr/share/man/man5/spfmilter.ini.5.gz",
            "/usr/lib/systemd/system/spfmilter.service",
            "/usr/lib/systemd/system/spfmilter.socket"} <= daemon  # fmt: skip
    assert {"/usr/lib/systemd/system/spfmilter-web.service", f"{modules}/starlette/applications.py"} <= web
    assert not {path for path in daemon if "starlette" in path}
    assert {path for path in daemon & web if not modules.startswith(path)} == set(), "no file is in both"
    assert {f"{modules}/babel/locale-data/{name}.dat" for name in ("root", "de", "zh_Hant_TW")} <= web
    assert f"{modules}/babel/locale-data/sv.dat" not in web
    assert query(packages[0], "--configfiles") == ["/etc/spfmilter/spfmilter.ini"]
    assert [flag for flag in query(packages[0], "--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\n]") if flag[0] == "c"] == [
        "cn /etc/spfmilter/spfmilter.ini"  # config(noreplace)
    ]


def test_the_packages_offer_nothing_of_their_private_libraries(packages: list[Path]) -> None:
    for package in packages[:2]:
        for provided in query(package, "--provides"):
            assert re.match(r"(spfmilter|spfmilter-web|config\(spfmilter\)|bundled\()", provided)
    needed = query(packages[0], "--requires")
    assert any(name.startswith("libmilter.so") for name in needed)
    assert not [name for name in needed if re.search(r"-[0-9a-f]{8}\.so|python3\.\d+dist|python\(abi\)", name)]


def test_without_private_libraries_the_package_asks_for_the_distributions(
    builder: Root, sources: Sources, libraries: Path, packages: list[Path], place: Path
) -> None:
    """As on Fedora: from the metadata of Python. Needs `packages` for nothing but the order: both use one root."""
    del packages
    builder.enter("python3", "-m", "pip", "install", "--quiet", "--break-system-packages", "--target", "/tools",
                  "hatchling", "babel")  # fmt: skip
    modules = "--define", "python3_sitelib /usr/lib/python3.11/site-packages"
    (builder.path / "usr" / "lib" / "python3" / "dist-packages" / "tools.pth").write_text("/tools\n")
    found = built(builder, sources, libraries, place / "system", "--without", "private", *modules)
    daemon, web = (next(it for it in found if it.name == f"{name}-{sources.version}-1.noarch.rpm")
                   for name in ("spfmilter", "spfmilter-web"))  # fmt: skip
    asked = {line.split(" ")[0] for line in query(web, "--requires")}
    assert {f"python3dist({name})" for name in ("starlette", "uvicorn", "jinja2", "babel", "limits")} <= asked
    files = set(query(daemon, "--list"))
    assert "/usr/lib/python3.11/site-packages/spfmilter/cli.py" in files
    assert not {name for name in files if name.startswith("/usr/lib/spfmilter")}


# -- installed ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(place: Path, packages: list[Path], earlier: Path) -> Iterator[Root]:
    """A mail server before the installation, whose RPM has a database already."""
    root = Root.make(SUITE, place / "bare", (*RUN, *FOR_THE_NAMESERVER))
    prepare(root, [*packages[:2], earlier])
    root.enter("rpm", "--initdb", network=False)
    yield root
    root.remove()


@pytest.fixture
def server(bare: Root, tmp_path: Path) -> Iterator[tuple[Server, Root]]:
    root = bare.copy(tmp_path / "root")
    with root.boot() as booted:
        yield Server(booted), root
    root.remove()


def test_installed_it_refuses_forged_mail_and_removed_it_leaves_nothing(
    server: tuple[Server, Root], packages: list[Path]
) -> None:
    mx, root = server
    before = snapshot(root.path)
    names = " ".join(f"/root/{package.name}" for package in packages[:2])
    mx.sh(f"rpm --install --nodeps {names}")

    assert mx.state() == mx.state("spfmilter-web") == "inactive", "the installation starts nothing"
    assert mx.enabled() == mx.enabled("spfmilter-web") == mx.enabled("spfmilter.socket") == "disabled"
    mx.sh("spfmilter config check")
    assert mx.sh("rpm --verify --nodeps spfmilter spfmilter-web") == ""
    assert mx.sh("stat -c '%a %U %G' /var/lib/spfmilter").split() == ["2710", "spfmilter", "spfmilter-web"]
    assert mx.sh("stat -c '%a %U %G' /var/lib/spfmilter/secret").split() == ["640", "spfmilter", "spfmilter-web"]

    mx.serve_dns()
    mx.configure(RESOLVER)
    mx.sh("systemctl start spfmilter; spfmilter attach --apply")
    assert mx.answer(FORGED).startswith("550")
    assert mx.answer(GENUINE).startswith("250")
    mx.sh("spfmilter status")
    mx.sh("systemctl reload spfmilter")
    assert mx.answer(FORGED).startswith("550")

    mx.sh("mount --bind /etc/postfix /etc/postfix; mount -o remount,bind,ro /etc/postfix")
    assert "So it is not removed" in mx.sh("rpm --erase spfmilter spfmilter-web", check=False)
    assert mx.answer(FORGED).startswith("550")
    mx.sh("umount /etc/postfix")

    mx.sh("rpm --erase $(rpm --query --all 'spfmilter*')")
    assert mx.state() == "inactive"
    assert "spfmilter" not in mx.sh("postconf -n"), "detached: mail is not deferred"
    assert mx.answer(FORGED).startswith("250")

    # What docs/packaging.md says remains: state, users, and the settings that the administrator wrote.
    mx.sh("rm -r /var/lib/spfmilter /etc/spfmilter; userdel spfmilter; userdel spfmilter-web")
    mx.sh("systemctl stop spfmilter-nameserver")
    left = left_behind(before, snapshot(root.path))
    left.pop("/usr/share/licenses", None)  # Debian has no such folder; Fedora does
    assert left == {}


def test_an_upgrade_restarts_what_ran_and_keeps_the_settings(
    server: tuple[Server, Root], packages: list[Path], earlier: Path
) -> None:
    mx, _ = server
    mx.sh(f"rpm --install --nodeps /root/{earlier.name}")
    mx.sh("echo '# mine' >>/etc/spfmilter/spfmilter.ini; systemctl start spfmilter")
    was = mx.main_process()
    mx.sh(f"rpm --upgrade --nodeps /root/{packages[0].name}")
    mx.until_state("active")
    assert mx.main_process() not in {was, "0"}
    assert mx.version() == packages[0].name.split("-")[1]
    assert mx.sh("tail -n 1 /etc/spfmilter/spfmilter.ini") == "# mine\n"
    assert mx.state("spfmilter-web") == "inactive"
    mx.sh(f"rpm --upgrade --oldpackage --nodeps /root/{earlier.name}")
    assert mx.version() == EARLIER
    assert mx.state() == "active"

    mx.sh("echo 'nonsense' >>/etc/spfmilter/spfmilter.ini")
    was = mx.main_process()
    said = mx.sh(f"rpm --upgrade --nodeps /root/{packages[0].name}")
    assert "does not take these settings" in said
    assert mx.main_process() == was, "the old daemon goes on"


# -- the files themselves ----------------------------------------------------------------------------------------------


def test_a_requirement_that_has_no_name_in_fedora_is_an_error() -> None:
    assert rpm.tags("Requires", ["psycopg[binary]>=3.1.12"]) == "Requires:       python3dist(psycopg) >= 3.1.12"
    with pytest.raises(BuildError, match="limits"):
        rpm.tags("Requires", ["limits~=5.0"])
