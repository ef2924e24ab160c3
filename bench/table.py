"""What a benchmark found: rows of figures, some with a target; printed as tables, or kept as JSON.

Knows how figures are shown and compared with their targets, not what they mean.
"""

from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach; `at_least` or at most."""

    value: float
    at_least: bool = False

    def met(self, figure: float) -> bool:
        """Whether the figure reaches it."""
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


@dataclass(slots=True)
class Report:
    """The table of one benchmark."""

    name: str
    title: str
    columns: tuple[str, ...] = ()  # of the figures
    rows: list[tuple[str, tuple[float | None, ...], float | None, Target | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, label: str, *figures: float | None, compared: float | None = None, target: Target | None = None
    ) -> None:
        """A row; `compared` is the figure that the target is for (it is shown as the last one)."""
        self.rows.append((label, figures, compared, target))

    def missed(self) -> list[str]:
        """The rows that do not reach their targets."""
        return [
            label
            for label, _, compared, target in self.rows
            if target is not None and compared is not None and not target.met(compared)
        ]

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=f"{self.name}: {self.title}", title_justify="left", title_style="bold")
        table.add_column("")
        for column in self.columns:
            table.add_column(column, justify="right")
        table.add_column("target", justify="right")
        table.add_column("")
        for label, figures, compared, target in self.rows:
            word = ""
            if target is not None and compared is not None:
                word = "[green]met[/]" if target.met(compared) else "[red]missed[/]"
            shown = [*figures, *([compared] if compared is not None else [])]
            shown += [None] * (len(self.columns) - len(shown))
            table.add_row(label, *map(_figure, shown), "" if target is None else str(target), word)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", style="dim", highlight=False)
        console.print()

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "name": self.name,
            "columns": self.columns,
            "rows": [
                {
                    "label": label,
                    "figures": figures,
                    "compared": compared,
                    "target": None if target is None else str(target),
                    "met": None if target is None or compared is None else target.met(compared),
                }
                for label, figures, compared, target in self.rows
            ],
            "notes": self.notes,
        }


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
