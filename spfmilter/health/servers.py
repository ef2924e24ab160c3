"""Other servers: the nameservers, the server of ``[state] url``, the help page and the metrics. Each is asked now."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator, Sequence

from spfmilter.dns import selftest
from spfmilter.dns.answer import Answer, Status
from spfmilter.dns.resolver import Resolver
from spfmilter.health import workers
from spfmilter.health.known import Asked, Known, wait_for
from spfmilter.health.parts import Gauge, Level, Part, counted, span
from spfmilter.settings.endpoints import reachable_host
from spfmilter.settings.values import Nameserver, nameserver
from spfmilter.state import why_silent

_DNS_TIME = 3.0  # seconds for a nameserver
_HTTP_TIME = 2.0  # seconds for a page
_PAGE = 64 * 1024  # bytes of a page that are read
_LOG = "journalctl -u spfmilter -p err"


# -- nameservers -------------------------------------------------------------------------------------------------------


def resolver(known: Known) -> Iterator[Part]:
    """Yield the part ``resolver``: each nameserver is asked for a name that exists."""
    servers = _nameservers(known)
    if servers is None:
        yield Part(
            name="resolver", level=Level.UNKNOWN, text="neither the INI file nor the daemon tells the nameservers"
        )
        return
    limit = known.time_left(_DNS_TIME)
    late = Answer(Status.FAILED, failure="timeout")
    asked = [Asked(lambda server=server: _timed(server, limit), (late, limit)) for server in servers]  # type: ignore[misc]
    wait_for(asked, known.deadline)
    snapshot = known.snapshot
    figures = [w.figures for w in snapshot.workers if w.figures is not None] if snapshot is not None else []
    silence = max((each.silence for each in figures), default=0.0)
    errors = max((each.errors for each in figures), default=0.0)
    answers = [(str(server), *each.value) for server, each in zip(servers, asked, strict=True)]
    yield resolver_part(answers, silence=silence, errors=errors)


def _nameservers(known: Known) -> Sequence[Nameserver] | None:
    """Return the nameservers in force; None if they are unknown."""
    if known.snapshot is not None:
        configured: Sequence[Nameserver] = [nameserver(text) for text in known.snapshot.nameservers]
    elif known.settings is not None:
        configured = known.settings.dns.nameservers
    else:
        return None
    return Resolver(configured).nameservers()


def _timed(server: Nameserver, limit: float) -> tuple[Answer, float]:
    began = time.monotonic()
    return selftest.ask(server, limit), time.monotonic() - began


def resolver_part(asked: Sequence[tuple[str, Answer, float]], *, silence: float, errors: float) -> Part:
    """Return how the nameservers stand.

    Args:
        asked: each nameserver, with its answer and the seconds that it took.
        silence: seconds for which no nameserver has answered a worker; 0.0: they answer.
        errors: seconds for which the workers have had nothing but errors from them; 0.0: they have had good answers.
    """
    lines = [
        f"{server} does not answer: {answer.failure}"
        if answer.status is Status.FAILED
        else f"{server} answers in {span(t)}"
        for server, answer, t in asked
    ]
    times = [seconds for _, answer, seconds in asked if answer.status is not Status.FAILED]
    level = Level.OK if len(times) == len(asked) else Level.WARNING
    text = "; ".join(lines)
    if not times:
        level, text = Level.CRITICAL, f"no nameserver answers, so mail is not checked: {text}"
    elif silence:
        level = Level.WARNING
        text += f"; a worker has had no answer for {span(round(silence))}"
    elif errors:
        level = Level.WARNING
        text += f"; the workers have had only errors for {span(round(errors))}"
    fix = "" if level is Level.OK else selftest.FIX_ERRORS if times and errors else selftest.FIX
    return Part(
        name="resolver",
        level=level,
        text=text,
        fix=fix,
        short=f"{counted(len(times), 'nameserver')} answer{'s' if len(times) == 1 else ''}",
        data={
            "nameservers": [
                {
                    "address": server,
                    "answers": answer.status is not Status.FAILED,
                    "seconds": seconds,
                    "failure": answer.failure or None,
                }
                for server, answer, seconds in asked
            ],
            "silence": silence,
            "errors": errors,
        },
        gauges=(
            Gauge(label="nameservers", value=len(times), limits=f"{len(asked)}:;1:;0"),
            *([Gauge(label="dns", value=max(times), unit="s", limits=";;0")] if times else []),
        ),
    )


# -- deferral memory ---------------------------------------------------------------------------------------------------


def state(known: Known) -> Iterator[Part]:
    """Yield the part ``state``, if the INI file names a server for it."""
    settings = known.settings
    if settings is None or settings.state.url is None:
        return
    began = time.monotonic()
    reason = why_silent(settings.state.url)
    yield state_part(str(settings.state.url), reason, time.monotonic() - began)


def state_part(url: str, reason: str, seconds: float) -> Part:
    """Return how the server of ``[state] url`` stands; ``reason``: why it does not answer."""
    data = {"url": url, "answers": not reason, "seconds": seconds}
    if reason:
        text = f"{url} does not answer: {reason}; this host's own memory stands in"
        return Part(
            name="state", level=Level.WARNING, text=text, fix="look after this server, or [state] url", data=data
        )
    return Part(name="state", level=Level.OK, text=f"{url} answers in {span(seconds)}", data=data)


# -- pages -------------------------------------------------------------------------------------------------------------


def page(known: Known) -> Iterator[Part]:
    """Yield the part ``page``, if notices have links to the help page."""
    if known.settings is None or known.settings.reply.help_url is None:
        return
    listen = known.settings.web.listen
    reason, seconds = _fetched(listen, "/healthz", known.time_left(_HTTP_TIME))
    fix = "systemctl restart spfmilter-web; if another host serves the page: --without page"
    yield listener_part("page", f"the help page at {listen}", listen, reason, seconds, fix)


def metrics(known: Known) -> Iterator[Part]:
    """Yield the part ``metrics``, if the INI file asks for them."""
    if known.settings is None or not known.settings.metrics.listen:
        return
    listen = known.settings.metrics.listen
    reason, seconds = _fetched(listen, "/metrics", known.time_left(_HTTP_TIME))
    part = listener_part("metrics", f"the exporter at {listen}", listen, reason, seconds, _LOG)
    for process in known.snapshot.processes if known.snapshot is not None else ():
        if reason and process.name == "metrics exporter" and process.wanted and process.pid is None:
            part = workers.process_part("metrics", process, known.age)
    yield part


def listener_part(name: str, what: str, listen: str, reason: str, seconds: float, fix: str) -> Part:
    """Return how a page that this host serves stands; ``reason``: why it cannot be had."""
    data = {"address": listen, "answers": not reason, "seconds": seconds}
    if reason:
        return Part(name=name, level=Level.WARNING, text=f"{what} does not answer: {reason}", fix=fix, data=data)
    return Part(name=name, level=Level.OK, text=f"{what} answers in {span(seconds)}", data=data)


def _fetched(listen: str, path: str, limit: float) -> tuple[str, float]:
    """Return why a page cannot be had, empty if it can, and the seconds that it took."""
    place, began = nameserver(listen), time.monotonic()
    connection = http.client.HTTPConnection(reachable_host(place.address), place.port, timeout=limit)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        response.read(_PAGE)
        reason = "" if response.status == http.client.OK else f"it answers {response.status} {response.reason}"
    except TimeoutError:
        reason = f"no answer within {limit:.2g} s"
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return reason, time.monotonic() - began
