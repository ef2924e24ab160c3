"""Values: dataclasses that nothing changes once they are made.

There are two kinds. ``@value`` is for what every message makes, some twenty of them: mypy refuses each assignment
(``frozen_default``), and Python itself does not look. ``@dataclass(frozen=True)`` is for all other values: those of the
settings, a record, a refusal, a page. There Python refuses an assignment as well, which makes a value three times as
expensive to make (docs/decisions/0022-cheap-messages.md). ``tests/test_value.py`` lists the modules of the first kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform, overload

_T = TypeVar("_T")


@overload
def value(cls: type[_T], /) -> type[_T]: ...
@overload
def value(*, kw_only: bool = True) -> Callable[[type[_T]], type[_T]]: ...
@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def value(cls: type[_T] | None = None, /, *, kw_only: bool = True) -> type[_T] | Callable[[type[_T]], type[_T]]:
    """Make a class a dataclass with slots, compared and hashed by its fields; mypy refuses to change a field."""
    make: Callable[[type[_T]], type[_T]] = dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)
    return make if cls is None else make(cls)
