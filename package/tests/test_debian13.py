"""The packages for Debian 13, on a machine that has never seen the project: with its systemd and its Postfix."""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from package import debian13, debsource
from package.command import run_command
from package.requirements import requirements
from package.roots import BOOTABLE, Booted, Root, snapshot
from package.sources import ROOT, Sources
from package.tests.debian import FORGED, GENUINE, RESOLVER, Server, left_behind, prepare, with_version

EARLIER = "0.0.9"
UNITS = ("spfmilter", "spfmilter-web", "spfmilter.socket", "spfmilter-requests.timer")
# As Debian calls what pyproject.toml names, if it is not python3- and the same name.
DEBIAN_NAMES = {"pymilter": "python3-milter", "pyspf": "python3-spf"}


# What a build of the wheel does with the translations.
COMPILE = """
from pathlib import Path
from babel.messages import mofile, pofile
for path in Path("spfmilter/locale").glob("*/LC_MESSAGES/*.po"):
    with path.open("rb") as source, path.with_suffix(".mo").open("wb") as target:
        mofile.write_mo(target, pofile.read_po(source))
"""


def attached(booted: Booted, packages: list[Path]) -> Server:
    """Install, start and attach: forged mail is refused."""
    server = Server(booted)
    server.install(*packages[:2])
    server.serve_dns()
    server.configure(RESOLVER)
    server.sh("systemctl start spfmilter; spfmilter attach --apply")
    assert server.answer(FORGED).startswith("550")
    return server


@pytest.fixture(scope="module")
def builder(place: Path, sources: Sources) -> Iterator[Root]:
    """A root in which packages are built and looked at."""
    root = debian13.BUILDER.make(sources.tree, place / "builder", "lintian")
    yield root
    root.remove()


@pytest.fixture(scope="module")
def packages(builder: Root, place: Path, sources: Sources) -> list[Path]:
    """The packages of this version. The build runs its tests."""
    return debian13.build_in(builder, sources, place / "dist")


@pytest.fixture(scope="module")
def earlier(builder: Root, place: Path, sources: Sources) -> list[Path]:
    """The same packages with a lower version, as one that came before."""
    return debian13.build_in(
        builder, with_version(sources, EARLIER, place / "earlier"), place / "before", checked=False
    )


@pytest.fixture(scope="module")
def bare(place: Path, sources: Sources, packages: list[Path], earlier: list[Path]) -> Iterator[Root]:
    """A mail server before the installation. What the packages depend on is there: it will have no network."""
    needed = debsource.needed(sources.tree, debian13.RELEASE, "Depends")
    root = Root.make(debian13.SUITE, place / "bare", (*BOOTABLE, "postfix", "python3", *needed))
    prepare(root, [*packages[:2], *earlier[:2]])
    yield root
    root.remove()


