"""Evaluate one Check and return its Verdict: check_host() of RFC 7208, on pyspf's query class.

pyspf provides the frame: its check method, the state that macros read, and the exceptions. Methods of pyspf that differ
from the RFC, take more than linear time or are unsafe are overridden here; comments name the section of RFC 7208. Knows
no policy, no SMTP, no sockets. ``evaluate`` never raises.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from typing import Any, ParamSpec, TypeVar

from spfmilter.dns.answer import Lookups, Type, weight
from spfmilter.evaluation import explanation, hosts
from spfmilter.evaluation.asking import Asking
from spfmilter.evaluation.conditions import lets_every_host_pass, seen_in
from spfmilter.evaluation.influence import Influence, influence
from spfmilter.evaluation.limits import Limits, Share, Usage
from spfmilter.evaluation.trace import Tracer
from spfmilter.model import Check, IPAddress, Problem, ProblemKind, Result, Verdict
from spfmilter.spf import macros, record
from spfmilter.spf.macros import MacroString
from spfmilter.spf.record import Directive, Record, RecordError
from spfmilter.text import ascii_line
from spfmilter.zones import Zones, is_within

_P = ParamSpec("_P")
_R = TypeVar("_R")
MAX_KEPT = 32 << 10  # bytes: a verdict does not keep answers that take more memory
_NO_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="the identity names no domain that can be looked up")


class Evaluator:
    """Evaluate checks with one set of limits; safe for use by several threads at once."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        receiver: str = "unknown",
        clock: Callable[[], float] = time.monotonic,
        private: Zones | None = None,
    ) -> None:
        """Keep what all evaluations share.

        Args:
            limits: of one evaluation.
            receiver: our own name, for ``%{r}``.
            clock: returns the time, in seconds.
            private: the zones that a published record may not lead to.
        """
        self._limits = limits or Limits()
        self._receiver = receiver
        self._clock = clock
        self._private = private or Zones()

    def evaluate(
        self,
        check: Check,
        lookups: Lookups,
        *,
        deadline: float | None = None,
        share: Share | None = None,
        trace: bool = False,
    ) -> Verdict:
        """Return the verdict on a check. Errors are part of the verdict.

        Args:
            check: what to evaluate.
            lookups: answers the questions to the DNS.
            deadline: when the evaluation ends at the latest, on this evaluator's clock. All checks of one message have
                the same deadline. The default is the time limit, counted from now.
            share: the time for lookups in zones of the client's choice. All checks of one message have the same share.
                The default is a new one.
            trace: keep the tree of terms and lookups.
        """
        start = self._clock()
        if not check.domain:
            return Verdict(check=check, result=Result.NONE, problem=_NO_DOMAIN)
        usage = Usage(self._limits, check.domain, start, deadline=deadline, share=share)
        try:
            query = _Query(check, lookups, usage, self._clock, self._private, self._receiver, trace=trace)
            result, problem = query.outcome()
            return query.verdict(result, problem, start)
        except Exception:  # noqa: BLE001 - the error boundary: a bug of ours or of pyspf becomes a temperror
            return Verdict(
                check=check,
                result=Result.TEMPERROR,
                problem=Problem(kind=ProblemKind.INTERNAL, text="internal error of the receiving server"),
                lookups=usage.lookups,
                elapsed=self._clock() - start,
                fault=traceback.format_exc(),
            )


