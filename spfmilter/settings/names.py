"""The kinds of value that are names or texts: domains, recipients, header field names, templates.

Knows the notation of each and its error messages. Knows no keys. The other kinds are in ``values``.
"""

from __future__ import annotations

import re

from spfmilter.addresses import a_labels, local_part
from spfmilter.language import available
from spfmilter.settings.endpoints import is_network
from spfmilter.settings.ini import quoted
from spfmilter.spf.record import RecordError, parse
from spfmilter.template import Template, TemplateError

MAX_PREFIX = 40  # bytes of [headers] tag_subject: an encoded word has 75 characters at most (RFC 2047 section 2)
MAX_REPLY_LINES = 8  # libmilter takes 32, but many senders' servers show only the first
# Characters of the help page's address beside its token: the whole link then has 200 at most, unless the domain's name
# has more than 100.
MAX_URL_BASE = 60

MAX_SERVICE = 40  # characters of a mail service's name
AUTO = "auto"  # in [reply] languages: the language that the sender's domain suggests

_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")  # an atom or several
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+/[A-Za-z0-9/._~!$&'()*+,;=:@?%{}-]*")
_URL_EXAMPLE = "https://mx.example.net/spf/{token}"
_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,253}")  # RFC 2045 token, what an authserv-id is without quotes
_RATE = re.compile(r"([1-9][0-9]{0,4}) ?/ ?(second|minute|hour)")
_FILE = re.compile(r"(?:/[^/\x00-\x1f\x7f]+)+")
_SERVICE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 .,:;&()+/_'-]{{0,{MAX_SERVICE - 1}}}")
_FIELD_NAME = re.compile(r"X-[A-Z0-9](?:[A-Z0-9-]{0,72})", re.IGNORECASE)  # RFC 5322, without its unusual characters


def plain_line(text: str) -> str:
    """Read one line of text."""
    if "\n" in text:
        raise ValueError("the value continues in the next line, but only one line is possible here: join the two")
    return text


def file_path(text: str) -> str:
    """Read the absolute path of a file."""
    if _FILE.fullmatch(text) is None:
        raise ValueError(f"{quoted(text)} is not the path of a file: write one that begins with / and ends in its name")
    return text


def folder_path(text: str) -> str:
    """Read the absolute path of a folder; empty for none."""
    found = text.rstrip("/") if text != "/" else text
    if found and _FILE.fullmatch(found) is None:
        raise ValueError(f"{quoted(text)} is not the path of a folder: write one that begins with /")
    return found


def rate(text: str) -> str:
    """Read a rate: ``30/minute``, or a number in a second or an hour."""
    found = _RATE.fullmatch(text.lower())
    if found is None:
        raise ValueError(f"{quoted(text)} is not a rate: write a number, / and second, minute or hour: 30/minute")
    return f"{found[1]}/{found[2]}"


def group_name(text: str) -> str:
    """Read the name of a system group, which is looked up at start; empty for none."""
    if any(c.isspace() or c in ":,/" for c in text):
        raise ValueError(f"{quoted(text)} is not a group: write the name of one, such as postfix")
    return text


def domain_name(text: str) -> str:
    """Read a domain name as ASCII in lower case; U-labels are converted as those of a sender are."""
    name = text.strip().removesuffix(".").lower()
    if not name.isascii():
        name = a_labels(name).removesuffix(".").lower()
    # No top-level domain is a number (RFC 3696 section 2).
    if _HOSTNAME.fullmatch(name) is None or name.rpartition(".")[2].isdigit():
        raise ValueError(f"{quoted(text)} is {_in_place_of_a_domain(text.strip())}")
    return name


def _in_place_of_a_domain(text: str) -> str:
    """Return what a text is that should be a domain name, and what to write."""
    if is_network(text):
        kind = "a network" if "/" in text else "an address"
        return f"{kind}, not a domain name: write a name such as example.com, or trust it in [exempt] networks"
    local, at, domain = text.rpartition("@")
    if at and local and _HOSTNAME.fullmatch(domain.lower()) is not None:
        return f"an e-mail address, not a domain name: write {domain.lower()}"
    if text.rpartition(".")[2].isdigit():
        return "neither an address nor a domain name: write a name such as example.com"
    return "not a domain name: write a name such as example.com"


def domain_or_subdomains(text: str) -> str:
    """Read ``example.com``, or ``.example.com`` for all names below it."""
    if text.startswith("*."):
        raise ValueError(f"{quoted(text)} is not a domain name: write {text[1:]} for all names below {text[2:]}")
    return "." + domain_name(text[1:]) if text.startswith(".") else domain_name(text)


def service_name(text: str) -> str:
    """Read the name of a mail service, as the notice shows it to every client."""
    name = " ".join(text.split())
    if _SERVICE.fullmatch(name) is None:
        raise ValueError(
            f"{quoted(text)} is not the name of a service: write letters, digits and signs of ASCII, such as "
            f"[service:Bulk Mail], {MAX_SERVICE} characters at most"
        )
    return name


def service_include(text: str) -> str:
    """Read the domain that customers of a mail service include; empty for none."""
    if not text:
        return ""
    if text.lower().startswith("include:"):
        raise ValueError(f"{quoted(text)} is a term: write its domain only, such as spf.bulk.example")
    return _two_labels(text, "spf.bulk.example")


