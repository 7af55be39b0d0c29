"""A worker run as a program says what it does, unless the program's own logging does."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues

from batuta import Worker, task
from batuta.worker.console import visible_log

LOGGER = logging.getLogger("batuta")


@contextmanager
def root_handlers(*handlers: logging.Handler) -> Iterator[None]:
    """These instead of pytest's own: none, as in a fresh interpreter."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, list(handlers)
    try:
        yield
    finally:
        root.handlers = before
    assert LOGGER.handlers == []


def test_lines_are_visible_while_it_lasts(capsys: pytest.CaptureFixture[str]) -> None:
    with root_handlers(), visible_log():
        logging.getLogger("batuta.worker").info("a line")
        logging.getLogger("batuta.worker").debug("a detail")
        logging.getLogger("elsewhere").info("not ours")
    logging.getLogger("batuta.worker").info("later")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO batuta.worker: a line")
    assert LOGGER.level == logging.NOTSET


def test_what_an_application_has_configured_stays(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOGGER, "level", logging.ERROR)
    with root_handlers(), visible_log():
        LOGGER.warning("a line")
        assert LOGGER.level == logging.ERROR
    with root_handlers(logging.NullHandler()), visible_log():
        LOGGER.error("a line")
    assert capsys.readouterr().err == ""


PROGRAM = """
import threading, time
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues
from batuta import Worker, task

ship = task("ship_order", namespace="shop")(lambda: None)
worker = Worker(task("charge_card")(lambda: None), ship, queues=MemoryQueues(), stage=STAGE, timing=FAST, worker_id="w1",
                endpoint="http://127.0.0.1:1")


def stop() -> None:
    while not worker.health().is_healthy:
        time.sleep(0.001)
    time.sleep(0.05)
    worker.stop()


threading.Thread(target=stop).start()
worker.run()
"""


def test_a_program_without_logging_sees_its_worker_begin_and_stop() -> None:
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    lines = [line.partition("batuta.worker: ")[2] for line in found.stderr.splitlines()]
    place = f"stage {STAGE}, SQS at http://127.0.0.1:1"
    assert f"worker w1 serves charge_card in namespace default; ship_order in namespace shop; {place}" in lines
    assert "worker w1 stops" in lines


def test_inside_an_application_start_adds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    worker = Worker(task("add")(lambda: None), queues=MemoryQueues(), stage=STAGE, timing=FAST, endpoint="http://127.0.0.1:1")
    with root_handlers():
        worker.start()
        assert LOGGER.handlers == []
        worker.stop()
    assert "serves" not in capsys.readouterr().err
