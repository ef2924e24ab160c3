"""One Check in, one Verdict out: check_host() of RFC 7208, on pyspf's query class.

pyspf gives the frame (check, the state that macros read, the exceptions); what it does otherwise than the RFC, slower
than linear, or unsafely, is overridden here, each with its section. Knows no policy, no SMTP, no sockets. ``evaluate``
never raises.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address
from typing import Any

import spf

from spfmilter.evaluation import explanation, macros, record, wire
from spfmilter.evaluation.answer import Answer, Lookups, Status, Type
from spfmilter.evaluation.conditions import seen_in
from spfmilter.evaluation.macros import MacroString
from spfmilter.evaluation.private import NOT_ASKED
from spfmilter.evaluation.record import Directive, Limits, Record, RecordError
from spfmilter.evaluation.trace import Tracer
from spfmilter.model import Check, IPAddress, Problem, ProblemKind, Result, Verdict
from spfmilter.text import ascii_line
from spfmilter.zones import Zones

_MAX_RECORDS = 1000  # DNS records for one evaluation: ten mx of ten hosts with some addresses each are a few hundred
_NO_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="the identity names no domain that can be looked up")
_EXPLANATION_TIME = 5.0  # seconds at most for it, of what the evaluation has left: the client is waiting for a refusal


class Evaluator:
    """Evaluates checks with one resolver and one set of limits; safe for use by several threads at once."""

    def __init__(
        self,
        lookups: Lookups,
        limits: Limits | None = None,
        *,
        receiver: str = "unknown",
        clock: Callable[[], float] = time.monotonic,
        private: Zones | None = None,
    ) -> None:
        self._lookups, self._limits, self._receiver, self._clock = lookups, limits or Limits(), receiver, clock
        self._private = private or Zones()

    def evaluate(
        self, check: Check, *, lookups: Lookups | None = None, deadline: float | None = None, trace: bool = False
    ) -> Verdict:
        """The verdict on a check; whatever happens is in it.

        Args:
            check: what to evaluate.
            lookups: who answers this one's questions, where that is not the resolver itself.
            deadline: when the evaluation ends at the latest, on this evaluator's clock; by default the time limit from
                now. Several checks of one message share one.
            trace: keep the tree of terms and lookups.
        """
        start = self._clock()
        if not check.domain:
            return Verdict(check=check, result=Result.NONE, problem=_NO_DOMAIN)
        query = None
        try:
            until = start + self._limits.time if deadline is None else deadline
            query = _Query(check, self, lookups or self._lookups, until, trace=trace)
            result = Result(query.check(check.record or None)[0])
            return query.verdict(result, start)
        except Exception:  # noqa: BLE001 - the boundary: a bug of ours or pyspf's must not reach the MTA as anything else
            return Verdict(
                check=check,
                result=Result.TEMPERROR,
                problem=Problem(kind=ProblemKind.INTERNAL, text="internal error of the receiving server"),
                lookups=query.lookups if query is not None else 0,
                elapsed=self._clock() - start,
                fault=traceback.format_exc(),
            )


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no type hints
    """pyspf's query for one check; names of attributes and overridden methods are pyspf's."""

    def __init__(self, check: Check, evaluator: Evaluator, lookups: Lookups, deadline: float, *, trace: bool) -> None:
        super().__init__(i="", s=check.sender, h=check.helo or "unknown", receiver=evaluator._receiver)  # noqa: SLF001
        self._set_client(check.address)
        # pyspf splits at the first @, which lets "a@b"@victim.example through; the check has been split at the last.
        self.l, self.o, self.d = check.local, check.domain, check.domain
        self._check, self._deadline = check, deadline
        self._lookups_of, self._limits, self._clock = lookups, evaluator._limits, evaluator._clock  # noqa: SLF001
        self._private = evaluator._private  # noqa: SLF001
        self._trusted = bool(check.record)  # the record that is being read is our administrator's, and so are its names
        self._local_fits = check.local.isascii() and len(check.local) <= macros.MAX_LOCAL
        self._tracer = Tracer() if trace else None
        self._term: str | None = None  # the one being evaluated
        self._top_term: str | None = None  # the one of the top level's record that led there
        self._void_counted = True  # whether this term's void lookup is counted already; before any term nothing counts
        self._matched: tuple[str, str] | None = None  # at the top level: the term and its record's domain
        self._top: tuple[Record, str] | None = None  # the record that exp= is taken from (section 6.2)
        self._client_names: dict[str, str] = {}  # %{p}, by the domain whose record asks for it
        self._characters = self._terms = self._records = self._aside = 0  # read so far: of SPF records, in the DNS
        self._letters: set[str] = set()  # what the evaluation has depended on
        self._ttl: int | None = None
        self._trouble: Problem | None = None  # why the DNS could not be asked

    def _set_client(self, address: IPAddress) -> None:
        """The client's address, and what the macros i, c and v show of it (pyspf's set_ip takes text)."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address  # section 5
        self.ipaddr, self._address, self._bits = address, int(address), address.max_prefixlen
        four = self._bits == 32
        self.c, self.v = str(address), "in-addr" if four else "ip6"
        self.i = self.c if four else ".".join(f"{self._address:032X}")
        self._address_type = Type.A if four else Type.AAAA

    def verdict(self, result: Result, start: float) -> Verdict:
        """What the finished query has found; fetches the explanation of a fail."""
        problem = self._trouble if result is Result.TEMPERROR else None
        if result is Result.PERMERROR:
            problem = self.perm_error.problem()  # every permerror of ours is a RecordError
        term, domain = (self._matched[0], ascii_line(self._matched[1])) if self._matched else (None, None)
        return Verdict(
            check=self._check,
            result=result,
            term=term,
            term_domain=domain,
            problem=problem,
            explanation=self._explanation() if result is Result.FAIL else None,  # before what it adds to is read
            lookups=self.lookups,
            void_lookups=self.void_lookups,
            letters=frozenset(self._letters),
            elapsed=self._clock() - start,
            ttl=self._ttl,
            trace=self._tracer.finish(self._check.domain) if self._tracer else None,
            condition=seen_in(self._top, term, result, self._check.domain),
        )

    # -- the frame: records ------------------------------------------------------------------------------------------

    def check1(self, spf_text: str | None, domain: str, recursion: int) -> tuple[str, int, str]:
        """A record in the place of ``domain``; the depth is bounded by the lookup limit, not by pyspf's own 20."""
        outer, self.d, trusted = self.d, domain, self._trusted
        self._trusted = trusted and (self._top is None or self._private.holds(domain))
        try:
            return self.check0(spf_text, recursion)
        except RecordError as error:
            error.domain = error.domain or domain
            raise
        finally:
            self.d, self._trusted = outer, trusted

    def check0(self, spf_text: str | None, recursion: int) -> tuple[str, int, str]:
        """Evaluate a record's terms from left to right (section 4.6), the whole record having been read first."""
        if self._tracer:
            self._tracer.open_record(self.d, spf_text)
        if not spf_text:
            return (Result.NONE, 250, "")
        found = self._read(spf_text)
        if not recursion:
            self._top, self._top_trusted = (found, self.d), self._trusted
        for directive in found.directives:
            self._top_term = self._top_term if recursion else directive.text
            if self._holds(directive, recursion):
                if not recursion:
                    self._matched = (directive.text, self.d)
                return self._leave(directive.result)
        if found.redirect is not None:
            # Section 6.1: a redirect counts, and is looked up, only when nothing matched.
            self._top_term = self._top_term if recursion else found.redirect_text
            with self._evaluating(found.redirect_text):
                return self._redirect(found.redirect, recursion)
        return self._leave(Result.NEUTRAL)

    def _read(self, spf_text: str) -> Record:
        """A record, if those of this evaluation are not too much to read by now."""
        self._characters += len(spf_text)
        found = record.parse(spf_text) if self._characters <= record.MAX_ALL_RECORDS else None
        self._terms += found.terms if found else 0
        if found is None or self._terms > record.MAX_ALL_TERMS:
            text = (
                f"the records have more than {record.MAX_ALL_RECORDS} characters or {record.MAX_ALL_TERMS} terms in all"
            )
            raise self._too_much(ProblemKind.TOO_LONG, text)
        return found

    def _too_much(self, kind: ProblemKind, text: str) -> RecordError:
        """What all records of an evaluation come to is the fault of the first one, which leads to the others."""
        return RecordError(kind, text, term=self._top_term, domain=self._top[1] if self._top else self._check.domain)

    def _leave(self, result: Result) -> tuple[str, int, str]:
        if self._tracer:
            self._tracer.close_record()
        return (result, 250, "")

    def _redirect(self, spec: MacroString, recursion: int) -> tuple[str, int, str]:
        fits = self._expands(spec)
        domain = self._target(spec) if fits else spec.text
        text = self.dns_spf(domain) if fits else None
        if not text:
            raise RecordError(ProblemKind.MISSING_RECORD, f"{domain} has no SPF record", term=self._term)
        result = self.check1(text, domain, recursion)
        return self._leave(Result(result[0]))

    @contextmanager
    def _evaluating(self, text: str) -> Iterator[None]:
        """A term that looks up is the one being evaluated: it is counted, its void lookups once (section 4.6.4)."""
        outer = self._term, self._void_counted
        self._term, self._void_counted = text, False
        if self._tracer:
            self._tracer.open_term(text)
        try:
            self.check_lookups()
            yield
        except RecordError as error:
            error.term = error.term or text
            raise
        finally:
            self._term, self._void_counted = outer

    def check_lookups(self) -> None:
        """Count a term that looks up."""
        self.lookups += 1
        if self.lookups > self._limits.lookups:
            text = f"more than {self._limits.lookups} terms that need a DNS lookup"
            raise self._too_much(ProblemKind.LOOKUP_LIMIT, text)

    # -- mechanisms (section 5) --------------------------------------------------------------------------------------

    def _holds(self, directive: Directive, recursion: int) -> bool:
        """Whether a directive matches."""
        if directive.mechanism in record.LOOKUP_MECHANISMS:
            with self._evaluating(directive.text):
                matched = self._matches(directive, recursion)
        else:  # nothing can go wrong with these any more, and a record may have hundreds of them
            matched = directive.mechanism == "all" or directive.lists(self._address, self._bits)
            if self._tracer:
                self._tracer.open_term(directive.text)
        if self._tracer:
            self._tracer.close_term(matched=matched)
        return matched

    def _matches(self, directive: Directive, recursion: int) -> bool:
        """Whether a mechanism that looks something up matches."""
        if not self._expands(directive.target):
            return False
        domain = self._target(directive.target)
        match directive.mechanism:
            case "include":
                return self._include(domain, recursion)
            case "a":
                return self._any_within(domain, directive)
            case "mx":
                return any(self._any_within(host, directive) for host in self._exchanges(domain))
            case "exists":
                return bool(self._ask(domain, Type.A).records)
            case _:
                return self._ptr(domain)

    def _expands(self, spec: MacroString | None) -> bool:
        """Whether there is a name to expand to.

        RFC 8616 section 4: a local part beyond ASCII makes a term that uses it match nothing; so does one that is too
        long for any name, since a stranger could make its expansion costly.
        """
        if spec is None or not spec.letters & {"l", "s"}:
            return True
        self._letters.add("l")
        return self._local_fits

    def _target(self, spec: MacroString | None) -> str:
        if spec is None:
            return self.d
        domain = spec.expand_domain(self._letter)
        if self._tracer and domain != spec.text:
            self._tracer.target(domain)
        return domain

    def _include(self, domain: str, recursion: int) -> bool:
        text = self.dns_spf(domain)
        if not text:
            raise RecordError(ProblemKind.MISSING_RECORD, f"{domain} has no SPF record", term=self._term)
        return self.check1(text, domain, recursion + 1)[0] == Result.PASS

    def _any_within(self, host: str, directive: Directive) -> bool:
        addresses = (a for a in self._ask(host, self._address_type).records if isinstance(a, bytes))
        return any(directive.covers(int.from_bytes(a, "big"), self._address, self._bits) for a in addresses)

    def _exchanges(self, domain: str) -> Iterator[str]:
        """The MX hosts, best first; looked up one by one, until one matches."""
        records = [r for r in self._ask(domain, Type.MX).records if isinstance(r, tuple)]
        if len(records) > record.MAX_HOSTS:
            raise RecordError(
                ProblemKind.HOST_LIMIT, f"{domain} has more than {record.MAX_HOSTS} MX hosts", term=self._term
            )
        return (exchange for _, exchange in sorted(records) if exchange)

    def _ptr(self, domain: str) -> bool:
        target = domain.lower()
        return any(self._is_ours(name) for name in self._ptr_names() if name == target or name.endswith("." + target))

    def _ptr_names(self) -> list[str]:
        """The first ten names of the client's address; a failing lookup means none (section 5.5)."""
        reverse = ".".join(reversed(self.i.split("."))) + f".{self.v}.arpa"
        answer = self._ask(reverse, Type.PTR, tolerant=True, own=True)
        return [str(name).lower() for name in answer.records[: record.MAX_HOSTS]]

    def _is_ours(self, name: str) -> bool:
        """Whether a name from the reverse DNS has the client's address; a failing lookup skips it (section 5.5)."""
        packed = self._address.to_bytes(self._bits // 8, "big")
        return packed in self._ask(name, self._address_type, tolerant=True, counts=False).records

    # -- macros (section 7) ------------------------------------------------------------------------------------------

    def _letter(self, letter: str) -> str:
        self._letters.add(letter)
        return self.getp() if letter == "p" else str(getattr(self, letter))

    def getp(self) -> str:
        """The client's validated name (section 7.3): the current domain, else a name below it, else any."""
        domain = self.d.lower()
        if domain not in self._client_names:
            names = self._ptr_names()
            names.sort(key=lambda name: (name != domain, not name.endswith("." + domain)))
            self._client_names[domain] = next((name for name in names if self._is_ours(name)), "unknown")
        return self._client_names[domain]

    def _explanation(self) -> str | None:
        """The domain's own text for a fail, or None: whatever goes wrong with it changes nothing (section 6.2)."""
        if self._top is None:
            return None
        (found, self.d), self._trusted = self._top, self._top_trusted
        if found.exp is None:
            return None
        self._deadline = min(self._deadline, self._clock() + _EXPLANATION_TIME)
        try:
            target = found.exp.expand_domain(self._letter)
            if self._trusted or explanation.is_of(target, (self._check.domain, self.d)):
                records = self._ask(target, Type.TXT, tolerant=True, counts=False).records
                return explanation.spoken(records, self._letter)
        except spf.TempError:
            self._ttl = 0  # no time was left for it: another message shall have it
        except RecordError:
            pass
        return None

    # -- the DNS -----------------------------------------------------------------------------------------------------

    def dns_spf(self, domain: str) -> str | None:
        """The SPF record of a domain, or None (section 4.5); more than one is a permerror."""
        if "." not in domain:
            return None  # section 4.3: not a multi-label domain name
        return record.only_one(self._ask(domain, Type.TXT).records, domain)

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002, FBT001, FBT002 - its
        """The hook of pyspf, for whatever of pyspf still asks by itself."""
        records = self._ask(name, Type[qtype], counts=not ignore_void).records
        return [(r,) if qtype == "TXT" else str(r) for r in records]

    def _ask(
        self, name: str, rdtype: Type, *, tolerant: bool = False, counts: bool = True, own: bool = False
    ) -> Answer:
        """One lookup, inside the time limit whatever it is for; a void one counts once for its term.

        ``own``: the name is the client's address, and asked for also where that is private.
        """
        start = self._clock()
        if start >= self._deadline:
            limit = f"{self._limits.time:g}"
            raise self._temperror(ProblemKind.TIME_LIMIT, f"the lookups took longer than {limit} s", name)
        hidden = not (own or self._trusted) and self._private.holds(name)
        answer = NOT_ASKED if hidden else self._lookups_of.ask(name, rdtype, self._deadline)
        if self._tracer:
            self._tracer.lookup(name, rdtype, answer, self._clock() - start)
        if answer.status is Status.FAILED and not tolerant:
            text = f"DNS lookup of {name} ({rdtype.name}) failed: {answer.failure}"
            raise self._temperror(ProblemKind.OWN_RESOLVER if answer.ours else ProblemKind.DNS_FAILURE, text, name)
        if answer.status is not Status.NOT_ASKED:
            self._ttl = answer.ttl if self._ttl is None else min(self._ttl, answer.ttl)
        if tolerant:  # the client's own zone, or an explanation: too much of it counts as nothing, and is no error
            self._aside += len(answer.records)
            answer = answer if self._aside <= _MAX_RECORDS else Answer(Status.NOT_ASKED)
        else:
            self._records += len(answer.records)
        if self._records > _MAX_RECORDS or (answer.cut and rdtype is not Type.MX and not tolerant):
            read = f"{_MAX_RECORDS}, and {wire.MAX_RECORDS} in one answer"
            raise self._too_much(ProblemKind.TOO_LONG, f"the lookups bring more DNS records than are read ({read})")
        if answer.void and counts and not self._void_counted:
            self._void_counted = True
            self.void_lookups += 1
            if self.void_lookups > self._limits.void_lookups:
                limit = f"more than {self._limits.void_lookups} terms whose lookup finds nothing"
                raise self._too_much(ProblemKind.VOID_LOOKUP_LIMIT, f"{limit} (the last: {name})")
        return answer

    def _temperror(self, kind: ProblemKind, text: str, name: str) -> Exception:
        term = ascii_line(self._term, 120) if self._term else None
        self._trouble = Problem(kind=kind, text=ascii_line(text), domain=ascii_line(name), term=term)
        error: Exception = spf.TempError(text)
        return error
