"""The page's texts for each result, problem and term. The English sentences are the keys of the catalogues.

Knows texts only. ``N_`` marks a text for the catalogue; the page translates it when it shows it. In a text ``%(name)s``
stands for a value. A percent sign is doubled.
"""

from __future__ import annotations

from spfmilter.model import Identity, ProblemKind, Result
from spfmilter.reply.advice import Audience


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """Mark a text for the catalogue."""
    return text


# A result in a word or two, shown beside the technical word.
RESULTS: dict[Result, str] = {
    Result.PASS: N_("allowed"),
    Result.FAIL: N_("not allowed"),
    Result.SOFTFAIL: N_("probably not allowed"),
    Result.NEUTRAL: N_("not said"),
    Result.NONE: N_("no record"),
    Result.TEMPERROR: N_("could not be looked up"),
    Result.PERMERROR: N_("faulty record"),
}

TITLES: dict[Identity, dict[Result, str]] = {
    Identity.MAILFROM: {
        Result.PASS: N_("%(address)s may send mail for %(domain)s"),
        Result.FAIL: N_("%(address)s may not send mail for %(domain)s"),
        Result.SOFTFAIL: N_("%(address)s probably may not send mail for %(domain)s"),
        Result.NEUTRAL: N_("%(domain)s does not say whether %(address)s may send its mail"),
        Result.NONE: N_("%(domain)s does not say who may send its mail"),
        Result.TEMPERROR: N_("The SPF record of %(domain)s could not be looked up"),
        Result.PERMERROR: N_("The SPF record of %(domain)s has a mistake"),
    },
    Identity.HELO: {
        Result.PASS: N_("%(address)s may call itself %(domain)s"),
        Result.FAIL: N_("%(address)s may not call itself %(domain)s"),
        Result.SOFTFAIL: N_("%(address)s probably may not call itself %(domain)s"),
        Result.NEUTRAL: N_("%(domain)s does not say whether %(address)s may use its name"),
        Result.NONE: N_("%(domain)s does not say who may use its name"),
        Result.TEMPERROR: N_("The SPF record of %(domain)s could not be looked up"),
        Result.PERMERROR: N_("The SPF record of %(domain)s has a mistake"),
    },
}

