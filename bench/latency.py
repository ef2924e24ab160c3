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
_DEAD_SESSIONS = 30
_DEAD = Target(2)


def cold(setting: Setting) -> Report:
    """MAIL FROM's reply for domains never seen before, one after the other; nothing is shared between them."""
    report = Report("cold", f"ms from MAIL to its reply, cold cache, {_DELAY_MS} ms DNS (median)")
    samples = 3 if setting.quick else 11
    with nameserver(setting.shop, delay_ms=_DELAY_MS) as server, setting.filters(server, nothing=False) as filters:
        others = [name for name in filters if name != "spfmilter"]
        report.columns = (*others, "spfmilter")
        rows = [(kind, label, zones.MAIL_ONLY, Target(ms)) for kind, (label, ms) in _COLD.items()]
        rows.append(("ip4", "one ip4, and HELO of its own with an a", zones.NEW_HELO, None))
        for row, (kind, label, client, target) in enumerate(rows):
            found = {name: _mail_ms(setting, each, kind, client, row * 1000, samples) for name, each in filters.items()}
            report.add(label, *(found[name] for name in others), judged=found["spfmilter"], target=target)
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
    report = Report("dead", f"p99 in ms of healthy senders, with {_DEAD_SESSIONS} sessions waiting for dead DNS")
    report.columns = ("rate/s", "p50", "p99", "beside: p50", "p99", "max", "ratio of p99")
    seconds = setting.seconds(2, 10)
    with nameserver(setting.shop) as server, setting.filters(server, nothing=False) as filters:
        for name, each in filters.items():
            if setting.quick and name != "spfmilter":
                continue
            # A fifth of what it can do: this is about waiting for others, not about being overloaded.
            options = {"cycle": 250, "connections": 16, "per_connection": 1, **zones.MAIL_ONLY}
            most = load(
                setting.shop, each, zones.EVERYDAY, messages=1_000_000, seconds=setting.seconds(0.7, 2), **options
            )
            options |= {"rate": round(most.rate / 5), "messages": 1_000_000, "seconds": seconds}
            alone = load(setting.shop, each, zones.EVERYDAY, **options)
            waiting = {"connections": _DEAD_SESSIONS, "per_connection": 1, "messages": 10 * _DEAD_SESSIONS}
            with load_beside(setting.shop, each, [zones.sender("dead")], **waiting):
                time.sleep(1)  # all of them wait by then
                beside = load(setting.shop, each, zones.EVERYDAY, **options)
            report.add(
                name,
                options["rate"],
                alone.message_ms["p50"],
                alone.message_ms["p99"],
                beside.message_ms["p50"],
                beside.message_ms["p99"],
                beside.message_ms["max"],
                judged=beside.message_ms["p99"] / alone.message_ms["p99"],
                target=_DEAD if name == "spfmilter" else None,
            )
            if beside.errors or alone.errors:
                report.notes.append(f"{name}: {alone.errors} errors alone, {beside.errors} beside dead DNS")
    return report
