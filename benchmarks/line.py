"""The line of ten worker tasks that the peer benchmark runs, through our own SDK and on the engine alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from batuta_core.engine import catalog
from batuta_core.engine.catalog import no_javascript
from batuta_core.engine.start import StartRequest, start
from batuta_core.simulator.worker import Outcome, SdkWorker
from batuta_core.simulator.world import World

_CONCURRENT = 50
_WARM_S = 5.0
_OUTPUT = {"text": "x" * 400}


def definition(name: str, task: str) -> dict[str, Any]:
    tasks = [
        {"name": task, "taskReferenceName": f"t{n}", "type": "SIMPLE", "inputParameters": {"x": "${workflow.input.x}"}} for n in range(10)
    ]
    return {"name": name, "version": 1, "tasks": tasks}


def engine_alone(executions: int = 300) -> dict[str, Any]:
    """CPU ms a task of decider, engine and encodings, with ports in memory and a worker that costs nothing."""
    world = World(1)
    catalog.register_workflows(world.plain, "bench", [definition("line", "work")], no_javascript)
    done = [0]

    def behave(_message: object) -> Outcome:
        done[0] += 1
        return Outcome(output=_OUTPUT)

    SdkWorker(world, behave)
    began = time.process_time()
    for _ in range(executions):
        start(StartRequest(namespace="bench", name="line", input={"x": 1}), world.plain, no_javascript)
        world.run(limit_ms=1000)
    return {"cpu_ms_per_task": {"server": round((time.process_time() - began) * 1000 / done[0], 3)}, "tasks": done[0]}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def through_sdk(url: str, pids: dict[str, int], seconds: float) -> dict[str, Any]:
    """The same line, fifty executions at once, with a worker process of our SDK on SQS."""
    from batuta import Client

    client = Client(url=url)
    client.register_workflow(definition("sdk_line", "sdk_work"))
    worker = subprocess.Popen([sys.executable, "-m", "benchmarks.line_worker"], env={**os.environ, "BATUTA_URL": url})
    stop = threading.Event()
    ended: list[str] = []

    def feed() -> None:
        live: list[str] = []
        while not stop.is_set():
            live = [workflow_id for workflow_id in live if not _is_ended(client, workflow_id, ended)]
            live += [client.start("sdk_line", {"x": 1}) for _ in range(_CONCURRENT - len(live))]
            time.sleep(0.2)  # as often as the peer benchmark asks

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        time.sleep(_WARM_S)
        before, count, began = {name: cpu_s(pid) for name, pid in pids.items()}, len(ended), time.monotonic()
        worker_before = cpu_s(worker.pid)
        time.sleep(seconds)
        tasks, took_s = (len(ended) - count) * 10, time.monotonic() - began
        spent = {name: round((cpu_s(pid) - before[name]) * 1000 / max(tasks, 1), 2) for name, pid in pids.items()}
        worker_spent = round((cpu_s(worker.pid) - worker_before) * 1000 / max(tasks, 1), 2)
    finally:
        stop.set()
        feeder.join(30)
        worker.terminate()
        worker.wait(40)
    return {"tasks_per_s": round(tasks / took_s, 1), "cpu_ms_per_task": {**spent, "worker": worker_spent}, "tasks": tasks}


def _is_ended(client: Any, workflow_id: str, ended: list[str]) -> bool:
    if client.status(workflow_id).status == "RUNNING":
        return False
    ended.append(workflow_id)
    return True
