"""The configuration of a private Postfix, as text.

It knows Postfix's parameters and services, and keeps all of them on loopback and inside one folder. It starts nothing.
"""

import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.processes import has_ipv6

MAIL_OWNER = "postfix"
MAILBOX_OWNER = "nobody"  # virtual(8) refuses to deliver as root


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The properties of one private Postfix."""

    folder: Path
    port: int
    hostname: str
    domains: Sequence[str]
    smtpd_milters: str
    milter_default_action: str
    chroot: bool
    relayhost: str
    routes: Mapping[str, str]
    main_cf: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """Return the folder of its main.cf and master.cf."""
        return self.folder / "etc"

    @property
    def queue(self) -> Path:
        """Return its queue directory, which is also the root of a chrooted smtpd."""
        return self.folder / "queue"

    @property
    def data(self) -> Path:
        """Return the folder of its daemons' state. It belongs to them, not to root."""
        return self.folder / "data"

    @property
    def mail(self) -> Path:
        """Return the folder that holds the Maildir of delivered messages."""
        return self.folder / "mail"

    @property
    def maillog(self) -> Path:
        """Return the path of its log."""
        return self.folder / "maillog"


def main_cf(settings: Settings) -> str:
    """Return the main.cf. The caller's lines override everything here."""
    parameters = {
        "compatibility_level": "3.6",
        **_places(settings),
        **_loopback(settings),
        **_reception(settings),
        **_delivery(settings),
        **settings.main_cf,
    }
    return "".join(f"{name} = {value}\n" for name, value in parameters.items())


def _places(settings: Settings) -> dict[str, str]:
    return {
        "queue_directory": str(settings.queue),
        "data_directory": str(settings.data),
        "maillog_file": str(settings.maillog),
        "maillog_file_prefixes": str(settings.folder),
        "myhostname": settings.hostname,
        "myorigin": "$myhostname",
    }


def _loopback(settings: Settings) -> dict[str, str]:
    """Return settings that keep all DNS queries and connections on this machine, for any mail."""
    return {
        "inet_interfaces": "loopback-only",
        "inet_protocols": "all" if has_ipv6() else "ipv4",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "smtpd_peername_lookup": "no",
        "relayhost": settings.relayhost,
        "default_transport": "smtp" if settings.relayhost else "error:5.1.2 this lab sends mail nowhere else",
        "transport_maps": "inline:{" + ", ".join(f"{{{name} = {to}}}" for name, to in settings.routes.items()) + "}"
        if settings.routes
        else "",
        "mynetworks": "127.0.0.0/8 [::1]/128",
    }


def _reception(settings: Settings) -> dict[str, str]:
    return {
        "smtpd_authorized_xclient_hosts": "127.0.0.1 [::1]",
        "smtpd_milters": settings.smtpd_milters,
        "milter_default_action": settings.milter_default_action,
        "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
        "smtpd_recipient_restrictions": "",
        # In a test session, more commands are refused than in that of an honest client.
        "smtpd_error_sleep_time": "0",
        "smtpd_soft_error_limit": "1000",
        "smtpd_hard_error_limit": "1000",
        "smtpd_junk_command_limit": "1000",
        "smtpd_client_connection_count_limit": "0",
    }


def _delivery(settings: Settings) -> dict[str, str]:
    owner = pwd.getpwnam(MAILBOX_OWNER)
    return {
        "mydestination": "",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "virtual_mailbox_domains": " ".join(settings.domains),
        # All recipients share one Maildir. Delivered-To names the recipient.
        "virtual_mailbox_maps": "static:inbox/",
        "virtual_mailbox_base": str(settings.mail),
        "virtual_uid_maps": f"static:{owner.pw_uid}",
        "virtual_gid_maps": f"static:{owner.pw_gid}",
        "recipient_delimiter": "",
        "notify_classes": "",  # no reports to a postmaster: no test reads them
    }


# name, type, private, unprivileged, chroot, wakeup, limit, command: the services that Debian's own master.cf starts.
_SERVICES = """\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def master_cf(settings: Settings) -> str:
    """Return the master.cf: smtpd on loopback, chrooted on request, and the services that every Postfix needs."""
    chroot = "y" if settings.chroot else "n"
    hosts = ["127.0.0.1", "[::1]"] if has_ipv6() else ["127.0.0.1"]
    return "".join(f"{host}:{settings.port} inet n - {chroot} - - smtpd\n" for host in hosts) + _SERVICES
