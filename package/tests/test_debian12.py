"""The packages for Debian 12, on a machine that has never seen the project: with its systemd and its Postfix.

What an administrator sees is the same as on Debian 13, so most tests are those of ``test_debian13``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from package import debian12, debian13, debsource
from package.lockfiles import MAIN, WEB, read, versions
from package.privateenv import FOLDER, LIBRARIES, LICENCES
from package.roots import BOOTABLE, Root
from package.sources import ROOT, Sources
from package.tests.debian import FORGED, GENUINE, Server, prepare, with_version
from package.tests.test_debian13 import (
    EARLIER,
    attached,
    test_a_removal_that_cannot_detach_leaves_all_at_work,
    test_a_version_that_does_not_take_the_settings_leaves_the_old_daemon_at_work,
    test_an_upgrade_refuses_no_connection_on_systemds_socket,
    test_removal_detaches_and_purge_leaves_nothing,
    test_the_help_page_runs_and_an_upgrade_restarts_it,
    test_the_installation_starts_nothing_and_says_what_to_do,
    test_the_shells_complete_commands,
    test_upgrade_and_downgrade,
)

__all__ = [
    "test_a_removal_that_cannot_detach_leaves_all_at_work",
    "test_a_version_that_does_not_take_the_settings_leaves_the_old_daemon_at_work",
    "test_an_upgrade_refuses_no_connection_on_systemds_socket",
    "test_removal_detaches_and_purge_leaves_nothing",
    "test_the_help_page_runs_and_an_upgrade_restarts_it",
    "test_the_installation_starts_nothing_and_says_what_to_do",
    "test_the_shells_complete_commands",
    "test_upgrade_and_downgrade",
]

MEGABYTE = 1_000_000
PYTHON = f"/{FOLDER}/bin/python3"


@pytest.fixture(scope="module")
def builder(place: Path, sources: Sources) -> Iterator[Root]:
    """A root in which packages are built and looked at."""
    root = debian12.BUILDER.make(sources.tree, place / "builder", "lintian")
    yield root
    root.remove()


@pytest.fixture(scope="module")
def packages(builder: Root, place: Path, sources: Sources) -> list[Path]:
    """The packages of this version."""
    return debian12.build_in(builder, sources, place / "dist")


@pytest.fixture(scope="module")
def earlier(builder: Root, place: Path, sources: Sources) -> list[Path]:
    """The same packages with a lower version, as one that came before."""
    return debian12.build_in(builder, with_version(sources, EARLIER, place / "earlier"), place / "before")


@pytest.fixture(scope="module")
def bare(place: Path, sources: Sources, packages: list[Path], earlier: list[Path]) -> Iterator[Root]:
    """A mail server before the installation. What the packages depend on is there: it will have no network.

    python3-dnspython is for the nameserver of the tests. The packages cannot see it.
    """
    needed = debsource.needed(sources.tree, debian12.RELEASE, "Depends")
    include = (*BOOTABLE, "libmilter1.0.1", "postfix", "python3", "python3-dnspython", *needed)
    root = Root.make(debian12.SUITE, place / "bare", include)
    prepare(root, [*packages[:2], *earlier[:2]])
    yield root
    root.remove()


def installed(root: Root, packages: list[Path]) -> Root:
    root.enter("dpkg", "--install", *(f"/root/{package.name}" for package in packages[:2]))
    return root


def test_two_builds_are_identical(builder: Root, sources: Sources, packages: list[Path], place: Path) -> None:
    again = debian12.build_in(builder, sources, place / "again")
    assert [path.name for path in again] == [path.name for path in packages]
    differ = [one.name for one, other in zip(packages, again, strict=True) if one.read_bytes() != other.read_bytes()]
    assert differ == []


def test_lintian_finds_no_error_and_no_warning(builder: Root, packages: list[Path]) -> None:
    for path in packages:
        builder.put(path, "/lint/")
    done = builder.enter("lintian", "--fail-on", "error,warning", "--allow-root",
                         *(f"/lint/{path.name}" for path in packages), check=False)  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_packages_are_small(root: Root, packages: list[Path]) -> None:
    """Also with what Debian's Python compiles at the installation."""
    assert sum(path.stat().st_size for path in packages) < 8 * MEGABYTE
    said = [root.enter("dpkg-deb", "--field", f"/root/{path.name}", "Installed-Size").stdout for path in packages]
    assert sum(map(int, said)) < 30 * 1024  # as Debian counts: kibibytes, before compilation
    installed(root, packages)
    files = [path for path in (root.path / FOLDER).rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < 60 * MEGABYTE


def test_the_environment_is_its_own(root: Root, packages: list[Path]) -> None:
    """Its libraries are of the versions in the lists. Neither Debian's own are seen nor those of PYTHONPATH."""
    installed(root, packages)
    libraries = root.path / LIBRARIES
    there = {path.name.removesuffix(".dist-info").rpartition("-")[::2] for path in libraries.glob("*.dist-info")}
    wanted = versions(read(MAIN) + read(WEB))
    left_out = {"markdown-it-py", "mdurl", "pygments"}
    assert {name.lower().replace("_", "-"): version for name, version in there if name != "spfmilter"} == {
        name: version for name, version in wanted.items() if name not in left_out
    }
    said = root.enter(PYTHON, "-c", "import dns, sys; print(dns.__file__, *sys.path)").stdout
    assert said.startswith(f"/{LIBRARIES}/dns/")
    assert "dist-packages" not in said
    broken = root.path / "opt" / "broken" / "spfmilter"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise SystemExit('not this one')")
    root.enter("env", "PYTHONPATH=/opt/broken", "spfmilter", "--version")


def test_every_library_has_its_licence(root: Root, packages: list[Path]) -> None:
    installed(root, packages)
    texts = {path.name for path in (root.path / LICENCES).iterdir()}
    for info in (root.path / LIBRARIES).glob("*.dist-info"):
        name = info.name.partition("-")[0].lower()
        assert name in texts or re.search(r"(?m)^License", (info / "METADATA").read_text()), name


def test_nothing_that_was_left_out_is_missed(root: Root, packages: list[Path]) -> None:
    """Every module of spfmilter can be loaded, and the page writes times in each of its languages."""
    installed(root, packages)
    program = """
import pkgutil, importlib, spfmilter
for module in pkgutil.walk_packages(spfmilter.__path__, "spfmilter."):
    if not module.name.startswith("spfmilter.journal.migrations.") and module.name != "spfmilter.__main__":
        importlib.import_module(module.name)
from spfmilter.web.languages import LANGUAGES, moment
for language in LANGUAGES:
    print(language.tag, moment(1_700_000_000, language), language.rtl)
import redis
"""
    done = root.enter(PYTHON, "-c", program)
    assert len(done.stdout.splitlines()) >= 10
    root.enter("spfmilter", "check", "--ip", "192.0.2.1", "--mail-from", "alice@example.com", "--explain",
               network=False)  # fmt: skip


def test_postgresql_needs_debians_library_alone(root: Root, packages: list[Path]) -> None:
    """Without it, the message says what to install."""
    installed(root, packages)
    settings = root.path / "etc" / "spfmilter" / "journal.ini"
    settings.write_text("[journal]\nurl = postgresql+psycopg://spfmilter@db.example.net/spfmilter\n")
    settings.chmod(0o644)
    command = ("spfmilter", "config", "check", "--try", "-c", "/etc/spfmilter/journal.ini")
    done = root.enter(*command, check=False, network=False)
    assert "apt install libpq5" in done.stdout + done.stderr
    root.enter("apt-get", "-qq", "update")
    root.enter("apt-get", "-qq", "-y", "--no-install-recommends", "install", "libpq5")
    done = root.enter(*command, check=False, network=False)
    assert "libpq" not in done.stdout + done.stderr
    assert root.enter(PYTHON, "-c", "import psycopg; print(psycopg.pq.__impl__)").stdout == "python\n"


def test_the_page_without_its_package_names_it(root: Root, packages: list[Path]) -> None:
    root.enter("dpkg", "--install", f"/root/{packages[0].name}")
    done = root.enter("spfmilter", "web", check=False)
    assert done.returncode == 69
    assert re.fullmatch(r"the package \w+ is missing: apt install spfmilter-web", done.stderr.strip())


def test_purge_takes_what_was_compiled(root: Root, packages: list[Path]) -> None:
    installed(root, packages)
    assert list((root.path / LIBRARIES).glob("spfmilter/__pycache__/*.pyc")), "compiled at the installation"
    root.enter("dpkg", "--purge", "spfmilter-web", "spfmilter")
    assert not (root.path / FOLDER).exists()


@pytest.fixture(scope="module")
def newer(place: Path, sources: Sources) -> Iterator[list[Path]]:
    """The same version for Debian 13."""
    root = debian13.BUILDER.make(sources.tree, place / "builder13")
    yield debian13.build_in(root, sources, place / "dist13", checked=False)[:2]
    root.remove()


def test_an_upgrade_to_debian_13_keeps_everything(root: Root, packages: list[Path], newer: list[Path]) -> None:
    """The packages serve on in the new Debian, until those for it take their place."""
    with root.boot() as booted:
        server = attached(booted, packages)
        server.sh("systemctl enable spfmilter")
        settings = "/etc/spfmilter/spfmilter.ini"
        server.sh(f"sed -i 's/^mode = monitor/mode = enforce/; $a # of the administrator' {settings}")
        kept = server.sh(f"cat /var/lib/spfmilter/secret {settings} /etc/spfmilter/conf.d/*; postconf -n smtpd_milters")
    root.enter("sed", "-i", "s/bookworm/trixie/g", "/etc/apt/sources.list")
    apt = ("apt-get", "-qq", "-y", "-o", "Dpkg::Options::=--force-confold")
    root.enter(*apt, "update")
    root.enter(*apt, "full-upgrade")
    root.enter(*apt, "install", *debsource.needed(ROOT, debian13.RELEASE, "Depends"))
    assert (root.path / "etc" / "debian_version").read_text().startswith("13")
    for package in newer:
        root.put(package, "/root/")
    with root.boot() as booted:
        server = Server(booted)
        server.serve_dns()
        assert "~deb12" in server.sh("dpkg-query -W spfmilter")
        assert server.answer(FORGED).startswith("550")
        said = server.install(*newer)
        assert "Configuration file" not in said
        assert "~deb13" in server.sh("dpkg-query -W spfmilter")
        assert (server.state(), server.enabled()) == ("active", "enabled")
        assert server.answer(FORGED).startswith("550")
        assert server.answer(GENUINE).startswith("250")
        assert kept == server.sh(
            f"cat /var/lib/spfmilter/secret {settings} /etc/spfmilter/conf.d/*; postconf -n smtpd_milters"
        )
        assert server.sh("ls -d /usr/lib/spfmilter", check=False).startswith("ls: "), "the private libraries are gone"
