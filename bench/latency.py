"""How long a sender waits: on a cold cache with slow DNS, and beside sessions that wait for dead name servers."""

import time

from bench import zones
from bench.programs import Filter, load, load_beside, nameserver
from bench.setting import Setting
from bench.table import Report, Target

_DELAY_MS = 50
# kind -> (what it is, target in ms)
_COLD = {
    "ip4": ("one ip4", 55),
    "googleown": ("include of include (as Google)", 160),
    "outlookown": ("one include (as Outlook)", 105),
    "amx": ("a + mx", 160),
    "eight": ("eight lookups: a, mx, a, two includes, exists", 165),
}
# sessions that wait for dead DNS -> ms that the p99 of healthy senders may reach in any case
_DEAD_SESSIONS = {30: 0.0, 500: 0.0, 2000: 10.0}
_DEAD = Target(1)


def cold(setting: Setting) -> Report:
    """MAIL FROM's reply for domains never seen before, one after the other; nothing is shared between them."""
    report = Report("cold", f"ms from MAIL to its reply, cold cache, {_DELAY_MS} ms DNS (median)")
    samples = 3 if setting.quick else 11
    with nameserver(setting.shop, delay_ms=_DELAY_MS) as server, setting.filters(server, nothing=False) as filters:
        others = [name for name in filters if name != "spfmilter"]
        report.columns = (*others, "spfmilter")
        rows: list[tuple[str, str, dict[str, str], Target | None]]
        rows = [(kind, label, zones.MAIL_ONLY, Target(ms)) for kind, (label, ms) in _COLD.items()]
        rows.append(("ip4", "one ip4, and HELO of its own with an a", zones.NEW_HELO, None))
        for row, (kind, label, client, target) in enumerate(rows):
            found = {name: _mail_ms(setting, each, kind, client, row * 1000, samples) for name, each in filters.items()}
            report.add(label, *(found[name] for name in others), compared=found["spfmilter"], target=target)
    report.notes.append("HELO is sent with MAIL, as no MTA does: what a filter does between the two does not show.")
    return report


def _mail_ms(setting: Setting, each: Filter, kind: str, client: dict[str, str], start: int, samples: int) -> float:
    loaded = load(
        setting.shop, each, [zones.sender(kind)], **client, start=start, connections=1, per_connection=1,
        messages=samples,
    ).check(each.name)  # fmt: skip
    return loaded.mail_ms["p50"]


def dead(setting: Setting) -> Report:
    """The p99 of everyday senders at a steady rate, without and with sessions whose DNS never answers."""
    report = Report("dead", "p99 in ms of healthy senders, beside sessions that wait for dead DNS")
    report.columns = ("rate/s", "p50", "p99", "beside: p50", "p99", "max", "ratio of p99", "of the most allowed")
    with nameserver(setting.shop) as server, setting.filters(server, nothing=False) as filters:
        for name, each in filters.items():
            if setting.quick and name != "spfmilter":
                continue
            # A fifth of what it can do: this is about waiting for others, not about being overloaded.
            most = load(
                setting.shop, each, zones.EVERYDAY, messages=1_000_000, seconds=setting.seconds(0.7, 2), **_HEALTHY
            )
            for sessions, enough in _DEAD_SESSIONS.items():
                if name == "spfmilter" or sessions == 30:  # peers with a thread a session do not reach more
                    _beside_dead(setting, report, each, sessions, enough, round(most.rate / 5))
    report.notes.append("Allowed is twice the p99 without them; beside 2,000 sessions 10 ms, if that is more.")
    return report


_HEALTHY: dict[str, float | str] = {"cycle": 250, "connections": 16, "per_connection": 1, **zones.MAIL_ONLY}


def _beside_dead(setting: Setting, report: Report, each: Filter, sessions: int, enough: float, rate: int) -> None:
    options = _HEALTHY | {"rate": rate, "messages": 1_000_000, "seconds": setting.seconds(2, 10)}
    alone = load(setting.shop, each, zones.EVERYDAY, **options)
    waiting = {"connections": sessions, "per_connection": 1, "messages": 10 * sessions}
    with load_beside(setting.shop, each, [zones.sender("dead")], **waiting):
        time.sleep(1 + sessions / 500)  # all of them wait by then
        beside = load(setting.shop, each, zones.EVERYDAY, **options)
    label = f"{each.name}, {sessions} sessions"
    report.add(
        label,
        rate,
        alone.message_ms["p50"],
        alone.message_ms["p99"],
        beside.message_ms["p50"],
        beside.message_ms["p99"],
        beside.message_ms["max"],
        beside.message_ms["p99"] / alone.message_ms["p99"],
        compared=beside.message_ms["p99"] / max(2 * alone.message_ms["p99"], enough),
        target=_DEAD if each.name == "spfmilter" else None,
    )
    if beside.errors or alone.errors:
        report.notes.append(f"{label}: {alone.errors} errors alone, {beside.errors} beside dead DNS")
