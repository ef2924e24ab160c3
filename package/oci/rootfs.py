"""Make the files of the image: packages of Debian 13 without apt and dpkg, and a private environment for spfmilter.

Knows Debian's packages, pip, and which of their files a daemon never opens. Does not know the image format.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from package.privateenv import languages, trim
from package.roots import Root
from package.sources import BuildError, Sources

SUITE = "trixie"
PYTHON = "python3.13"  # that of the suite
HERE = Path(__file__).parent
# What builds pymilter and the wheel of spfmilter.
BUILD = ("gcc", "libc6-dev", "libmilter-dev", "python3-dev", "python3-venv")
# What is unpacked into the image. Named one by one, because their dependencies bring dpkg, perl and a terminal's tools,
# which no process in a container uses; `_check` finds a library that is missing.
PACKAGES = (
    "base-files", "dash", "libc6", "libgcc-s1", "netbase", "media-types", "tzdata",
    PYTHON, f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib",
    "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libsqlite3-0", "libssl3t64", "libuuid1", "libzstd1", "zlib1g",
    "libmilter1.0.1",
)  # fmt: skip
ENVIRONMENT = "usr/lib/spfmilter"
# Below the root, as patterns of pathlib. Licences stay (usr/share/doc/*/copyright).
UNUSED = (
    f"usr/lib/{PYTHON}/{{ensurepip,idlelib,lib2to3,pydoc_data,test,tkinter,turtle.py,turtledemo,venv,curses,_pyrepl,__pycache__}}",
    f"usr/lib/{PYTHON}/lib-dynload/{{_curses,_curses_panel,_dbm,_gdbm,readline,_tkinter,_test*,xxlimited*,_xx*}}.*",
    "usr/lib/*/{gconv,perl-base,audit}",
    "usr/lib/{locale,lsb,systemd,valgrind}",
    "usr/share/{bash-completion,bug,doc-base,gcc,gdb,info,lintian,locale,man,menu,pixmaps,applications,perl5}",
    "usr/share/doc/*/{changelog*,NEWS*,README*,examples,HISTORY*,ACKS*,TODO*}",
    "usr/share/base-files/{dot.*,profile*,motd*,info.dir,networks,staff-group*}",
    "usr/bin/{pdb3*,pydoc3*,pygettext3*,ld.so}",
    "{boot,home,media,mnt,opt,srv}",
)
_LANGUAGES = "spfmilter/locale"  # of the wheel; Babel needs the data of these alone


def make(sources: Sources, scratch: Path, user: int) -> Path:
    """Make the files and return their folder.

    Args:
        sources: of spfmilter.
        scratch: an empty folder.
        user: the number of the user as whom the daemon runs.
    """
    root = Root.make(SUITE, scratch / "build", BUILD)
    _wheels(root, sources)
    tree = root.path / "image"
    tree.mkdir()
    _unpack(root)
    _environment(root, sources)
    _trim(tree)
    _configure(tree, sources, user)
    _compile(root, sources)
    _check(root)
    return tree


def _run(root: Root, sources: Sources, script: str, *, network: bool = True) -> None:
    names = "; ".join(f"export {name}={value}" for name, value in sources.environment.items())
    root.enter("sh", "-euc", f"{names}; {script}", network=network)


def _wheels(root: Root, sources: Sources) -> None:
    """Fetch the libraries by their hashes and build wheels; build that of spfmilter.

    pip compiles pymilter in a folder of any name. Without debugging information, that name is not in the library.
    """
    for name in ("requirements.txt", "build.txt"):
        root.put(HERE / name, f"/lock/{name}")
    root.put(sources.tree, "/sources")
    _run(
        root,
        sources,
        "python3 -m venv /tools; PATH=/tools/bin:$PATH; export CFLAGS=-g0 LDFLAGS=-s;"
        "export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1;"
        "pip install -q --require-hashes --no-deps -r /lock/build.txt;"
        "pip wheel -q --require-hashes --no-deps --no-build-isolation --wheel-dir /wheels -r /lock/requirements.txt;"
        "cd /sources; python -m hatchling build --target wheel --directory /wheels",
    )


def _unpack(root: Root) -> None:
    """Download the packages, which apt verifies, and unpack them without running their scripts."""
    root.enter(
        "sh", "-euc",
        'apt-get -qq update; mkdir /debs; cd /debs; apt-get -qq download "$@";'
        'for each in *.deb; do dpkg-deb --fsys-tarfile "$each" | tar -x -C /image --keep-directory-symlink; done',
        "sh", *PACKAGES,
    )  # fmt: skip


def _environment(root: Root, sources: Sources) -> None:
    """Install the wheels. Libraries bring symbols for debuggers; those in ``*.libs`` were changed since, and stay."""
    _run(
        root,
        sources,
        f"python3 -m venv --without-pip --symlinks /image/{ENVIRONMENT}; PATH=/tools/bin:$PATH;"
        f"pip -q --python /image/{ENVIRONMENT}/bin/python install --no-index --no-deps --no-compile /wheels/*.whl;"
        f"find /image/{ENVIRONMENT} -name '*.so' ! -path '*.libs/*' -exec strip --strip-unneeded {{}} +",
        network=False,
    )
    place = root.path / "image" / ENVIRONMENT
    for script in (place / "bin").iterdir():
        if script.name != "spfmilter" and not script.name.startswith("python"):
            script.unlink()
    # The environment was made below another root, whose name it must not keep.
    (place / "bin" / "spfmilter").write_text(f"#!/{ENVIRONMENT}/bin/python\nfrom spfmilter.cli import main\n\nmain()\n")
    (place / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    for name in ("python", "python3"):
        (place / "bin" / name).unlink(missing_ok=True)
        (place / "bin" / name).symlink_to(f"/usr/bin/{PYTHON}")


def _trim(tree: Path) -> None:
    """Delete what no process of spfmilter opens."""
    site = tree / ENVIRONMENT / "lib" / PYTHON / "site-packages"
    trim(site, languages(site / _LANGUAGES))
    for pattern in (*_expanded(UNUSED), f"{ENVIRONMENT}/include", f"{ENVIRONMENT}/lib64"):
        for path in tree.glob(pattern):
            _delete(path)
    for path in list(site.glob("**/tests")):
        _delete(path)


def _expanded(patterns: tuple[str, ...]) -> list[str]:
    """Return patterns without braces, which pathlib does not know."""
    found = []
    for pattern in patterns:
        braces = re.search(r"\{([^{}]*)\}", pattern)
        if braces is None:
            found.append(pattern)
        else:
            before, after = pattern[: braces.start()], pattern[braces.end() :]
            found += _expanded(tuple(f"{before}{word}{after}" for word in braces[1].split(",")))
    return found


def _delete(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)


def _configure(tree: Path, sources: Sources, user: int) -> None:
    """Write what the packages' scripts would have written, and our own files."""
    (tree / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"spfmilter:x:{user}:{user}:spfmilter:/var/lib/spfmilter:/usr/sbin/nologin\n"
    )
    (tree / "etc" / "group").write_text(f"root:x:0:\nspfmilter:x:{user}:\n")
    (tree / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    (tree / "usr" / "bin" / "sh").unlink(missing_ok=True)
    (tree / "usr" / "bin" / "sh").symlink_to("dash")
    (tree / "usr" / "bin" / "spfmilter").symlink_to(f"/{ENVIRONMENT}/bin/spfmilter")
    for folder in ("var/lib/spfmilter", "etc/spfmilter/conf.d", "etc/ssl/certs"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sources.tree / "conf" / "spfmilter.ini", tree / "etc" / "spfmilter" / "spfmilter.ini")
    doc = tree / "usr" / "share" / "doc" / "spfmilter"
    doc.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sources.tree / "LICENSE", doc / "copyright")
    authorities = tree.parent / "usr" / "share" / "ca-certificates" / "mozilla"
    bundle = b"".join(path.read_bytes() for path in sorted(authorities.glob("*.crt")))
    (tree / "etc" / "ssl" / "certs" / "ca-certificates.crt").write_bytes(bundle)
    (tree / "usr" / "lib" / "ssl").mkdir(parents=True, exist_ok=True)
    cert = tree / "usr" / "lib" / "ssl" / "cert.pem"
    cert.unlink(missing_ok=True)
    cert.symlink_to("/etc/ssl/certs/ca-certificates.crt")


