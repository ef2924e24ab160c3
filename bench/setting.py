"""What every benchmark is given: the tools, the source tree, the peers, and how long it may take."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.programs import Filter, Nameserver, Nothing, OtherFilter, PlainNothing, PyspfMilter, Spfmilter, Workshop


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """The circumstances of a run."""

    shop: Workshop
    tree: Path  # where spfmilter's sources are
    python: str  # the interpreter that runs them, with what they need
    quick: bool
    peers: Sequence[tuple[str, str]] = ()  # further filters: name, command
    workers: str = "auto"

    @property
    def rounds(self) -> int:
        """How often each filter has its turn; the median counts."""
        return 3 if self.quick else 5

    def seconds(self, quick: float, full: float) -> float:
        """How long a turn takes."""
        return quick if self.quick else full

    def spfmilter(self, server: Nameserver | str, *, workers: str = "", more: str = "") -> Spfmilter:
        """The filter that all this is about."""
        return Spfmilter(server, self.tree, python=self.python, workers=workers or self.workers, more=more)

    @contextmanager
    def filters(self, server: Nameserver, *, nothing: bool) -> Iterator[dict[str, Filter]]:
        """Ours and its peers, all running; those that are not under load cost nothing."""
        found: list[Filter] = [Nothing(self.shop), PlainNothing(self.shop)] if nothing else []
        found.append(self.spfmilter(server))
        if not PyspfMilter.missing():
            found.append(PyspfMilter(server))
        found += [OtherFilter(server, name, command) for name, command in self.peers]
        with ExitStack() as stack:
            yield {each.name: stack.enter_context(each) for each in found}


def ratios(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the rounds' ratios: what disturbs a round disturbs both."""
    return median(a / b for a, b in zip(over, under, strict=True))