# Of a case: a message was refused. The sentences are also read by a person who knows nothing of the DNS.
TITLE_REFUSED = N_("Your message was refused")
TITLE_DELAYED = N_("Your message was not accepted yet")
TITLE_FIXED = N_("It passes now. Please send your message again.")
REFUSALS: dict[Identity, dict[Result, str]] = {
    Identity.MAILFROM: {
        Result.PASS: N_("The server %(server)s may send mail for %(domain)s, and %(hostname)s did not accept it."),
        Result.FAIL: N_(
            "The server %(server)s that sent it is not allowed to send mail for %(domain)s. "
            "%(hostname)s did not accept it. Your mailbox and the recipient's are fine."
        ),
        Result.SOFTFAIL: N_(
            "The server %(server)s that sent it is probably not allowed to send mail for %(domain)s. "
            "%(hostname)s did not accept it. Your mailbox and the recipient's are fine."
        ),
        Result.NEUTRAL: N_(
            "%(domain)s does not say whether the server %(server)s that sent it may send its mail. "
            "%(hostname)s did not accept it. Your mailbox and the recipient's are fine."
        ),
        Result.NONE: N_(
            "%(domain)s does not publish which servers send its mail, so the server %(server)s that sent it "
            "cannot be checked. %(hostname)s did not accept it."
        ),
        Result.TEMPERROR: N_(
            "The DNS servers of %(domain)s gave no answer, so the server %(server)s that sent it "
            "could not be checked. %(hostname)s did not accept it."
        ),
        Result.PERMERROR: N_(
            "The list of the servers that send mail for %(domain)s has a mistake, so the server %(server)s "
            "that sent it cannot be checked. %(hostname)s did not accept it."
        ),
    },
    Identity.HELO: {
        Result.PASS: N_("The server %(server)s may call itself %(domain)s, and %(hostname)s did not accept its mail."),
        Result.FAIL: N_(
            "The server %(server)s that sent it calls itself %(domain)s, but %(domain)s does not allow that. "
            "%(hostname)s did not accept it."
        ),
        Result.SOFTFAIL: N_(
            "The server %(server)s that sent it calls itself %(domain)s, but %(domain)s probably does not allow that. "
            "%(hostname)s did not accept it."
        ),
        Result.NEUTRAL: N_(
            "The server %(server)s that sent it calls itself %(domain)s, and %(domain)s does not say "
            "whether it may. %(hostname)s did not accept it."
        ),
        Result.NONE: N_(
            "The server %(server)s that sent it calls itself %(domain)s, and nothing is published for this name. "
            "%(hostname)s did not accept it."
        ),
        Result.TEMPERROR: N_(
            "The server %(server)s that sent it calls itself %(domain)s, and the DNS servers of this name "
            "gave no answer. %(hostname)s did not accept it."
        ),
        Result.PERMERROR: N_(
            "The server %(server)s that sent it calls itself %(domain)s, and the SPF record of this name "
            "has a mistake. %(hostname)s did not accept it."
        ),
    },
}
# Used in place of the above if a term other than all matches the server and does not allow it.
DENIED = N_(
    "The list of %(domain)s says that the server %(server)s that sent it must not send its mail. "
    "%(hostname)s did not accept it. Your mailbox and the recipient's are fine."
)
NO_MAIL = N_(
    "%(domain)s says in its SPF record that it never sends mail. "
    "So %(hostname)s did not accept this message, which came from the server %(server)s."
)
FIXED = N_("Your message was refused before. %(domain)s now allows the server %(server)s.")

# What SPF is, and, for a check by hand, what the record says about the server.
WHAT_SPF_IS: dict[Identity, str] = {
    Identity.MAILFROM: N_("Every domain can publish a list of the servers that send its mail: its SPF record."),
    Identity.HELO: N_(
        "Mail servers greet each other by name, and the owner of a name can publish who may use it: its SPF record."
    ),
}
STORIES: dict[Identity, dict[Result, str]] = {
    Identity.MAILFROM: {
        Result.PASS: N_("This server is on the list of %(domain)s, so its mail passes this check."),
        Result.FAIL: N_(
            "This server is not on the list of %(domain)s. "
            "It tells other mail systems to refuse mail from any server that is not on it."
        ),
        Result.SOFTFAIL: N_(
            "This server is not on the list of %(domain)s. "
            "It says that mail from any other server is probably not genuine."
        ),
        Result.NEUTRAL: N_("The list of %(domain)s does not say whether this server may send its mail."),
        Result.NONE: N_("%(domain)s has no such list, so its real mail cannot be told from forged mail."),
        Result.TEMPERROR: N_("The list of %(domain)s could not be looked up. This server could not be checked."),
        Result.PERMERROR: N_(
            "The list of %(domain)s has a mistake, so it cannot be said whether this server is on it."
        ),
    },
    Identity.HELO: {
        Result.PASS: N_("This server may use the name %(domain)s, and passes this check."),
        Result.FAIL: N_("The owner of the name %(domain)s says that this server may not use it."),
        Result.SOFTFAIL: N_("The owner of the name %(domain)s says that this server probably may not use it."),
        Result.NEUTRAL: N_("The owner of the name %(domain)s does not say whether this server may use it."),
        Result.NONE: N_("Nothing is published for the name %(domain)s."),
        Result.TEMPERROR: N_("The record of %(domain)s could not be looked up. This server could not be checked."),
        Result.PERMERROR: N_("The record of %(domain)s has a mistake. This server could not be checked."),
    },
}
# Used in place of the above if a term other than all matches the server and does not allow it.
RULED_OUT = N_("The list of %(domain)s says that this server must not send its mail.")

