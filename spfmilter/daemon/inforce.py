"""Which settings are in force: how they are compared with those of the INI file, and which of them a reload keeps.

The supervisor and ``spfmilter status`` share this, so that both mean the same by "changed".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from spfmilter.settings import Settings, show

KEPT = ("socket", "socket_mode", "socket_group")  # of [milter]: a change would refuse connections
_DIGEST = 16  # bytes


def kept(settings: Settings, *, counting: bool) -> Mapping[str, str]:
    """Return the values that only a restart changes, by setting, such as ``[milter] socket``.

    Args:
        settings: those in force, or those of the INI file.
        counting: whether the daemon has made a folder for metrics at its start.
    """
    values = {f"[milter] {name}": str(getattr(settings.milter, name)) for name in KEPT}
    return values if counting else {**values, "[metrics] listen": settings.metrics.listen}


def digest(settings: Settings, *, counting: bool) -> str:
    """Return a short text that is the same for settings that are equal but for those that ``kept`` lists.

    Comments and the order of keys make no difference, nor in which file a key stands. A list file counts by its
    entries.
    """
    standard = Settings()
    fixed = {name: getattr(standard.milter, name) for name in KEPT}
    settings = replace(settings, milter=settings.milter.model_copy(update=fixed))
    if not counting:
        settings = replace(settings, metrics=standard.metrics)
    # A list file is shown by its name, so its entries are added.
    entries = "".join(f"{section} {key} {value.digest()}\n" for section, key, value in settings.lists())
    text = show(settings, changed=True) + entries
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()