def test_the_lower_bounds_are_those_of_pyproject() -> None:
    """dh_python3 writes the names of what pyproject.toml requires, but no bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    control = (debsource.FOLDERS / debian13.RELEASE / "control").read_text()
    for name, bound in requirements(chain(project["dependencies"], *project["optional-dependencies"].values())):
        debian = DEBIAN_NAMES.get(name, f"python3-{name}")
        assert f" {debian} (>= {bound}),\n" in control.partition("\nPackage: ")[2], name


def test_two_builds_are_identical(builder: Root, sources: Sources, packages: list[Path], place: Path) -> None:
    again = debian13.build_in(builder, sources, place / "again", checked=False)
    assert [path.name for path in again] == [path.name for path in packages]
    differ = [one.name for one, other in zip(packages, again, strict=True) if one.read_bytes() != other.read_bytes()]
    assert differ == []


def test_lintian_finds_nothing(builder: Root, packages: list[Path]) -> None:
    for path in packages:
        builder.put(path, "/lint/")
    names = [f"/lint/{path.name}" for path in packages if path.suffix in {".deb", ".dsc"}]
    done = builder.enter("lintian", "--pedantic", "--display-info", "--fail-on", "error,warning,info,pedantic",
                         "--allow-root", *names, check=False)  # fmt: skip
    assert (done.stdout, done.returncode) == ("", 0)


def test_the_packages_are_small(packages: list[Path]) -> None:
    assert packages[0].stat().st_size < 1_500_000
    assert packages[1].stat().st_size < 30_000


def test_the_installation_starts_nothing_and_says_what_to_do(root: Root, packages: list[Path]) -> None:
    """Its last words are two commands. Run as they are printed, they check mail and refuse none."""
    with root.boot() as booted:
        server = Server(booted)
        said = server.install(*packages[:2])
        for unit in UNITS:
            assert (server.state(unit), server.enabled(unit)) == ("inactive", "disabled"), unit
        assert server.sh("stat -c '%U %G %a' /var/lib/spfmilter/secret").strip() == "spfmilter spfmilter-web 640"
        first, second = re.findall(r"(?m)^    (\S.+)$", said.partition("spfmilter is installed, and not started")[2])

        server.serve_dns()
        server.configure(RESOLVER)
        server.sh(first)
        assert (server.state(), server.enabled()) == ("active", "enabled")
        assert "done: postfix -c /etc/postfix reload" in server.sh(second)
        assert server.answer(FORGED).startswith("250")
        assert "would=reject" in server.sh("journalctl -u spfmilter")

        server.sh("sed -i 's/^mode = monitor/mode = enforce/' /etc/spfmilter/spfmilter.ini; systemctl reload spfmilter")
        server.until_refused()
        assert "SPF" in server.answer(FORGED)
        assert server.answer(GENUINE).startswith("250")
        server.sh("spfmilter status")


def test_upgrade_and_downgrade(root: Root, packages: list[Path], earlier: list[Path], sources: Sources) -> None:
    with root.boot() as booted:
        server = attached(booted, earlier)
        secret = server.sh("cat /var/lib/spfmilter/secret")

        process = server.main_process()
        server.install(*packages[:2])
        assert server.version() == sources.version
        assert server.state() == "active"
        assert server.main_process() != process, "an upgrade restarts what runs"
        assert server.answer(FORGED).startswith("550")
        assert server.state("spfmilter-web") == "inactive", "and nothing else"

        server.install(*earlier[:2], options="--allow-downgrades")
        assert server.version() == EARLIER
        assert server.answer(FORGED).startswith("550")
        assert server.sh("cat /var/lib/spfmilter/secret") == secret

        server.sh("systemctl stop spfmilter")
        server.install(*packages[:2])
        assert server.state() == "inactive"


def test_a_version_that_does_not_take_the_settings_leaves_the_old_daemon_at_work(
    root: Root, packages: list[Path], earlier: list[Path]
) -> None:
    with root.boot() as booted:
        server = attached(booted, earlier)
        process = server.main_process()
        server.configure(f"{RESOLVER}[policy]\nmode = wrong\n")
        said = server.install(*packages[:2])
        assert "the old version goes on" in said
        assert "wrong" in said
        assert server.main_process() == process
        assert server.answer(FORGED).startswith("550")
        server.configure(RESOLVER)
        server.sh("systemctl restart spfmilter")
        assert server.answer(FORGED).startswith("550")


def test_removal_detaches_and_purge_leaves_nothing(root: Root, packages: list[Path]) -> None:
    with root.boot() as booted:
        before = snapshot(root.path)
        server = attached(booted, packages)
        secret = server.sh("cat /var/lib/spfmilter/secret")

        assert "done: postfix -c /etc/postfix reload" in server.sh("apt-get -y remove spfmilter")
        assert server.state() == "inactive"
        assert server.answer(FORGED).startswith("250"), "mail flows, unchecked"
        assert "spfmilter" not in server.sh("postconf -n")

        said = server.install(*packages[:2])
        assert server.sh("cat /var/lib/spfmilter/secret") == secret, "the links in bounces stay good"
        commands = re.findall(r"(?m)^    (\S.+)$", said.partition("spfmilter does not run")[2])
        assert len(commands) == 2, said
        server.sh("; ".join(commands))
        assert server.answer(FORGED).startswith("550")

        server.sh("systemctl enable spfmilter spfmilter.socket spfmilter-web spfmilter-requests.timer")
        server.sh("apt-get -y purge spfmilter spfmilter-web")
        assert server.answer(FORGED).startswith("250")
        server.sh("systemctl stop spfmilter-nameserver")
        assert left_behind(before, snapshot(root.path)) == {}


def test_a_removal_that_cannot_detach_leaves_all_at_work(root: Root, packages: list[Path]) -> None:
    """Also where another instance of Postfix is broken: that one asks nobody."""
    with root.boot() as booted:
        server = attached(booted, packages)
        server.sh("postmulti -e init; postmulti -I postfix-out -G mta -e create; rm /etc/postfix-out/main.cf")
        server.sh("mount --bind /etc/postfix /etc/postfix; mount -o remount,bind,ro /etc/postfix")
        said = server.sh("apt-get -y remove spfmilter", check=False)
        assert "So it is not removed" in said
        assert "grep -n spfmilter /etc/postfix/*.cf" in said
        assert server.sh("dpkg-query -W -f '${db:Status-Status}' spfmilter") == "installed"
        assert server.answer(FORGED).startswith("550")
        assert server.answer(GENUINE).startswith("250")
        server.sh("umount /etc/postfix; apt-get -y remove spfmilter")
        assert server.answer(FORGED).startswith("250")


def test_a_package_takes_over_from_an_installation_from_source(
    root: Root, packages: list[Path], sources: Sources
) -> None:
    """By the commands of docs/install.md. The virtual environment is a script here: what it has is Debian's."""
    root.put(sources.tree, "/srv/spfmilter")  # the unit hides /root
    root.put(packages[0], "/root/new/")
    command = root.path / "opt" / "spfmilter" / "bin" / "spfmilter"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\nPYTHONPATH=/srv/spfmilter exec python3 -m spfmilter "$@"\n')
    command.chmod(0o755)
    root.enter("env", "--chdir=/srv/spfmilter", "python3", "-c", COMPILE)
    page = (sources.tree / "docs" / "install.md").read_text()
    [by_hand] = re.findall(r"(?s)pip install \.\n(ln -s .*?)```", page)
    [take_over] = re.findall(r"(?s)### From source to a package\n.*?```sh\n(.*?)```", page)
    with root.boot() as booted:
        server = Server(booted)
        server.serve_dns()
        server.sh(f"set -e; cd /srv/spfmilter; {by_hand}")
        server.configure(RESOLVER)
        server.sh("echo '# of the administrator' >>/etc/spfmilter/spfmilter.ini")
        server.sh("systemctl enable --now spfmilter; spfmilter attach --apply")
        assert server.answer(FORGED).startswith("550")
        process = server.main_process()
        server.sh("echo kept >/var/lib/spfmilter/of-the-state")

        first, _, rest = take_over.partition("\n")
        server.sh(f"set -e; cd /root/new; {first}")
        assert server.main_process() == process
        assert server.answer(FORGED).startswith("550")
        server.sh(f"set -e; cd /root/new; {rest}")
        assert server.sh("systemctl show --value -p FragmentPath spfmilter").startswith("/usr/lib/")
        assert (server.state(), server.enabled()) == ("active", "enabled")
        assert server.main_process() != process
        assert server.answer(FORGED).startswith("550")
        assert server.sh("cat /var/lib/spfmilter/of-the-state") == "kept\n"
        assert server.sh("stat -c '%U %G %a' /var/lib/spfmilter/secret").strip() == "spfmilter spfmilter-web 640"
        assert "# of the administrator" in server.sh("cat /etc/spfmilter/spfmilter.ini")
        assert server.sh("dpkg --verify spfmilter").replace("/etc/spfmilter/spfmilter.ini", "").split() in (
            ["??5??????", "c"], []
        )  # fmt: skip


