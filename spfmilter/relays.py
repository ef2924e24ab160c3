"""Where a message came from before our own servers handed it on: placeholder until branch ``relays`` is merged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spfmilter.model import Client, IPAddress
from spfmilter.settings.types import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The client that stands in the Received fields of trusted relays."""

    client: Client
    helo: str | None
    hops: int


def origin(
    received: Sequence[str],  # noqa: ARG001
    relay: Client,  # noqa: ARG001
    trusted: Sequence[Network],  # noqa: ARG001
    names_of: Callable[[str], frozenset[IPAddress]],  # noqa: ARG001
) -> Origin | None:
    """Nothing is known yet."""
    return None
