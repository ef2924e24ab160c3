"""Draw numbers: as sparklines of characters, and as bars in SVG. Pure.

Knows geometry only. Both begin at zero, and both show that a number is not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII = " .:-=+*#@"  # for a terminal without block characters
_GAP = 0.16  # of the width of a step, between two bars
_LEAST = 1.5  # per cent of the height: the smallest bar that is seen


def merged(values: Sequence[int], width: int) -> tuple[list[int], int]:
    """Return the values added up in groups so that they fit, and how many are in a group."""
    size = max(1, -(-len(values) // max(1, width)))
    return [sum(values[at : at + size]) for at in range(0, len(values), size)], size


def sparkline(values: Sequence[int], ramp: str = BLOCKS, top: int | None = None) -> str:
    """Return one character for each value: a blank for zero, and the last of the ramp for the highest.

    Args:
        values: not negative.
        ramp: the characters, from zero to the highest.
        top: the value of the highest character; None: the greatest of the values.
    """
    highest = max(top if top is not None else max(values, default=0), 1)
    steps = len(ramp) - 1
    return "".join(ramp[min(steps, -(-value * steps // highest))] for value in values)


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, in per cent of the height and in steps of the width."""

    x: float
    y: float
    width: float
    height: float


def bars(values: Sequence[int], top: int, below: Sequence[int] = ()) -> list[Bar | None]:
    """Return a bar for each value; None for zero.

    Args:
        values: not negative.
        top: the value of the whole height.
        below: the values of the bars on which these stand.
    """
    drawn: list[Bar | None] = []
    for step, value in enumerate(values):
        base = 100 * (below[step] if below else 0) / max(top, 1)
        height = max(_LEAST, 100 * value / max(top, 1))
        y = max(0.0, 100 - base - height)
        drawn.append(Bar(round(step + _GAP / 2, 3), round(y, 2), 1 - _GAP, round(height, 2)) if value else None)
    return drawn


def round_top(value: int) -> int:
    """Return the value of the upper end of an axis: 1, 2 or 5 times a power of ten, or a number up to ten."""
    if value <= 10:
        return max(value, 1)
    power: int = 10 ** (len(str(value)) - 1)
    return next(
        factor * power // 10 for factor in (10, 15, 20, 25, 30, 40, 50, 60, 80, 100) if factor * power // 10 >= value
    )