PROBLEMS: dict[ProblemKind, str] = {
    ProblemKind.NO_DOMAIN: N_("This is not a valid domain name."),
    ProblemKind.SYNTAX: N_("Part of the record is not valid SPF."),
    ProblemKind.UNKNOWN_MECHANISM: N_("The record has a word that SPF does not know."),
    ProblemKind.BAD_DOMAIN: N_("The record has an invalid domain name."),
    ProblemKind.BAD_MACRO: N_("The record has an invalid macro."),
    ProblemKind.BAD_ADDRESS: N_("The record has an invalid IP address."),
    ProblemKind.BAD_PREFIX: N_("The record has a network with an invalid size (the number after the /)."),
    ProblemKind.DUPLICATE_MODIFIER: N_("redirect= or exp= appears more than once in the record."),
    ProblemKind.TOO_LONG: N_("The record is far too long."),
    ProblemKind.SEVERAL_RECORDS: N_("There are several SPF records. Only one is allowed: merge them."),
    ProblemKind.MISSING_RECORD: N_("The record refers to another domain, which has no SPF record."),
    ProblemKind.NOT_ASCII: N_("The record has characters that are not allowed, such as curly quotes."),
    ProblemKind.LOOKUP_LIMIT: N_("The record needs more than 10 DNS lookups. Lookups inside included records count."),
    ProblemKind.VOID_LOOKUP_LIMIT: N_("The record refers to too many names that do not exist."),
    ProblemKind.HOST_LIMIT: N_("The record refers to a name with too many servers."),
    ProblemKind.DNS_FAILURE: N_("The DNS servers of the domain did not answer as they should."),
    ProblemKind.OWN_RESOLVER: N_("The DNS servers that we use are not answering. This is not your fault."),
    ProblemKind.TIME_LIMIT: N_("The DNS servers of the domain took too long to answer."),
    ProblemKind.INTERNAL: N_("Something went wrong here. This is not your fault."),
}

# How a lookup without an answer ended. The keys are the words of the trace.
OUTCOMES: dict[str, str] = {
    "no data": N_("the name exists, but has no such record"),
    "no such name": N_("there is no such name"),
    "a private name": N_("there is no such name"),  # visitors must not learn which names are private
    "timeout": N_("no answer in time"),
    # Response codes of the DNS (RFC 1035 section 4.1.1).
    "FORMERR": N_("the DNS server did not understand the question"),
    "SERVFAIL": N_("the DNS server failed"),
    "NOTIMP": N_("the DNS server cannot answer this kind of question"),
    "REFUSED": N_("the DNS server refuses to answer"),
    "not a DNS name": N_("not a valid name"),
}

# The meaning of a term, by its mechanism or modifier. %(value)s is the part after the name.
TERMS: dict[str, str] = {
    "all": N_("every other server"),
    "include": N_("the servers on the list of %(value)s"),
    "a": N_("the addresses of %(value)s"),
    "mx": N_("the servers that receive the mail of %(value)s"),
    "ip4": N_("the address or network %(value)s"),
    "ip6": N_("the address or network %(value)s"),
    "ptr": N_("servers whose name ends in %(value)s"),
    "exists": N_("if the name %(value)s exists"),
    "redirect": N_("go on with the list of %(value)s"),
}
# The meaning of a term that leads back to a record that is being read.
LOOP = N_("back to the list of %(value)s, again and again")

# The cards: for whom each is.
CARDS: dict[Audience, tuple[str, str]] = {
    Audience.USER: (N_("I only use an address of %(domain)s"), N_("People with a mailbox there, at work or at home")),
    Audience.DOMAIN: (N_("I manage the DNS of %(domain)s"), N_("The TXT record, and what to change in it")),
    Audience.SERVER: (N_("I manage the server %(address)s"), N_("The setting to change")),
    Audience.FORWARDER: (
        N_("The message came from a web form or a device, or was forwarded"),
        N_("For those who run the website, the device or the forwarding"),
    ),
}
