"""The container image: what is in it, and real mail through a container that may do as little as possible."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import nsd, postfix
from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.processes import free_port, patience, until
from lab.smtp import SmtpDialogue
from package import oci
from package.oci import layout
from package.sources import ROOT, export
from spfmilter import __version__
from spfmilter.settings import load

IMAGE = f"spfmilter:{__version__}"
COMPOSE = sorted((ROOT / "packaging" / "compose").glob("*/*compose*.y*ml"))
LARGEST = 110_000_000  # bytes of the files
ZONES = {"forged.example": '@ IN TXT "v=spf1 ip4:192.0.2.1 -all"\n@ IN MX 10 mail\nmail IN A 192.0.2.1\n'}
FORGED, GENUINE = "203.0.113.7", "192.0.2.1"
missing = postfix.unavailable() or nsd.unavailable()
if not missing and not (shutil.which("podman") and shutil.which("runc")):
    missing = "podman or runc is not installed (tools/setup.sh packages)"
needs_podman = pytest.mark.skipif(bool(missing), reason=missing)


# -- the archive, without an image of Debian ---------------------------------------------------------------------------


def small(folder: Path, place: Path, epoch: int = 1_700_000_000) -> str:
    """Write an image of a few files; return its digest."""
    (folder / "a" / "b").mkdir(parents=True, exist_ok=True)
    (folder / "a" / "file").write_text("text")
    (folder / "a" / "file").chmod(0o640)
    (folder / "own").mkdir(exist_ok=True)
    link = folder / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("a/file")
    image = layout.Image(
        name="x:1", architecture="amd64", config={"User": "8890"}, owners={"own": (8890, 0o700)}, epoch=epoch
    )
    return layout.write(place, folder, image)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = small(tmp_path / "one", tmp_path / "one.tar")
    assert small(tmp_path / "two", tmp_path / "two.tar") == one
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    (tmp_path / "two" / "a" / "file").write_text("other")
    assert layout.write(
        tmp_path / "two.tar", tmp_path / "two",
        layout.Image(name="x:1", architecture="amd64", config={}, owners={}, epoch=1),
    ) != one  # fmt: skip


def test_an_archive_holds_what_its_digests_say(tmp_path: Path) -> None:
    small(tmp_path / "one", tmp_path / "one.tar")
    _holds_what_its_digests_say(tmp_path / "one.tar")
    with _layer(tmp_path / "one.tar") as layer:
        entries = {entry.name: entry for entry in layer.getmembers()}
    assert list(entries) == ["a", "a/b", "a/file", "link", "own"]
    assert {(entry.uid, entry.gid, entry.mtime) for name, entry in entries.items() if name != "own"} == {
        (0, 0, 1_700_000_000)
    }
    assert (entries["own"].uid, entries["own"].mode, entries["a/file"].mode) == (8890, 0o700, 0o640)


def _json(archive: Path, name: str) -> Any:
    with tarfile.open(archive) as made:
        file = made.extractfile(name)
        assert file is not None
        return json.loads(file.read())


def _blob(descriptor: dict[str, str]) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _manifest(archive: Path) -> Any:
    (described,) = _json(archive, "index.json")["manifests"]
    return _json(archive, _blob(described))


def _layer(archive: Path) -> tarfile.TarFile:
    (described,) = _manifest(archive)["layers"]
    with tarfile.open(archive) as made:
        file = made.extractfile(_blob(described))
        assert file is not None
        return tarfile.open(fileobj=io.BytesIO(file.read()), mode="r:gz")


def _holds_what_its_digests_say(archive: Path) -> None:
    with tarfile.open(archive) as made:
        for entry in made.getmembers():
            if entry.name.startswith("blobs/"):
                file = made.extractfile(entry)
                assert file is not None
                assert hashlib.sha256(file.read()).hexdigest() == Path(entry.name).name


def test_the_variables_of_the_image_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text("")
    settings = load(path, oci.ENVIRONMENT)
    assert (str(settings.milter.socket), settings.web.listen) == ("inet:8890@0.0.0.0", "0.0.0.0:8891")
    assert (settings.log.to, settings.log.format) == ("stdout", "json")


# -- compose files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.parent.name)
def test_a_compose_file_sets_what_is_a_setting(path: Path, tmp_path: Path) -> None:
    """And its containers may do as little as the documentation says."""
    ini = tmp_path / "spfmilter.ini"
    ini.write_text("")
    whole = yaml.safe_load(path.read_text())
    ours = {name: each for name, each in whole["services"].items() if each.get("image", "").startswith("spfmilter:")}
    assert ours
    for service in ours.values():
        load(ini, {**oci.ENVIRONMENT, **service["environment"]})
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        named = [volume.partition(":")[0] for volume in service["volumes"]]
        assert {name for name in named if not name.startswith(".")} <= set(whole["volumes"])


# -- the image ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("oci")
    (made,) = oci.build(export(folder / "spfmilter"), folder)
    return made


@pytest.mark.alone
def test_the_image_is_small_and_has_what_it_needs(archive: Path) -> None:
    _holds_what_its_digests_say(archive)
    with _layer(archive) as layer:
        entries = layer.getmembers()
    assert sum(entry.size for entry in entries) < LARGEST
    assert [entry.name for entry in entries if entry.mode & 0o6000] == []
    names = {entry.name for entry in entries}
    assert not names & {"usr/bin/apt", "usr/bin/dpkg", "usr/bin/perl", "usr/bin/gcc", "usr/bin/pip"}
    assert "etc/spfmilter/spfmilter.ini" in names


@pytest.mark.alone
def test_a_second_build_is_identical(archive: Path, tmp_path: Path) -> None:
    (again,) = oci.build(export(tmp_path / "spfmilter"), tmp_path)
    assert again.read_bytes() == archive.read_bytes()


@dataclass(frozen=True, slots=True)
class Podman:
    """podman with a store of its own."""

    folder: Path

    def __call__(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of podman. Its own limits may be higher than those of a test machine, which runc refuses."""
        if arguments[0] == "run":
            arguments = ("run", "--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096", *arguments[1:])
        command = ["podman", f"--root={self.folder}/root", f"--runroot={self.folder}/run", "--storage-driver=vfs",
                   "--cgroup-manager=cgroupfs", "--runtime=runc", "--events-backend=none", *arguments]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300 * patience())
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done


