"""Catalogues of translations that only a test has."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from spfmilter.language import DOMAIN


def write_catalogue(folder: Path, locale: str, texts: Iterable[str], translate: Callable[[str], str]) -> None:
    """A compiled catalogue of the notice; a text whose translation is empty has none."""
    new = Catalog(locale=locale)
    for text in texts:
        new.add(text, translate(text))
    write_compiled(folder, locale, new, DOMAIN)


def write_compiled(folder: Path, locale: str, catalogue: Catalog, domain: str) -> None:
    """Write a catalogue to where gettext looks for it."""
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    path = folder / locale / "LC_MESSAGES" / f"{domain}.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compiled.getvalue())
