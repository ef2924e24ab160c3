"""Write an image as an archive: the OCI image layout, and beside it the index that older Dockers read.

Knows the image format (https://github.com/opencontainers/image-spec) and makes the same bytes of the same files. Does
not know what is in the image.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TYPE = "application/vnd.oci.image"
_DOCKER = "docker.io/library"  # which "docker run spfmilter" means


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image is beside its files."""

    name: str  # with its tag
    architecture: str
    config: Mapping[str, object]
    owners: Mapping[str, tuple[int, int]]  # user (and group) and mode of paths that are not root's
    epoch: int  # the time of everything


@dataclass(frozen=True, slots=True)
class _Blob:
    """A part of an image, which is known by its digest."""

    kind: str
    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def path(self) -> str:
        return f"blobs/sha256/{self.digest}"

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.kind, "digest": f"sha256:{self.digest}", "size": len(self.data)}


def write(archive: Path, tree: Path, image: Image) -> str:
    """Write the image of a folder, in one layer, and return the digest of its manifest."""
    plain = _layer(tree, image)
    layer = _Blob(f"{_TYPE}.layer.v1.tar+gzip", gzip.compress(plain, compresslevel=9, mtime=0))
    created = datetime.fromtimestamp(image.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = _blob(
        f"{_TYPE}.config.v1+json",
        {
            "created": created,
            "architecture": image.architecture,
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
            "history": [{"created": created, "created_by": "python -m package.build oci"}],
        },
    )
    manifest = _blob(
        f"{_TYPE}.manifest.v1+json",
        {
            "schemaVersion": 2,
            "mediaType": f"{_TYPE}.manifest.v1+json",
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        },
    )
    # podman loads an image under the first name, and containerd, which newer Dockers keep images in, under the second.
    names = {"org.opencontainers.image.ref.name": image.name, "io.containerd.image.name": f"{_DOCKER}/{image.name}"}
    named = {**manifest.descriptor(), "annotations": names}
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "mediaType": f"{_TYPE}.index.v1+json", "manifests": [named]}),
        "manifest.json": _json([{"Config": config.path, "RepoTags": [image.name], "Layers": [layer.path]}]),
        **{blob.path: blob.data for blob in (config, manifest, layer)},
    }
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as made:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), image.epoch
            made.addfile(entry, io.BytesIO(data))
    return f"sha256:{manifest.digest}"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _blob(kind: str, value: object) -> _Blob:
    return _Blob(kind, _json(value))


def _layer(tree: Path, image: Image) -> bytes:
    """Return the files of a folder as a tar archive, in the order of their names, all with the same time."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as made:
        for path in _below(tree):
            entry, name = made.gettarinfo(path, str(path.relative_to(tree))), str(path.relative_to(tree))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = image.epoch
            entry.mode = stat.S_IMODE(entry.mode)
            if entry.islnk():  # the second name of a file that is in the archive already: each gets its own copy
                entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
            if name in image.owners:
                entry.uid, entry.mode = image.owners[name]
                entry.gid = entry.uid
            if entry.isreg():
                with path.open("rb") as file:
                    made.addfile(entry, file)
            else:
                made.addfile(entry)
    return target.getvalue()


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)
