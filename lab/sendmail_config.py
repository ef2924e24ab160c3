"""The configuration of a private Sendmail, as the text from which m4 makes a sendmail.cf.

It knows Sendmail's macros and options, and keeps all of them on loopback and inside one folder. It starts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.processes import has_ipv6

MAILBOX_OWNER = "nobody"
# Where Sendmail sees its folder. World-writable folders, as those for temporary files, are not safe enough
# for its certificates and its filters' sockets; and its delivery agent is another user, who may not pass everywhere.
ROOT = PurePosixPath("/mnt")
_FLAGS = {"tempfail": ", F=T", "reject": ", F=R", "accept": ""}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The properties of one private Sendmail."""

    port: int
    hostname: str
    domains: Sequence[str]
    milters: Sequence[str]
    milter_default_action: str
    relayhost: str
    tls: bool
    auth: bool
    mc: str


def sendmail_mc(settings: Settings) -> str:
    """Return the source of its sendmail.cf."""
    return "\n".join([
        "divert(0)dnl",
        "OSTYPE(`linux')dnl",
        *_places(settings),
        *_loopback(settings),
        *_reception(settings),
        *(_filter(number, milter, settings) for number, milter in enumerate(settings.milters)),
        settings.mc,
        "MAILER(`smtp')dnl",
        *_delivery(settings),
        "",
    ])  # fmt: skip


def _define(name: str, value: object) -> str:
    return f"define(`{name}', `{value}')dnl"


def _places(settings: Settings) -> list[str]:
    return [
        _define("confDOMAIN_NAME", settings.hostname),
        _define("QUEUE_DIR", ROOT / "queue"),
        _define("STATUS_FILE", ROOT / "statistics"),
        _define("confPID_FILE", ROOT / "pid"),
        _define("HELP_FILE", ""),
        _define("confLOG_LEVEL", 14),  # what filters do, and the conversation
        "undefine(`ALIAS_FILE')dnl",
    ]


def _loopback(settings: Settings) -> list[str]:
    """Return settings that keep all DNS queries and connections on this machine, for any mail."""
    host, port = settings.relayhost.rpartition(":")[::2] if settings.relayhost else ("[127.0.0.1]", "1")
    return [
        _define("confSERVICE_SWITCH_FILE", ROOT / "service.switch"),
        "FEATURE(`nocanonify')dnl",
        "FEATURE(`accept_unresolvable_domains')dnl",
        "FEATURE(`accept_unqualified_senders')dnl",
        _define("confTO_IDENT", 0),
        _define("confDONT_PROBE_INTERFACES", "True"),
        _define("SMART_HOST", f"esmtp:{host}"),
        _define("ESMTP_MAILER_ARGS", f"TCP $h {port}"),
        *(f"RELAY_DOMAIN(`{domain}')dnl" for domain in settings.domains),
    ]


def _reception(settings: Settings) -> list[str]:
    families = [("inet", "127.0.0.1"), ("inet6", "::1")] if has_ipv6() else [("inet", "127.0.0.1")]
    return [
        "FEATURE(`no_default_msa')dnl",
        *(
            f"DAEMON_OPTIONS(`Name={family}, Family={family}, Address={host}, Port={settings.port}')dnl"
            for family, host in families
        ),
        _define("confDELIVERY_MODE", "background"),
        # A test refuses more often in a session than an honest client is refused.
        _define("confMAX_RCPTS_PER_MESSAGE", 0),
        _define("confBAD_RCPT_THROTTLE", 0),
        # A busy machine is no reason to refuse a test's connection, or to leave its message in the queue.
        _define("confREFUSE_LA", 100_000),
        _define("confQUEUE_LA", 100_000),
        _define("confDELAY_LA", 100_000),
        _define("confPRIVACY_FLAGS", ""),
        # This mechanism needs no password: a client that asks for it is authenticated as "anonymous".
        _define("confAUTH_MECHANISMS", "ANONYMOUS" if settings.auth else ""),
        *(["TRUST_AUTH_MECH(`ANONYMOUS')dnl"] if settings.auth else []),
        *(
            _define(f"conf{name}", ROOT / "tls" / place)
            for name, place in (
                ("SERVER_CERT", "chain"),
                ("SERVER_KEY", "chain"),
                ("CACERT", "chain"),
                ("CACERT_PATH", ""),
            )
            if settings.tls
        ),
    ]


def _filter(number: int, milter: str, settings: Settings) -> str:
    action = _FLAGS[settings.milter_default_action]
    return f"INPUT_MAIL_FILTER(`filter{number}', `S={milter}{action}, T=C:30s;S:30s;R:30s;E:1m')dnl"


def _delivery(settings: Settings) -> list[str]:
    """Return rules that give all recipients one mailbox. Delivered-To names the recipient."""
    return [
        "LOCAL_RULE_0",
        *(
            f"R$* < @ {domain} . > $*\t$#inbox $@ {domain} $: $1 < @ {domain} . >"
            for domain in settings.domains
        ),
        "MAILER_DEFINITIONS",
        f"Minbox, P=/bin/sh, F=DFMPlnsu, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, U={MAILBOX_OWNER},",
        f"\tT=DNS/RFC822/X-Unix, A=sh {ROOT / 'deliver'} $u",
    ]  # fmt: skip
