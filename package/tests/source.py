"""Install spfmilter in a root from these sources, with the commands that an administrator would type.

Knows what docs/install.md and docs/help-page.md say. Does not know what is tested with it.
"""

import subprocess
import tempfile
from pathlib import Path

from package.roots import Root

ROOT = Path(__file__).parents[2]
NEEDS = ("gcc", "libc6-dev", "libmilter-dev", "python3-dev", "python3-venv")
_INSTALL = """
set -e
cd /root/spfmilter
python3 -m venv /opt/spfmilter
/opt/spfmilter/bin/pip install --quiet --disable-pip-version-check '.[web]'
ln -s /opt/spfmilter/bin/spfmilter /usr/bin/spfmilter
install -D -m 644 -t /etc/spfmilter conf/spfmilter.ini
install -D -m 644 -t /etc/systemd/system systemd/*.service systemd/*.socket systemd/*.timer
install -D -m 644 -t /etc/sysusers.d systemd/sysusers.d/spfmilter.conf
install -D -m 644 -t /etc/tmpfiles.d systemd/tmpfiles.d/spfmilter.conf
systemd-sysusers
systemd-tmpfiles --create spfmilter.conf
"""


def install(root: Root) -> None:
    """Copy the files that git knows, and install them."""
    with tempfile.TemporaryDirectory(prefix="package-source-") as folder:
        tree = Path(folder, "spfmilter")
        tree.mkdir()
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(
            ["tar", "-C", ROOT, "--null", "-T", "-", "--ignore-failed-read", "-cf", Path(folder, "tree.tar")],
            input=listed.stdout, check=True,
        )  # fmt: skip
        subprocess.run(["tar", "-C", tree, "-xf", Path(folder, "tree.tar")], check=True)
        root.put(tree, "/root/spfmilter")
    root.enter("sh", "-c", _INSTALL)
