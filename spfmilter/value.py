"""Values: dataclasses that nothing changes once they are made.

mypy holds everybody to that (``frozen_default``), and Python itself does not look: a frozen dataclass sets each of its
attributes by a detour, which makes it three times as dear to make, and every message makes some twenty of them
(docs/decisions/0022-cheap-messages.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform, overload

_T = TypeVar("_T")


@overload
def value(cls: type[_T], /) -> type[_T]: ...
@overload
def value(*, kw_only: bool = True) -> Callable[[type[_T]], type[_T]]: ...
@dataclass_transform(frozen_default=True, kw_only_default=True)
def value(cls: type[_T] | None = None, /, *, kw_only: bool = True) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a class a dataclass with slots, compared and hashed by its fields, that mypy lets nobody change."""
    make: Callable[[type[_T]], type[_T]] = dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
    return make if cls is None else make(cls)
