"""Print the demo: panels on a terminal, plain lines in a file or pipe.

It knows rich and the layout. It does not know what is shown.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_OURS = ("authentication-results:", "received-spf:", "x-spf-notice:")
_WIDEST = 110  # columns: longer lines are hard to read on any screen


class Screen:
    """Collect the demo's parts one after the other, and print each when it is complete."""

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show a check mark
        self._console = Console(highlight=False)
        self._console.width = min(self._console.width, _WIDEST)
        self._rich = self._console.is_terminal
        self._parts: list[RenderableType] = []
        self._note: list[Text] = []
        self._checks: list[Text] = []
        self._title = ""
        self._fine = True
        self.failed: list[str] = []  # the checks that failed

    def open(self, title: str, happens: str) -> None:
        """Begin a part with its title and one sentence."""
        self._title, self._fine = title, True
        self._checks = []
        self._parts = []
        if self._rich:
            self._parts = [Text(happens, style="italic")]
        else:
            self._plain(f"\n== {title}", happens)

    def note(self, text: str) -> None:
        """Add a remark on the next item, printed close to it."""
        if self._rich:
            self._note = [Text(text, style="dim")]
        else:
            self._plain(f"({text})")

    def dialogue(self, lines: Iterable[str]) -> None:
        """Add an SMTP conversation; each line begins with "> " or "< "."""
        lines = list(lines)
        table = Table.grid(padding=(0, 1))
        for line in lines:
            mark, text = line[0], line[2:]
            table.add_row(Text(mark, style="bold"), Text(text, style=_of_reply(text) if mark == "<" else "cyan"))
        self._add([table], [f"    {line}" for line in lines])

    def header(self, title: str, lines: Iterable[str]) -> None:
        """Add a header as delivered, and highlight the fields that spfmilter wrote."""
        lines = list(lines)
        block, ours = Text(), False
        for line in lines:
            if not line[:1].isspace():
                ours = line.lower().startswith(_OURS)
            name, colon, value = line.partition(":") if not line[:1].isspace() else ("", "", line)
            block.append(name + colon, "bold green" if ours else "dim")
            block.append(value + "\n", "" if ours else "dim")
        block.rstrip()
        self._add([Text(title, style="bold"), block], [f"{title}", *(f"    {line}" for line in lines)])

    def letter(self, title: str, text: str, link: str) -> None:
        """Add a message, and highlight its link."""
        shown = Text(text)
        shown.highlight_words([link] if link else [], "bold underline cyan")
        lines = [f"    {line}".rstrip() for line in text.splitlines()]
        self._add([Text(title, style="bold"), shown], [title, *lines])

    def facts(self, values: Mapping[str, str]) -> None:
        """Add names and values, one pair a line."""
        table = Table.grid(padding=(0, 2))
        for name, value in values.items():
            table.add_row(Text(name, style="dim"), Text(value, style="bold"))
        self._add([table], [f"    {name}: {value}" for name, value in values.items()])

    def side_by_side(self, notices: Sequence[tuple[str, str]]) -> None:
        """Add texts for comparison, each under its heading."""
        table = Table(expand=True, border_style="dim")
        for heading, _ in notices:
            table.add_column(heading, ratio=1)
        table.add_row(*(Text(text) for _, text in notices))
        plain = [line for heading, text in notices for line in (f"{heading}:", *(f"    {t}" for t in text.split("\n")))]
        self._add([table], plain)

    def commands(self, lines: Iterable[str]) -> None:
        """Add commands that were typed, or that the reader can type."""
        lines = list(lines)
        self._add([Text(line, style="cyan") for line in lines], [f"    {line}" for line in lines])

    def check(self, sentence: str, *, true: bool) -> None:
        """Add a check and whether it passed. Remember it if it failed."""
        if not true:
            self._fine = False
            self.failed.append(f"{self._title}: failed: {sentence}")
        text = f"{'✔' if true else '✘'} {sentence}"
        if self._rich:
            self._checks.append(Text(text, style="green" if true else "bold red"))
        else:
            self._plain(text)

    def close(self) -> None:
        """End the part, and print it."""
        if not self._rich:
            return
        parts = [*self._parts, Group(*self._checks)] if self._checks else self._parts
        spaced = [part for one in parts for part in (one, Text())][:-1]
        title, border = Text(self._title, "bold"), "green" if self._fine else "red"
        self._console.print(Panel(Group(*spaced), title=title, title_align="left", border_style=border))

    def rule(self, title: str, command: str) -> None:
        """Print a horizontal line, before the output of a command."""
        if self._rich:
            self._console.print(Rule(Text(title, "bold"), align="left"))
            self._console.print(Text(f"$ {command}\n", style="cyan"))
        else:
            self._plain(f"\n== {title}", f"$ {command}", "")
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a plain line at once. It is never wrapped, so a link can be copied."""
        self._console.print(Text(text), soft_wrap=True) if self._rich else self._plain(text)

    def _add(self, parts: list[RenderableType], plain: Iterable[str]) -> None:
        if self._rich:
            self._parts.append(Group(*self._note, *parts))
            self._note = []
        else:
            self._plain(*plain)

    def _plain(self, *lines: str) -> None:
        print(*lines, sep="\n", flush=True)


def _of_reply(text: str) -> str:
    return {"2": "", "3": "", "4": "bold yellow", "5": "bold red"}.get(text[:1], "")
