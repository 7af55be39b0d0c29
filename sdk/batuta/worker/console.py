"""The worker's log lines on the console of a program that has configured no logging: else it would run without a word."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def visible_log() -> Iterator[None]:
    """While it lasts, lines of level INFO and above go to the standard error; a level that was set stays. Does nothing where the
    lines go somewhere already."""
    logger = logging.getLogger("batuta")
    if logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LINE))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(level or logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
