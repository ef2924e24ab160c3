"""Leave no log handler behind."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Leave the process's logging as it was."""
    before = logging.raiseExceptions
    yield
    logger = logging.getLogger("spfmilter")
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    logger.setLevel(logging.NOTSET)
    logger.propagate, logging.raiseExceptions = True, before
