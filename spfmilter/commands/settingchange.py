"""One setting of an MTA that is changed, with its value before and after.

Knows how a change is shown to people and to programs. Does not know who makes it: Postfix's settings are changed by
``attach --apply``, Sendmail's by hand.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting that is changed."""

    file: str  # main.cf, master.cf or sendmail.mc
    setting: str
    before: str  # empty: it was not set, or it was empty
    after: str | None  # None: it is removed

    def __str__(self) -> str:
        now = "removed" if self.after is None else f"= {self.after or '(empty)'}"
        return f"{self.file}: {self.setting} {now} (before: {self.before or 'empty'})"

    def as_json(self) -> dict[str, str | None]:
        """Return the change for programs."""
        return asdict(self)