def service_host(text: str) -> str:
    """Read a name that a service's hosts have, or below which they have theirs."""
    if text.startswith((".", "*.")):
        name = _two_labels(text.lstrip("*."), "bulk.example")
        raise ValueError(f"{quoted(text)}: write {name}, which stands for all names below it as well")
    return _two_labels(text, "bulk.example")


def _two_labels(text: str, example: str) -> str:
    name = domain_name(text)
    if "." not in name:
        raise ValueError(f"{quoted(text)} has one label only: write a name such as {example}")
    return name


def recipient_pattern(text: str) -> str:
    """Read ``user@example.com``, ``user@`` for every domain, or ``@example.com`` for every user."""
    local, at, domain = text.rpartition("@")
    slip = "@" in local and not (local[0] == local[-1] == '"')
    if not at or not (local or domain) or slip or any(c.isspace() for c in text):
        raise ValueError(f"{quoted(text)} is not a recipient: write user@example.com, user@ or @example.com")
    return f"{local_part(local)}@{domain_name(domain) if domain else ''}"


def mail_address(text: str) -> str:
    """Read one address of mail that we send, such as postmaster@example.net; empty for none."""
    local, _, domain = text.rpartition("@")
    if text and _LOCAL_PART.fullmatch(local) is None:
        raise ValueError(f"{quoted(text)} is not an address: write one such as postmaster@example.net")
    return f"{local}@{domain_name(domain)}" if text else ""


def authserv_id(text: str) -> str:
    """Read an authserv-id (RFC 8601 section 2.5) that needs no quotes; empty for the MTA's own name."""
    if text and _TOKEN.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(text)} is not an authserv-id: write one word such as mx.example.net, without blanks, quotes, "
            "colons or semicolons"
        )
    return text


def field_name(text: str) -> str:
    """Read the name of a header field that mail programs do not confuse with a standard one."""
    if _FIELD_NAME.fullmatch(text) is None:
        raise ValueError(
            f"{quoted(text)} cannot be the name of our header field: write X- and then letters, digits and hyphens, "
            "such as X-SPF-Notice"
        )
    return text


def spf_record(text: str) -> str:
    """Read an SPF record, as it would be published; empty for none."""
    if text and text.partition(" ")[0].lower() != "v=spf1":
        raise ValueError(f"{quoted(text)} is not an SPF record: write one that begins with v=spf1")
    record = " ".join(text.split())
    if record:
        try:
            parse(record)
        except RecordError as error:
            problem = error.problem()
            place = f" at {quoted(problem.term)}" if problem.term is not None else ""
            raise ValueError(f"{quoted(text)} is in error{place}: {problem.text}") from None
    return record


def subject_prefix(text: str) -> str:
    """Read the words to put before a subject; empty for none."""
    text = plain_line(text)
    if len(text.encode()) > MAX_PREFIX:
        raise ValueError(f"{quoted(text)} is too long to go before a subject: write at most {MAX_PREFIX} bytes")
    return text


def template_lines(text: str) -> tuple[Template, ...]:
    """Read the lines of a reply; empty for the built-in text."""
    if not text:
        return ()
    lines = text.split("\n")
    if len(lines) > MAX_REPLY_LINES:
        raise ValueError(
            f"a reply has {len(lines)} lines: write at most {MAX_REPLY_LINES}, the most important one first, since "
            "many servers show only that"
        )
    templates = tuple(_template(line) for line in lines)
    if not any(template.has_words for template in templates):
        raise ValueError("only placeholders, which can be empty: write words of your own as well")
    return templates


def contact_template(text: str) -> Template:
    """Read one line, which may hold ``{hostname}`` and no other placeholder."""
    if not text:
        raise ValueError(
            "an empty value: write an address that a refused sender can ask, such as postmaster@{hostname}"
        )
    return _template(plain_line(text), ("hostname",))


def notice_language(text: str) -> str:
    """Read ``auto``, or the tag of a language that has a catalogue (BCP 47), in any case."""
    known = {tag.lower(): tag for tag in (AUTO, *available())}
    if text.lower() not in known:
        raise ValueError(f"{quoted(text)} is not one of {', '.join(known.values())}")
    return known[text.lower()]


def help_url(text: str) -> Template | None:
    """Read the address of the help page, with ``{token}`` for the case; empty for none."""
    if not text:
        return None
    url = _template(plain_line(text), ("token",))
    if _URL.fullmatch(text) is None:
        raise ValueError(f"{quoted(text)} is not the address of a page: write one such as {_URL_EXAMPLE}")
    if text.count("{token}") != 1:
        raise ValueError(f"{quoted(text)} has to hold {{token}} once: write one such as {_URL_EXAMPLE}")
    if (length := len(url.fill({"token": ""}))) > MAX_URL_BASE:
        raise ValueError(
            f"{quoted(text)} has {length} characters beside {{token}}: write at most {MAX_URL_BASE}, so that people "
            "can read and copy the link"
        )
    return url


def _template(line: str, *allowed: tuple[str, ...]) -> Template:
    try:
        return Template.parse(line, *allowed)
    except TemplateError as error:
        raise ValueError(f"{quoted(line)}: {error}") from None