def test_an_upgrade_refuses_no_connection_on_systemds_socket(
    root: Root, packages: list[Path], earlier: list[Path]
) -> None:
    with root.boot() as booted:
        server = Server(booted)
        server.install(*earlier[:2])
        server.serve_dns()
        server.configure(f"{RESOLVER}[milter]\nsocket = systemd\n")
        server.sh("systemctl enable --now spfmilter.socket; systemctl start spfmilter; spfmilter attach --apply")
        assert server.answer(FORGED).startswith("550")
        socket = server.sh("systemctl show --value -p InvocationID spfmilter.socket")
        server.install(*packages[:2])
        assert server.answer(FORGED).startswith("550")
        assert server.sh("systemctl show --value -p InvocationID spfmilter.socket") == socket


def test_the_help_page_runs_and_an_upgrade_restarts_it(root: Root, packages: list[Path], earlier: list[Path]) -> None:
    with root.boot() as booted:
        server = Server(booted)
        server.install(*earlier[:2])
        server.sh("systemctl enable --now spfmilter-web")  # the secret is there before the daemon's first start
        assert server.state("spfmilter-web") == "active"
        process = server.main_process("spfmilter-web")
        server.install(*packages[:2])
        server.until_state("active", "spfmilter-web")
        assert server.main_process("spfmilter-web") != process
        assert server.state() == "inactive"


