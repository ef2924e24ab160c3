"""The README as a page of a package index, and the links beside it (tools/metadata.py)."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOST = "https://git.example/spfmilter"


@pytest.fixture(scope="module")
def metadata():
    """The hook: it lies in a folder of programs, which is no package."""
    spec = importlib.util.spec_from_file_location("metadata", ROOT / "tools" / "metadata.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "linked", "bare"),
    [
        ("[a](docs/a.md)", "[a](https://git.example/spfmilter/blob/v1.2.3/docs/a.md)", "a"),
        ("[a](docs/a.md#x)", "[a](https://git.example/spfmilter/blob/v1.2.3/docs/a.md#x)", "a"),
        ("[a](#x)", "[a](#x)", "[a](#x)"),
        ("[a](https://b.example/)", "[a](https://b.example/)", "[a](https://b.example/)"),
        ("spfmilter [OPTIONS] (all)", "spfmilter [OPTIONS] (all)", "spfmilter [OPTIONS] (all)"),
        ('<img src="docs/a.png">\n', '<img src="https://git.example/spfmilter/raw/v1.2.3/docs/a.png">\n', ""),
    ],
)
def test_a_link_to_a_file_is_an_address_or_no_link(metadata, text, linked, bare) -> None:
    assert metadata.description(text, HOST, "v1.2.3") == linked
    assert metadata.description(text, "", "v1.2.3") == bare


@pytest.mark.parametrize("repository", ["", HOST])
def test_the_readme_has_no_relative_link_left(metadata, repository) -> None:
    readme = (ROOT / "README.md").read_text()
    relative = re.compile(r'\]\((?!https?:|#)|src="(?!https?:)')
    assert len(relative.findall(readme)) > 20
    assert relative.findall(metadata.description(readme, repository, "v1.2.3")) == []


def test_the_links_beside_the_page_are_those_of_the_version(metadata) -> None:
    links = metadata.urls(HOST, "v1.2.3")
    assert links["Source"] == HOST
    assert links["Changelog"] == f"{HOST}/blob/v1.2.3/CHANGELOG.md"
    assert metadata.urls("", "v1.2.3") == {}


def test_the_links_lead_to_pages_that_exist(metadata) -> None:
    for page in metadata.PAGES.values():
        path, _, anchor = page.removeprefix("blob/{tag}/").partition("#")
        assert "/" in path or "." not in path or (ROOT / path).is_file()
        assert not anchor or f"\n## {anchor.replace('-', ' ').capitalize()}\n" in (ROOT / path).read_text()
