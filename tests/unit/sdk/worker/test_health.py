"""The probe: what it says, and when it says no."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, PATIENCE_S, STAGE, MemoryQueues, until, working
from tests.unit.sdk.worker.functions import Gate, add

from batuta import Worker
from batuta.worker.service import Service
from batuta_core.model.error import Unavailable


def probe(port: int) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_worker_that_works_is_healthy_and_says_when_it_last_polled() -> None:
    queues = MemoryQueues()
    queue = queues.ensure("add")
    with working(add, queues=queues, health_port=0) as worker:
        assert worker.health_port is not None
        until(lambda: worker.health().queues[queue].last_poll_age_s is not None)
        status, body = probe(worker.health_port)
        assert (status, body["is_healthy"], body["state"], body["in_progress"]) == (200, True, "running", 0)
        assert 0 <= body["queues"][queue]["last_poll_age_s"] < 5
        assert body["queues"][queue]["error"] is None
    assert worker.health_port is None


def test_polls_that_fail_for_long_make_it_unhealthy_and_one_that_succeeds_mends_it() -> None:
    queues = MemoryQueues()
    queue = queues.ensure("add")
    is_broken = True

    def trouble(call: str, _queue: str, _items: Any) -> None:
        if call == "receive" and is_broken:
            raise Unavailable("credentials have expired")

    queues.before = trouble
    with working(add, queues=queues, health_port=0, timing=replace(FAST, unhealthy_after_s=0.05)) as worker:
        until(lambda: not worker.health().is_healthy)
        status, body = probe(worker.health_port or 0)
        assert (status, body["queues"][queue]["error"]) == (503, "credentials have expired")
        is_broken = False
        until(lambda: worker.health().is_healthy)


def test_a_queue_that_does_not_exist_yet_is_no_illness() -> None:
    queues = MemoryQueues()
    with working(add, queues=queues, timing=replace(FAST, unhealthy_after_s=0.001)) as worker:
        found = until(lambda: [health for health in worker.health().queues.values() if health.error])
        assert "does not exist" in found[0].error
        assert worker.health().is_healthy


def test_a_worker_whose_places_are_all_taken_is_healthy() -> None:
    queues = MemoryQueues()
    gate = Gate()
    queues.put("gated")
    with working(gate.function(), queues=queues, max_in_progress=1, timing=replace(FAST, unhealthy_after_s=0.01)) as worker:
        until(lambda: gate.entered["gated"])
        found = worker.health()
        assert (found.is_healthy, found.in_progress) == (True, 1)
        gate.opened.set()


def test_a_port_that_is_taken_ends_the_start_and_a_stop_does_not_hang() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        worker = Worker(add, queues=MemoryQueues(), stage=STAGE, timing=FAST, health_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            worker.start()
    assert (worker.health().is_healthy, worker.health().state) == (False, "stopped")
    stopping = threading.Thread(target=worker.stop, daemon=True)
    stopping.start()
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()


def test_a_start_that_fails_late_leaves_no_health_server_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(self: Service) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Service, "start", explode)
    worker = Worker(add, queues=MemoryQueues(), stage=STAGE, timing=FAST, health_port=0)
    with pytest.raises(RuntimeError, match="new thread"):
        worker.start()
    worker.stop()
    assert (worker.health_port, worker.health().state) == (None, "stopped")


def test_a_stopped_worker_is_not() -> None:
    queues = MemoryQueues()
    with working(add, queues=queues) as worker:
        pass
    assert not worker.health().is_healthy
    assert worker.health().to_dict() == {"is_healthy": False, "state": "stopped", "in_progress": 0, "queues": {}}
