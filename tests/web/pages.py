"""The application without a server, a network or threads: its DNS is in memory."""

from html.parser import HTMLParser

from starlette.testclient import TestClient

from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.model import Check
from spfmilter.settings import Settings, parse
from spfmilter.web.app import build
from spfmilter.web.checker import Checked
from tests.evaluation.world import World, Zone
from tests.web.site import SECRET, ZONE


class InMemory:
    """A Checker whose DNS is a dictionary; counts what it is asked for."""

    def __init__(self, zone: Zone, *, refreshed: bool = False) -> None:
        self.world, self.refreshed = World(zone), refreshed
        self.checks: list[Check] = []
        self.names: list[str] = []
        self.refused: list[str] = []  # the tokens of cases that were not passed

    async def evaluate(
        self,
        check: Check,
        network: str = "",  # noqa: ARG002 - as Checker's
        *,
        name: str = "",
        refused: str = "",
    ) -> Checked:
        """As Checker does it."""
        self.checks.append(check)
        self.names.append(name)
        self.refused.append(refused)
        return Checked(verdict=Evaluator().evaluate(check, self.world, trace=True), refreshed=self.refreshed)


def settings(text: str = "") -> Settings:
    """Settings with these keys of [web]."""
    return parse(f"[headers]\nauthserv_id = mx.example.net\n[web]\n{text}")


def client(text: str = "", *, checker: object = None, host: str = "198.51.100.1", zone: Zone = ZONE) -> TestClient:
    """A browser at this address."""
    app = build(settings(text), [SECRET.encode()], "mx.example.net", checker=checker or InMemory(zone))  # type: ignore[arg-type]
    return TestClient(app, base_url="https://mx.example.net", client=(host, 50000), follow_redirects=False)


class Page(HTMLParser):
    """A page as its elements and its text, in which a block stands apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One of HTMLParser's events."""
        self.elements.append((tag, dict(attrs)))
        if tag not in {"a", "bdi", "code", "ins", "span", "strong"}:
            self.text += " "

    def handle_data(self, data: str) -> None:
        """The other one."""
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of that name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        """The text with single blanks."""
        return " ".join(self.text.split())
