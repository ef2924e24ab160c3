"""Hatch's hook for the metadata: the README as a page of its own, away from the repository, and the project's links.

A page of a package index cannot follow a link to a file beside the README. Each becomes the address of that file in the
repository that pyproject.toml names, at the tag of the version. As long as it names none, the text stays without link.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAGES = {
    "Documentation": "blob/{tag}/README.md#read-on",
    "Changelog": "blob/{tag}/CHANGELOG.md",
    "Issues": "issues",
    "Security": "security/policy",
}


class ReadmeHook(MetadataHookInterface):
    """Sets the dynamic fields ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set them from README.md, and from ``repository`` of the hook's settings."""
        repository = str(self.config.get("repository", "")).rstrip("/")
        root = Path(self.root)
        version = re.search(r'(?m)^__version__ = "([^"]+)"', (root / "spfmilter" / "__init__.py").read_text("utf-8"))
        assert version is not None  # noqa: S101 - hatchling reads the same line before
        tag = f"v{version[1]}"
        readme = description((root / "README.md").read_text("utf-8"), repository, tag)
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
        metadata["urls"] = urls(repository, tag)


def description(readme: str, repository: str, tag: str) -> str:
    """Return the README with links that lead there from anywhere; without a repository, with none to a file."""
    if not repository:
        readme = re.sub(r"(?m)^<img .*\n", "", readme)
        return re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]+\)", r"\1", readme)
    readme = re.sub(r"\]\((?!https?:|#)", f"]({repository}/blob/{tag}/", readme)
    return re.sub(r'src="(?!https?:)', f'src="{repository}/raw/{tag}/', readme)


def urls(repository: str, tag: str) -> dict[str, str]:
    """Return the project's links, as a package index shows them beside the page."""
    if not repository:
        return {}
    return {"Source": repository, **{name: f"{repository}/{page.format(tag=tag)}" for name, page in PAGES.items()}}
