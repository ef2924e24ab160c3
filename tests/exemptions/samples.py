"""Exemptions, made short: fields that a test does not name are unsuspicious."""

from typing import Any

from spfmilter.exemptions.exemption import Exemption, new_id, read_subject

NOW = 1_780_000_000
DAY = 86_400


def exempt(network: str = "", number: int = 1, **fields: Any) -> Exemption:
    """An exemption for a week from NOW; `number` makes its id."""
    names = ("domain", "forwarder", "forwarder_spf")
    place, subject = read_subject(network_text=network, **{name: fields.pop(name, "") for name in names})
    values = {"added": NOW, "until": NOW + 7 * DAY, "added_by": "alice", "because": "ticket 4711", **fields}
    return Exemption(
        id=values.pop("id", new_id(number)),
        network=place,
        domain=subject.domain,
        forwarder=subject.forwarder,
        forwarder_spf=subject.forwarder_spf,
        **values,
    )
