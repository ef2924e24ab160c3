"""Read the help page without a browser: a plain HTTP GET, and the main texts of the page.

It knows HTTP and the elements of the page. It does not know which case is shown.
"""

import http.client
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urlsplit

# (element, the first word of its class) -> the field for its text. Then and now are shown where they differ.
_PARTS = {
    ("p", "kicker"): "kicker",
    ("h1", ""): "title",
    ("p", "lead"): "lead",
    ("p", "again-now"): "checked",
    ("dl", "then-now"): "checked",
    ("p", "copy"): "record",
}


@dataclass(frozen=True, kw_only=True)
class Page:
    """The main texts of the page."""

    kicker: str
    title: str
    lead: str
    checked: str  # the result of a new check, beside the former one if that was another
    record: str  # the record to publish; empty if there is nothing to change


def read(url: str, language: str = "en") -> Page:
    """Open a link, and return the page's texts. Raises RuntimeError if there is no page."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=15)
    try:
        connection.request("GET", parts.path, headers={"Accept-Language": language})
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{url} answers {response.status}:\n{body}")
    return _page(body)


def _page(body: str) -> Page:
    reader = _Reader()
    reader.feed(body)
    reader.close()
    texts = {part: [" ".join(text.split()) for text in found] for part, found in reader.found.items()}
    [title], [kicker], [lead], [checked] = (texts[part] for part in ("title", "kicker", "lead", "checked"))
    return Page(kicker=kicker, title=title, lead=lead, checked=checked, record=next(iter(texts["record"]), ""))


class _Reader(HTMLParser):
    """Collect the text of the elements in _PARTS, nested elements included."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {part: [] for part in _PARTS.values()}
        self._inside, self._part = "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin to collect at an element of _PARTS (HTMLParser calls this)."""
        part = _PARTS.get((tag, (dict(attrs).get("class") or "").partition(" ")[0]))
        if part and not self._inside:
            self._inside, self._part = tag, part
            self.found[part].append("")

    def handle_endtag(self, tag: str) -> None:
        """Stop collecting at the element's end. None of these elements contains one of its own kind."""
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        if self._inside:
            self.found[self._part][-1] += data
