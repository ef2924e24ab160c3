"""The page's texts for each result, problem and term. The English sentences are the keys of the catalogues.

Knows texts only. ``N_`` marks a text for the catalogue; the page translates it when it shows it. In a text ``%(name)s``
stands for a value. A percent sign is doubled.
"""

from __future__ import annotations

from spfmilter.model import Identity, ProblemKind, Result


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """Mark a text for the catalogue."""
    return text


# A result in a word or two, shown beside the technical word.
RESULTS: dict[Result, str] = {
    Result.PASS: N_("allowed"),
    Result.FAIL: N_("not allowed"),
    Result.SOFTFAIL: N_("probably not allowed"),
    Result.NEUTRAL: N_("left open"),
    Result.NONE: N_("no record"),
    Result.TEMPERROR: N_("could not be read"),
    Result.PERMERROR: N_("faulty record"),
}

TITLES: dict[Identity, dict[Result, str]] = {
    Identity.MAILFROM: {
        Result.PASS: N_("%(address)s may send mail for %(domain)s"),
        Result.FAIL: N_("%(address)s may not send mail for %(domain)s"),
        Result.SOFTFAIL: N_("%(address)s probably may not send mail for %(domain)s"),
        Result.NEUTRAL: N_("%(domain)s leaves open whether %(address)s may send its mail"),
        Result.NONE: N_("%(domain)s does not say who may send its mail"),
        Result.TEMPERROR: N_("The SPF record of %(domain)s could not be read"),
        Result.PERMERROR: N_("The SPF record of %(domain)s has a mistake in it"),
    },
    Identity.HELO: {
        Result.PASS: N_("%(address)s may call itself %(domain)s"),
        Result.FAIL: N_("%(address)s may not call itself %(domain)s"),
        Result.SOFTFAIL: N_("%(address)s probably may not call itself %(domain)s"),
        Result.NEUTRAL: N_("%(domain)s leaves open whether %(address)s may use its name"),
        Result.NONE: N_("%(domain)s does not say who may use its name"),
        Result.TEMPERROR: N_("The SPF record of %(domain)s could not be read"),
        Result.PERMERROR: N_("The SPF record of %(domain)s has a mistake in it"),
    },
}
TITLE_FIXED = N_("It passes now. Please send your message again.")

# One sentence on what SPF is, one on what happened, and one or two on what the record says about the server.
WHAT_SPF_IS: dict[Identity, str] = {
    Identity.MAILFROM: N_("Every domain can publish a list of the servers that send its mail: its SPF record."),
    Identity.HELO: N_(
        "Mail servers greet each other by name, and the owner of a name can publish who may use it: its SPF record."
    ),
}
CAME: dict[Identity, str] = {
    Identity.MAILFROM: N_("Your message came from the server %(address)s."),
    Identity.HELO: N_("Your message came from the server %(address)s, which called itself %(domain)s."),
}
STORIES: dict[Identity, dict[Result, str]] = {
    Identity.MAILFROM: {
        Result.PASS: N_("This server is on the list of %(domain)s. Mail from it passes this check."),
        Result.FAIL: N_(
            "This server is not on the list of %(domain)s. "
            "The list says that mail from any other server is to be refused."
        ),
        Result.SOFTFAIL: N_(
            "This server is not on the list of %(domain)s. "
            "The list says that mail from any other server is probably not genuine."
        ),
        Result.NEUTRAL: N_("The list of %(domain)s does not say whether this server may."),
        Result.NONE: N_(
            "%(domain)s publishes no such list. Without it, its genuine mail cannot be told from forged mail."
        ),
        Result.TEMPERROR: N_("The list of %(domain)s could not be looked up. This server could not be checked."),
        Result.PERMERROR: N_(
            "The list of %(domain)s has a mistake in it. It cannot be said whether this server is on it."
        ),
    },
    Identity.HELO: {
        Result.PASS: N_("This server may use the name %(domain)s, and passes this check."),
        Result.FAIL: N_("The owner of the name %(domain)s says that this server may not use it."),
        Result.SOFTFAIL: N_("The owner of the name %(domain)s says that this server probably may not use it."),
        Result.NEUTRAL: N_("The owner of the name %(domain)s does not say whether this server may use it."),
        Result.NONE: N_("Nothing is published for the name %(domain)s."),
        Result.TEMPERROR: N_("The record of %(domain)s could not be looked up. This server could not be checked."),
        Result.PERMERROR: N_("The record of %(domain)s has a mistake in it. This server could not be checked."),
    },
}
# Used in place of the above if the list names the server and rules it out.
RULED_OUT = N_("The list of %(domain)s rules this server out by name.")
FIXED = N_("When your message came, this check was not passed. Now %(domain)s allows the server %(address)s.")

PROBLEMS: dict[ProblemKind, str] = {
    ProblemKind.NO_DOMAIN: N_("What was checked is not the name of a domain."),
    ProblemKind.SYNTAX: N_("A part of the record is not written as the rules ask."),
    ProblemKind.UNKNOWN_MECHANISM: N_("The record has a word in it that SPF does not know."),
    ProblemKind.BAD_DOMAIN: N_("The record has a domain name in it that cannot be one."),
    ProblemKind.BAD_MACRO: N_("The record has a placeholder in it that cannot be read."),
    ProblemKind.BAD_ADDRESS: N_("The record has an IP address in it that cannot be one."),
    ProblemKind.BAD_PREFIX: N_("The record has a network in it whose size cannot be read."),
    ProblemKind.DUPLICATE_MODIFIER: N_("The record says something twice that may be said once."),
    ProblemKind.TOO_LONG: N_("The record is far too long."),
    ProblemKind.SEVERAL_RECORDS: N_("There are several SPF records, and only one is allowed: they have to be merged."),
    ProblemKind.MISSING_RECORD: N_("The record refers to another domain, which has no SPF record."),
    ProblemKind.NOT_ASCII: N_("The record has characters in it that are not allowed there."),
    ProblemKind.LOOKUP_LIMIT: N_(
        "The record needs too many lookups in the DNS: ten are allowed, with those of all records that it includes."
    ),
    ProblemKind.VOID_LOOKUP_LIMIT: N_("The record refers to too many names that do not exist."),
    ProblemKind.HOST_LIMIT: N_("The record refers to a name with too many servers."),
    ProblemKind.DNS_FAILURE: N_("The name servers of the domain did not answer as they should."),
    ProblemKind.OWN_RESOLVER: N_("The name servers that are asked here do not answer. That is not your fault."),
    ProblemKind.TIME_LIMIT: N_("The name servers of the domain took too long to answer."),
    ProblemKind.INTERNAL: N_("Something went wrong here. That is not your fault."),
}

# How a lookup without an answer ended. The keys are the words of the trace.
OUTCOMES: dict[str, str] = {
    "no data": N_("the name exists, but without this"),
    "no such name": N_("there is no such name"),
    "a private name": N_("there is no such name"),  # visitors must not learn which names are private
    "timeout": N_("no answer in time"),
    "not a DNS name": N_("this cannot be a name"),
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
