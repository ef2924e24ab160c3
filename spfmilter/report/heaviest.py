"""Count by key in bounded memory, for keys that are untrusted input and so may be as many as the rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Group = TypeVar("Group")


class Heaviest(Generic[Group]):
    """The groups with the most messages.

    If there are more than ``most`` groups, the lighter half is forgotten. A group whose messages all come later can
    then be counted too low, by no more than the heaviest group that was forgotten.
    """

    def __init__(self, make: Callable[[], Group], weight: Callable[[Group], int], most: int = 20_000) -> None:
        self._make = make
        self._weight = weight
        self._most = most
        self._groups: dict[str, Group] = {}

    def __getitem__(self, key: str) -> Group:
        """Return the group of a key; a new one if there is none."""
        found = self._groups.get(key)
        if found is None:
            if len(self._groups) >= self._most:
                self._groups = dict(self.top(self._most // 2))
            found = self._groups[key] = self._make()
        return found

    def top(self, count: int) -> Iterator[tuple[str, Group]]:
        """Yield the heaviest groups, the heaviest first; of equal ones by key."""
        heaviest = sorted(self._groups.items(), key=lambda item: (-self._weight(item[1]), item[0]))
        yield from heaviest[:count]