def _compile(root: Root, sources: Sources) -> None:
    """Compile all modules: the root is read-only in a container, where Python could not keep them.

    The compiled files are used without looking at the time of the source, so that they are the same in each build.
    """
    _run(
        root,
        sources,
        f"cd /; for folder in /usr/lib/{PYTHON} /{ENVIRONMENT}/lib; do"
        f" {PYTHON} -m compileall -q -j 1 -s /image -p / --invalidation-mode unchecked-hash /image$folder; done",
        network=False,
    )


# Prints the libraries in /image that lack another one, as the dynamic loader says.
_LACKING = """
loader=$(cd /image; ls usr/lib64/ld-linux* usr/lib/ld-linux* usr/lib/*/ld-linux* 2>/dev/null | head -n 1)
cd /image; find . -name '*.so*' -type f | while read -r library; do
    ! chroot /image "/$loader" --list "/$library" 2>&1 | grep -q 'not found' || echo "$library"
done
"""


def _check(root: Root) -> None:
    """Start what the image has in it, and look for libraries that are missing.

    Raises:
        BuildError: a library is missing.
    """
    modules = (
        "milter, spf, pydantic, sqlalchemy, alembic, redis, psycopg, starlette, uvicorn, limits, ssl, sqlite3, babel"
    )
    inside = ("env", "PYTHONDONTWRITEBYTECODE=1", "chroot", "/image")
    root.enter(*inside, "/usr/bin/spfmilter", "config", "check")
    root.enter(*inside, f"/{ENVIRONMENT}/bin/python", "-c", f"import {modules}")
    missing = root.enter("sh", "-c", _LACKING).stdout.split()
    if missing:
        raise BuildError(f"the image lacks libraries that these need: {' '.join(missing)}: add them to PACKAGES")
