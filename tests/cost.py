"""What an attacker can make us compute, in CPU time: the measure of the tests about it."""

import time
from collections.abc import Callable

# Seconds. The aim is 20 ms for any untrusted input (docs: the numbers to reach); the tests allow more, because
# the machine may be shared and slow.
ALLOWED = 0.25


def cpu(action: Callable[[], object]) -> float:
    """Seconds of CPU: the best of three, so that a neighbour's noise does not count."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        action()
        spent.append(time.process_time() - start)
    return min(spent)
