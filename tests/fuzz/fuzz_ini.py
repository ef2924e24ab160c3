"""Any bytes are settings, or problems that each name themselves in one printable line; nothing else is raised."""

from spfmilter import settings
from spfmilter.settings import ini


def one_input(data: bytes) -> None:
    """The bytes of a file: as a whole, and as the value of a key of each kind."""
    text, wrong = ini.decode(data)
    if wrong:
        assert not text
        return
    _read(text)
    value = text.replace("\n", " ")
    for section, key in KEYS:
        _read(f"[{section}]\n{key} = {value}\n")
    _read(f"[domain:{value}]\nfail = tag\nrecord = {value}\n")
    _read(f"[policy]\nreject_at = rcpt\n[recipient:{value}]\nfail = tag\n")


KEYS = (
    ("milter", "socket"), ("milter", "socket_mode"), ("milter", "memory_limit"), ("milter", "drain_timeout"),
    ("policy", "own_addresses"), ("exempt", "networks"), ("exempt", "forwarders"), ("exempt", "recipients"),
    ("exempt", "senders"), ("reply", "help_url"), ("reply", "contact"), ("reply", "fail"), ("reply", "languages"),
    ("headers", "authserv_id"), ("headers", "tag_header"), ("headers", "tag_subject"), ("dns", "nameservers"),
    ("state", "url"), ("web", "rate"), ("web", "listen"),
)  # fmt: skip


def _read(text: str) -> None:
    try:
        settings.parse(text)
    except settings.SettingsError as error:
        shown = str(error)
        assert shown
        # A name of a section may hold a tab, which is shown as it stands.
        assert all(line.replace("\t", " ").isprintable() for line in shown.splitlines())