@pytest.fixture(scope="module")
def podman(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if missing:
        pytest.skip(missing)
    found = Podman(tmp_path_factory.mktemp("podman"))
    found("load", "--input", str(archive))
    yield found
    found("rm", "--all", "--force", check=False)
    found("rmi", "--all", "--force", check=False)


@pytest.fixture(scope="module")
def name_server() -> Iterator[Nsd]:
    if missing:
        pytest.skip(missing)
    with Nsd(ZONES) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Container:
    """A daemon in a container."""

    podman: Podman
    name: str
    port: int

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of its standard output."""
        return [json.loads(line) for line in self.podman("logs", self.name).stdout.splitlines()]

    def status(self, *arguments: str) -> int:
        """Return the exit status of ``spfmilter status`` inside."""
        return self.podman("exec", self.name, "spfmilter", "status", *arguments, check=False).returncode


@pytest.fixture
def container(podman: Podman, name_server: Nsd) -> Iterator[Container]:
    """With a root that is read-only, without capabilities, and with the network of this host, where the servers are."""
    port, name = free_port(), "spfmilter-test"
    podman(
        "run", "--detach", f"--name={name}", "--network=host", "--read-only", "--read-only-tmpfs=false",
        "--cap-drop=all", "--security-opt=no-new-privileges",
        f"--env=SPFMILTER_MILTER_SOCKET=inet:{port}@0.0.0.0", f"--env=SPFMILTER_DNS_NAMESERVERS={name_server.address}",
        "--health-cmd=spfmilter status --quiet --only socket", IMAGE,
    )  # fmt: skip
    made = Container(podman, name, port)
    try:
        until(lambda: made.status("--quiet", "--only", "socket") == 0, 60, lambda: podman("logs", name).stdout)
        yield made
    finally:
        podman("rm", "--force", "--time=1", name, check=False)


def _answer(server: Postfix, client: str) -> str:
    with closing(SmtpDialogue("127.0.0.1", server.port)) as smtp:
        smtp.ehlo("mail.forged.example")
        smtp.raw(f"XCLIENT ADDR={client} NAME=[UNAVAILABLE]")
        smtp.ehlo("mail.forged.example")
        smtp.raw("MAIL FROM:<alice@forged.example>")
        return str(smtp.raw("RCPT TO:<bob@example.net>"))


@pytest.mark.alone
@needs_podman
def test_mail_through_a_container(container: Container) -> None:
    with Postfix(smtpd_milters=f"inet:127.0.0.1:{container.port}") as server:
        refused = _answer(server, FORGED)
        assert refused.startswith("550")
        assert f"{FORGED} is not in the trusted sender list of forged.example" in refused
        assert _answer(server, GENUINE).startswith("250")
    found = [line for line in container.lines() if line["event"] == "message"]
    assert [line["action"] for line in found][:1] == ["reject"]


@pytest.mark.alone
@needs_podman
def test_health_and_the_user_of_the_processes(container: Container) -> None:
    # The tests' name server refuses the question for the root, which "resolver" asks.
    assert container.status("--only", "socket", "--only", "workers", "--only", "configuration") == 0
    assert container.podman("healthcheck", "run", container.name, check=False).returncode == 0
    script = "while read -r key value; do echo $key $value; done </proc/1/status"
    shown = container.podman("exec", container.name, "sh", "-c", script).stdout.splitlines()
    assert {"Uid: 8890 8890 8890 8890", "CapEff: 0000000000000000", "NoNewPrivs: 1"} <= set(shown)
    assert container.podman("exec", container.name, "sh", "-c", "echo >/etc/x", check=False).returncode != 0


@pytest.mark.alone
@needs_podman
def test_a_stop_lets_sessions_end(container: Container) -> None:
    """A session that is open at SIGTERM ends as usual, and the container with 0."""
    with Postfix(smtpd_milters=f"inet:127.0.0.1:{container.port}") as server:
        smtp = SmtpDialogue("127.0.0.1", server.port)
        smtp.ehlo("mail.forged.example")
        smtp.raw(f"XCLIENT ADDR={FORGED} NAME=[UNAVAILABLE]")
        smtp.ehlo("mail.forged.example")
        container.podman("kill", "--signal=TERM", container.name)
        until(
            lambda: any("stopping" in line["event"] or "drain" in line["event"] for line in container.lines()),
            20,
            lambda: container.podman("logs", container.name).stdout,
        )
        smtp.raw("MAIL FROM:<alice@forged.example>")
        assert str(smtp.raw("RCPT TO:<bob@example.net>")).startswith("550")
        smtp.raw("QUIT")
        smtp.close()
    assert container.podman("wait", container.name).stdout.strip() == "0"


@pytest.mark.alone
@needs_podman
def test_a_wrong_variable_ends_the_start_with_its_name(podman: Podman) -> None:
    done = podman("run", "--rm", "--network=none", "--env=SPFMILTER_DNS_TIMOUT=5s", IMAGE, check=False)
    assert done.returncode == 78
    assert "did you mean SPFMILTER_DNS_TIMEOUT?" in done.stderr


@pytest.mark.alone
@needs_podman
def test_the_page_is_in_the_same_image(podman: Podman) -> None:
    """The daemon makes the secret of the links, and a second container serves the page with it."""
    link = "--env=SPFMILTER_REPLY_HELP_URL=https://mx.example.net/spf/{token}"
    least = (link, "--env=SPFMILTER_DNS_NAMESERVERS=127.0.0.1:5353", "--read-only", "--cap-drop=all")

    def says(name: str, part: str) -> int:
        return podman("exec", name, "spfmilter", "status", "-q", "--only", part, check=False).returncode

    try:
        podman("run", "--detach", "--name=spfmilter-one", "--network=none", *least, IMAGE)
        until(lambda: says("spfmilter-one", "socket") == 0, 60, lambda: podman("logs", "spfmilter-one").stdout)
        shared = ("--network=container:spfmilter-one", "--volumes-from=spfmilter-one")
        podman("run", "--detach", "--name=spfmilter-page", *shared, *least, IMAGE, "web")
        until(lambda: says("spfmilter-page", "page") == 0, 60, lambda: podman("logs", "spfmilter-page").stderr)
    finally:
        podman("rm", "--force", "--time=1", "spfmilter-page", "spfmilter-one", check=False)