def test_a_missing_package_is_named_as_debian_names_it(root: Root, packages: list[Path]) -> None:
    root.enter("dpkg", "--purge", "--force-depends", "python3-uvicorn")
    root.enter("dpkg", "--install", f"/root/{packages[0].name}")
    done = root.enter("spfmilter", "web", check=False)
    assert done.returncode == 69
    assert done.stderr.strip() == "the package uvicorn is missing: apt install spfmilter-web"


def test_piuparts_finds_nothing(packages: list[Path], tmp_path: Path) -> None:
    """Installed, removed and purged in a chroot where no systemd runs, the packages leave no file and no process."""
    chroot = Root.make(debian13.SUITE, tmp_path / "chroot")
    root = Root.make(debian13.SUITE, tmp_path / "root", ("piuparts",))
    run_command(["tar", "-c", "-z", "-f", root.path / "chroot.tar.gz", "-C", chroot.path, "."])
    for package in packages[:2]:
        root.put(package, "/root/")
    said = root.enter("piuparts", "--keep-sources-list", "--basetgz=/chroot.tar.gz",
                      f"--distribution={debian13.SUITE}", "--no-eatmydata",
                      *(f"/root/{package.name}" for package in packages[:2])).stdout  # fmt: skip
    assert "PASS: All tests." in said
    for each in (chroot, root):
        each.remove()


def test_debians_own_tests_pass(sources: Sources, packages: list[Path], tmp_path: Path) -> None:
    """Those of debian/tests, run as Debian runs them: smoke, Postfix, and the protocol by another program."""
    needed = debsource.needed(sources.tree, debian13.RELEASE, "Depends")
    tools = (*BOOTABLE, "autopkgtest", "dpkg-dev", "postfix", "python3-miltertest")
    root = Root.make(debian13.SUITE, tmp_path / "root", (*tools, *needed))
    prepare(root, packages)
    with root.boot() as booted:
        server = Server(booted)
        server.install(*packages[:1])
        [source] = [path for path in packages if path.suffix == ".dsc"]
        ignored = "isolation-container,breaks-testbed"  # the root is the container, and is thrown away
        command = f"autopkgtest --ignore-restrictions={ignored} --no-built-binaries /root/{source.name} -- null"
        said = server.sh(command, check=False, timeout=600)
    root.remove()
    assert re.findall(r"(?m)^(smoke|postfix|protocol) +(\w+)$", said.rpartition("summary")[2]) == [
        ("smoke", "PASS"), ("postfix", "PASS"), ("protocol", "PASS"),
    ], said  # fmt: skip


def test_the_shells_complete_commands(root: Root, packages: list[Path]) -> None:
    root.enter("dpkg", "--install", f"/root/{packages[0].name}")
    asked = "COMP_WORDS=(spfmilter att) COMP_CWORD=1; . /usr/share/bash-completion/completions/spfmilter; "
    done = root.enter("bash", "-c", asked + '_spfmilter_completion spfmilter; echo "${COMPREPLY[@]}"')
    assert done.stdout.strip() == "attach"
    for path in ("usr/share/zsh/vendor-completions/_spfmilter", "usr/share/fish/vendor_completions.d/spfmilter.fish"):
        assert "_SPFMILTER_COMPLETE" in (root.path / path).read_text()
