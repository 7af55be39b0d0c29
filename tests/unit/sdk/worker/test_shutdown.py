"""Stopping: no new tasks, time for those that run, the rest handed back; and what signals do to a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.sdk.memory import FAST, STAGE, MemoryQueues, until, working
from tests.unit.sdk.worker import heavy
from tests.unit.sdk.worker.functions import Gate, add

from batuta import TaskContext, Worker, task
from batuta.worker.processes import Children
from batuta_core.model.error import Unavailable
from batuta_core.model.event import TaskHandedBack
from batuta_core.model.execution import TaskStatus


def test_unfinished_tasks_get_their_time(queues: MemoryQueues) -> None:
    @task("slow")
    def slow() -> str:
        time.sleep(0.05)
        return "done"

    queues.put("slow")
    with working(slow, queues=queues) as worker:
        until(lambda: worker.health().in_progress == 1)
        worker.stop()
        assert queues.left() == 0
    assert queues.results()[0].output == {"result": "done"}
    assert queues.events(TaskHandedBack) == []


def test_what_does_not_finish_is_handed_back_at_once_and_its_result_dropped(queues: MemoryQueues) -> None:
    gate = Gate()
    ended: list[str] = []

    @task("coroutine")
    async def coroutine() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cancelled")

    message = queues.put("gated")
    queues.put("coroutine")
    queues.put("sleep")
    with working(gate.function(), coroutine, heavy.sleep, queues=queues, graceful_shutdown_s=0.05) as worker:
        until(lambda: worker.health().in_progress == 3)
        until(lambda: gate.entered["gated"])
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 3
        assert worker.health().state == "stopped"
        gate.opened.set()
    assert ended == ["cancelled"]
    assert queues.results() == []
    assert [queues.visible(name) for name in ("gated", "coroutine", "sleep")] == [1, 1, 1]
    back = queues.events(TaskHandedBack)
    assert len({event.place for event in back}) == 3
    assert message.place in {event.place for event in back}
    assert {event.worker_id for event in back} == {"w1"}
    names = [name for name, _queue, _number in queues.calls if name in ("send", "release")]
    assert names.index("send") < names.index("release")  # the server first: it discounts the receive


def test_the_function_learns_that_the_worker_stops(queues: MemoryQueues) -> None:
    said: list[str] = []

    @task("watch")
    def watch(context: TaskContext) -> str:
        while not context.is_cancelled:
            time.sleep(0.001)
        said.append(context.cancelled_because)
        return "half of it"

    queues.put("watch")
    with working(watch, queues=queues, graceful_shutdown_s=0.02) as worker:
        until(lambda: worker.health().in_progress == 1)
        worker.stop()
        until(lambda: said)
    assert said == ["the worker stops"]
    assert queues.results() == []


def test_a_poll_in_flight_ends_and_what_it_brings_is_handed_back(queues: MemoryQueues) -> None:
    queues = MemoryQueues(wait_unit_s=0.05)  # a poll takes half a second
    queues.ensure("add")
    with working(add, queues=queues) as worker:
        until(lambda: queues.polling == 1)
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        until(lambda: worker.health().state == "stopping")
        queues.put("add", {"a": 1})
        stopping.join(10)
        assert not stopping.is_alive()
    assert [queue for name, queue, _number in queues.calls if name == "receive" and queue == queues.ensure("add")] == [queues.ensure("add")]
    assert queues.results() == []
    assert len(queues.events(TaskHandedBack)) == 1
    assert queues.visible("add") == 1


def test_results_on_their_way_still_arrive_when_the_time_is_over(queues: MemoryQueues) -> None:
    trouble = True
    queues.before = lambda call, _queue, _items: _unavailable() if call == "send" and trouble else None
    queues.put("add", {"a": 1})
    with working(add, queues=queues, graceful_shutdown_s=0.02) as worker:
        until(lambda: queues.count("send") >= 2)
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        time.sleep(0.05)
        trouble = False
        stopping.join(10)
    assert [result.status for result in queues.results()] == [TaskStatus.COMPLETED]
    assert queues.left() == 0


def test_a_worker_that_cannot_reach_its_queues_still_ends(queues: MemoryQueues) -> None:
    gate = Gate()
    queues.put("gated")
    queues.put("add", {"a": 1})
    with working(gate.function(), add, queues=queues, graceful_shutdown_s=0.02) as worker:
        until(lambda: gate.entered["gated"])
        queues.before = lambda _call, _queue, _items: _unavailable()
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < 5
        gate.opened.set()


def _unavailable() -> None:
    raise Unavailable("no network")


def test_every_receive_that_is_handed_back_is_a_word_to_the_server(queues: MemoryQueues) -> None:
    """Five receives without one would be five lost leases. A last poll may meet what has just been handed back: it counts, too."""
    queue = queues.ensure("gated")
    queues.simulated._queues[queue].max_receives = 0
    queues.put("gated")
    for _ in range(7):
        gate = Gate()
        with working(gate.function(), queues=queues, graceful_shutdown_s=0.0) as worker:
            until(lambda gate=gate: gate.entered["gated"])
            worker.stop()
            gate.opened.set()
        assert queues.visible("gated") == 1
        (message,) = queues.simulated._queues[queue].messages.values()
        assert len(queues.events(TaskHandedBack)) == message.receives
    assert len({event.op for event in queues.events(TaskHandedBack)}) >= 7  # none is dropped as a repeat of another


def test_stopping_twice_or_never_started_is_fine(queues: MemoryQueues) -> None:
    worker = Worker(add, queues=queues, stage=STAGE, timing=FAST)
    worker.stop()
    assert worker.health().state == "stopped"
    with working(add, queues=queues) as worker:
        worker.stop()
        worker.stop()


def test_inside_an_application_coroutines_run_on_its_loop(queues: MemoryQueues) -> None:
    loops: list[Any] = []

    @task("where")
    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> None:
        queues.put("where")
        async with Worker(where, queues=queues, stage=STAGE, timing=FAST) as worker:
            while not queues.results():
                await asyncio.sleep(0.001)
            assert worker.health().is_healthy
            assert loops == [asyncio.get_running_loop()]
        assert worker.health().state == "stopped"

    asyncio.run(main())


def test_leaving_the_block_lets_coroutines_finish(queues: MemoryQueues) -> None:
    @task("slow")
    async def slow() -> str:
        await asyncio.sleep(0.05)
        return "done"

    async def main() -> None:
        queues.put("slow")
        async with Worker(slow, queues=queues, stage=STAGE, timing=FAST) as worker:
            while not worker.health().in_progress:
                await asyncio.sleep(0.001)

    asyncio.run(main())
    assert queues.results()[0].output == {"result": "done"}


def test_no_threads_or_processes_are_left_behind(queues: MemoryQueues) -> None:
    before = Counter(thread.name for thread in threading.enumerate())
    queues.put("add", {"a": 1})
    queues.put("square", {"number": 2})

    @task("co")
    async def co() -> None: ...

    queues.put("co")
    with working(add, heavy.square, co, queues=queues):
        until(lambda: len(queues.results()) == 3)
    until(lambda: not Counter(thread.name for thread in threading.enumerate()) - before)


def test_run_outside_the_main_thread_installs_no_handlers_and_ends_with_stop(queues: MemoryQueues) -> None:
    before = signal.getsignal(signal.SIGTERM)
    worker = Worker(add, queues=queues, stage=STAGE, timing=FAST)
    thread = threading.Thread(target=worker.run)
    thread.start()
    until(lambda: worker.health().is_healthy)
    assert signal.getsignal(signal.SIGTERM) is before
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_an_error_of_our_own_ends_run_with_it(queues: MemoryQueues, monkeypatch: pytest.MonkeyPatch) -> None:
    from batuta.worker import poller

    async def explode(self: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(poller.Poller, "run", explode)
    worker = Worker(add, queues=queues, stage=STAGE, timing=FAST)
    with pytest.raises(RuntimeError, match="ended in an error of its own") as raised:
        worker.run()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


# --- signals, in a process of its own

PROGRAM = Path(__file__).with_name("signalled.py")


class Program:
    """The worker of ``signalled.py``; it writes what happens line by line."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.sdk.worker.signalled", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=PROGRAM.parents[4],
        )  # fmt: skip
        self.lines: list[str] = []

    def read_until(self, part: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if part in line:
                return
        raise AssertionError(f"{part!r} never came: {self.lines}")

    def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += [line.strip() for line in self.process.stdout]
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_lets_the_worker_finish_and_hand_back(number: signal.Signals) -> None:
    program = Program("0.2")
    program.read_until("begun 2")
    program.process.send_signal(number)
    assert program.end() == 0, program.lines
    assert "completed 1" in program.lines  # the one that takes a tenth of a second
    assert "handed back 1" in program.lines  # the one that takes a minute
    assert "run() returned" in program.lines


def test_the_second_signal_ends_it_now() -> None:
    program = Program("60")
    program.read_until("begun 2")
    program.process.send_signal(signal.SIGTERM)
    program.read_until("stopping")
    began = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    assert program.end() == 128 + signal.SIGTERM, program.lines
    assert time.monotonic() - began < 5
    assert "run() returned" not in program.lines


def test_children_do_not_outlive_the_process() -> None:
    children = Children()
    assert children._idle == []
    program = Program("60", "process")
    program.read_until("begun 2")
    program.read_until("child ")
    child = int(program.lines[-1].split()[1])
    program.process.kill()
    program.end()
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2])