class _Query(Asking):
    """pyspf's query for one check. The names of overridden methods, and of attributes without _, are pyspf's."""

    def __init__(  # noqa: PLR0913 - made in one place
        self, check: Check, lookups: Lookups, usage: Usage, clock: Callable[[], float], private: Zones, receiver: str,
        *, trace: bool,
    ) -> None:  # fmt: skip
        super().__init__(i="", s=check.sender, h=check.helo or "unknown", receiver=receiver)
        self._set_client(check.address)
        # pyspf splits the sender at the first @, which is wrong for "a@b"@victim.example. The check has it right.
        self.l, self.o, self.d = check.local, check.domain, check.domain
        self._check = check
        self._lookups = lookups
        self._usage = usage
        self._clock = clock
        self._private = private
        self._tracer = Tracer() if trace else None
        self._trusted = bool(check.record)
        self._local_fits = check.local.isascii() and len(check.local) <= macros.MAX_LOCAL
        self._top: tuple[Record, str] | None = None  # the record whose exp= is used (section 6.2), and its domain
        self._top_trusted = False
        self._matched: tuple[str, str] | None = None  # the term that matched at the top level; its record's domain
        self._is_open = False  # the record that matched last lets every host pass
        self._client_names: dict[str, str] = {}  # %{p}, by the domain whose record uses it
        self._asked = []
        self._letters: set[str] = set()  # the macro letters that the result depends on

    def _set_client(self, address: IPAddress) -> None:
        """Set the client's address and the macros i, c and v (pyspf's own set_ip takes text)."""
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address  # section 5
        self.ipaddr, self._address, self._bits = address, int(address), address.max_prefixlen
        four = self._bits == 32
        self.c, self.v = str(address), "in-addr" if four else "ip6"
        self.i = self.c if four else ".".join(f"{self._address:032X}")
        self._address_type = Type.A if four else Type.AAAA

    def outcome(self) -> tuple[Result, Problem | None]:
        """Evaluate the check. Return the result, and the problem of a temperror or permerror.

        Raises:
            spf.PermError: pyspf has found a permerror itself. That is a bug: this class finds all permerrors first.
        """
        try:
            result = Result(self.check(self._check.record or None)[0])
        except RecordError as error:  # pyspf catches its own errors only
            return Result.PERMERROR, error.problem()
        if self.perm_error is not None:
            raise self.perm_error
        return result, self._trouble

    def verdict(self, result: Result, problem: Problem | None, start: float) -> Verdict:
        """Return the verdict of the finished query. Look up the explanation of a fail."""
        term, domain = (self._matched[0], ascii_line(self._matched[1])) if self._matched else (None, None)
        return Verdict(
            check=self._check,
            result=result,
            term=term,
            term_domain=domain,
            problem=problem,
            explanation=self._explanation() if result is Result.FAIL else None,  # its lookups change the lines below
            lookups=self._usage.lookups,
            void_lookups=self._usage.void_lookups,
            letters=frozenset(self._letters),
            elapsed=self._clock() - start,
            ttl=self._ttl,
            trace=self._tracer.finish(self._check.domain, problem.kind if problem else None) if self._tracer else None,
            condition=seen_in(self._top, result, self._check.domain, is_open=self._is_open),
            asked=tuple(self._asked) if (size := weight(self._asked)) <= MAX_KEPT else None,
            asked_size=size if size <= MAX_KEPT else 0,
        )

    # -- the frame: records ------------------------------------------------------------------------------------------

    def check1(
        self, spf_text: str | None, domain: str, recursion: int, chosen: Influence = Influence.NONE
    ) -> tuple[str, int, str]:
        """Evaluate a record of ``domain``. Only the lookup limit bounds the depth; pyspf's own limit is 20."""
        outer, self.d, of_outer, trusted = self.d, domain, self._influence, self._trusted
        self._influence = max(chosen, of_outer)
        self._trusted = trusted and (self._top is None or self._private.holds(domain))
        try:
            return self.check0(spf_text, recursion)
        except RecordError as error:
            error.domain = error.domain or domain
            error.leave(domain, spf_text or "", self._term)
            if self._tracer:
                self._tracer.close_record()
            raise
        finally:
            self.d, self._influence, self._trusted = outer, of_outer, trusted

    def check0(self, spf_text: str | None, recursion: int) -> tuple[str, int, str]:
        """Parse the whole record, then evaluate its terms from left to right (section 4.6)."""
        if self._tracer:
            self._tracer.open_record(self.d, spf_text)
        if not spf_text:
            return (Result.NONE, 250, "")
        found = self._read(spf_text)
        if not recursion:
            self._top, self._top_trusted = (found, self.d), self._trusted
            self._usage.top_domain = self.d
        for directive in found.directives:
            if not recursion:
                self._usage.top_term = directive.text
            if self._holds(directive, recursion):
                self._is_open = lets_every_host_pass(found, directive, self._bits, included=self._is_open)
                if not recursion:
                    self._matched = (directive.text, self.d)
                return self._leave(directive.result)
        if found.redirect is not None:
            # Section 6.1: a redirect counts, and is looked up, only if no mechanism matched.
            if not recursion:
                self._usage.top_term = found.redirect_text
            return self._evaluating(found.redirect_text, self._redirect, found.redirect, recursion)
        return self._leave(Result.NEUTRAL)

    def _read(self, spf_text: str) -> Record:
        """Parse a record, within the limits on all records of this evaluation."""
        self._usage.count_characters(len(spf_text))
        found = record.parse(spf_text)
        self._usage.count_terms(found.terms)
        return found

    def _leave(self, result: Result) -> tuple[str, int, str]:
        if self._tracer:
            self._tracer.close_record()
        return (result, 250, "")

    def _redirect(self, spec: MacroString, recursion: int) -> tuple[str, int, str]:
        fits = self._expands(spec)
        domain, chosen = self._target(spec) if fits else (spec.text, Influence.NONE)
        text = self.dns_spf(domain, chosen) if fits else None
        if not text:
            raise RecordError(ProblemKind.MISSING_RECORD, f"{domain} has no SPF record", term=self._term)
        result = self.check1(text, domain, recursion, chosen)
        return self._leave(Result(result[0]))

    def _evaluating(self, text: str, evaluate: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Evaluate a term that needs lookups. Count the term, and its void lookups once (section 4.6.4).

        This is no context manager because making one takes longer than all of this method.
        """
        usage = self._usage
        outer = self._term, usage.void_counted
        self._term, usage.void_counted = text, False
        if self._tracer:
            self._tracer.open_term(text)
        try:
            usage.count_term()
            return evaluate(*args, **kwargs)
        except RecordError as error:
            error.term = error.term or text
            raise
        finally:
            self._term, usage.void_counted = outer

    # -- mechanisms (section 5) --------------------------------------------------------------------------------------

    def _holds(self, directive: Directive, recursion: int) -> bool:
        """Tell whether a directive matches."""
        if directive.mechanism in record.LOOKUP_MECHANISMS:
            matched = self._evaluating(directive.text, self._matches, directive, recursion)
        else:  # fast path: these cannot fail, and a record may have hundreds of them
            matched = directive.mechanism == "all" or directive.lists(self._address, self._bits)
            if self._tracer:
                self._tracer.open_term(directive.text)
        if self._tracer:
            self._tracer.close_term(matched=matched)
        return matched

    def _matches(self, directive: Directive, recursion: int) -> bool:
        """Tell whether a mechanism with a lookup matches. An error that the client can cause counts as no match."""
        if not self._expands(directive.target):
            return False
        domain, chosen = self._target(directive.target)
        try:
            match directive.mechanism:
                case "include":
                    return self._include(domain, chosen, recursion)
                case "a":
                    return self._any_within(domain, chosen, directive)
                case "mx":
                    hosts_of = self._exchanges(domain, chosen)
                    return any(self._any_within(host, chosen, directive) for host in hosts_of)
                case "exists":
                    return bool(self._ask(domain, Type.A, chosen).records)
                case _:
                    return self._ptr(domain)
        except RecordError:
            if chosen is not Influence.ZONE:
                raise
            return False

    def _expands(self, spec: MacroString | None) -> bool:
        """Tell whether the macros can be expanded to a name.

        A term that uses a non-ASCII local part matches nothing (RFC 8616 section 4). The same holds for a local part
        that is too long for any name, because a record could make its expansion costly.
        """
        if spec is None or not spec.letters & {"l", "s"}:
            return True
        self._letters.add("l")
        return self._local_fits

    def _target(self, spec: MacroString | None) -> tuple[str, Influence]:
        """Return the name that a term looks up, and how far the client chooses it."""
        if spec is None:
            return self.d, Influence.NONE
        domain = spec.expand_domain(self._letter)
        if self._tracer and domain != spec.text:
            self._tracer.target(domain)
        return domain, influence(spec, domain, self._check.domain, self._letter)

    def _include(self, domain: str, chosen: Influence, recursion: int) -> bool:
        text = self.dns_spf(domain, chosen)
        if text:
            return self.check1(text, domain, recursion + 1, chosen)[0] == Result.PASS
        if chosen is Influence.NONE:
            raise RecordError(ProblemKind.MISSING_RECORD, f"{domain} has no SPF record", term=self._term)
        return False  # otherwise the client could cause a permerror

    def _any_within(self, host: str, chosen: Influence, directive: Directive) -> bool:
        answer = self._ask(host, self._address_type, chosen, of_family=True)
        addresses = (a for a in answer.records if isinstance(a, bytes))
        return any(directive.covers(int.from_bytes(a, "big"), self._address, self._bits) for a in addresses)

    def _exchanges(self, domain: str, chosen: Influence) -> Iterator[str]:
        """Return the MX hosts, best first. The caller looks them up one by one, until one matches.

        Raises:
            RecordError: there are more than ten (section 4.6.4).
        """
        records = [r for r in self._ask(domain, Type.MX, chosen).records if isinstance(r, tuple)]
        if len(records) > record.MAX_HOSTS:
            raise RecordError(
                ProblemKind.HOST_LIMIT, f"{domain} has more than {record.MAX_HOSTS} MX hosts", term=self._term
            )
        return (exchange for _, exchange in sorted(records) if exchange)

    def _ptr(self, domain: str) -> bool:
        target, ask = domain.lower(), self._ask_client
        names = (name for name in hosts.names_of(self.ipaddr, ask) if is_within(name, target))
        return any(hosts.has_address(name, self.ipaddr, ask) for name in names)

    # -- macros (section 7) ------------------------------------------------------------------------------------------

    def _letter(self, letter: str) -> str:
        self._letters.add(letter)
        return self.getp() if letter == "p" else str(getattr(self, letter))

    def getp(self) -> str:
        """Return a validated name of the client (section 7.3): the current domain, else one below it, else any."""
        domain = self.d.lower()
        if domain not in self._client_names:
            names, address = hosts.names_of(self.ipaddr, self._ask_client), self.ipaddr
            names.sort(key=lambda name: (name != domain, not name.endswith("." + domain)))
            ours = (name for name in names if hosts.has_address(name, address, self._ask_client))
            self._client_names[domain] = next(ours, "unknown")
        return self._client_names[domain]

    def _explanation(self) -> str | None:
        """Return the domain's own explanation of a fail; None if there is none, or it has an error (section 6.2)."""
        if self._top is None:
            return None
        (found, self.d), self._trusted = self._top, self._top_trusted
        if found.exp is None:
            return None
        self._usage.client_deadline = self._usage.deadline  # this is the last lookup, so it may use all the time
        try:
            target = found.exp.expand_domain(self._letter)
            if self._trusted or explanation.is_of(target, (self._check.domain, self.d), self._ask_client):
                return explanation.expanded(self._ask_client(target, Type.TXT).records, self._letter)
        except RecordError:
            pass
        return None

    # -- the DNS -----------------------------------------------------------------------------------------------------

    def dns_spf(self, domain: str, chosen: Influence = Influence.NONE) -> str | None:
        """Return the SPF record of a domain, or None (section 4.5).

        Raises:
            RecordError: there are several records.
        """
        if "." not in domain:
            return None  # section 4.3: not a multi-label domain name
        texts = [text for text in self._ask(domain, Type.TXT, chosen).records if isinstance(text, bytes)]
        return record.only_one(texts, domain)

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002, FBT001, FBT002 - its
        """Answer the lookups that pyspf's own methods still make."""
        records = self._ask(name, Type[qtype], Influence.NAME if ignore_void else Influence.NONE).records
        return [(r,) if qtype == "TXT" else str(r) for r in records]
