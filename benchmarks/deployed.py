"""The deployed stack on the emulator: tasks per second of many lines of ten at once, the step from task to task of one alone.

Everything is as a user has it: the stage as CDK deploys it, real function processes, IAM enforced, the SDK's worker on the worker
policy. How the executions fare is read from what the worker writes down, not asked of the API, so that the load is the load alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cloud import Cloud, Deployment, Key
from tests.e2e.signing import sign

from batuta import Client
from batuta.http import Request
from benchmarks import report
from benchmarks.deployed_worker import TASK
from benchmarks.line import cpu_s, definition

STAGE = "bench"
NAME = "deployed_line"
CONCURRENT = 50
TASKS = 10
LAST = f"t{TASKS - 1}"
_WARM_S = 6.0
_WARM_EXECUTIONS = 3
_DRAIN_MAX_S = 60.0
_ALONE_MAX_S = 20.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Call:
    workflow_id: str
    ref: str
    began_ns: int
    ended_ns: int


class Ledger:
    """What the worker has written, read on from where the last look ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[Call] = []
        self._at = 0

    def look(self) -> list[Call]:
        """The new ones."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._at)
            read = file.read()
        whole = read[: read.rfind(b"\n") + 1]
        self._at += len(whole)
        rows = [row.split() for row in whole.decode().splitlines()]
        new = [Call(row[0], row[1], int(row[2]), int(row[3])) for row in rows]
        self.calls += new
        return new


class Processes:
    """CPU seconds so far: of the emulator, of our functions in it, of our worker, of the load (this process)."""

    def __init__(self, cloud: Cloud, worker_pid: int) -> None:
        self._mark = f"{cloud.folder}/tmp/ministack-lambda-".encode()
        self._worker_pid = worker_pid

    def cpu_s(self) -> dict[str, float]:
        functions = self._with(self._mark)
        emulators = {int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]) for pid in functions}  # their parent
        return {
            "emulator": sum(cpu_s(pid) for pid in emulators),
            "functions": sum(cpu_s(pid) for pid in functions),
            "worker": cpu_s(self._worker_pid),
            "load": cpu_s(os.getpid()),
        }

    def _with(self, mark: bytes) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile
                pass
        return found


@contextmanager
def deployed() -> Iterator[tuple[Client, Ledger, Processes]]:
    cloud = Cloud()
    worker: subprocess.Popen[bytes] | None = None
    try:
        stage = Deployment(cloud, STAGE)
        assembly = stage.synth()
        stage.bootstrap(assembly)
        stage.deploy(assembly)
        client = _client(stage.url, stage.client_key())
        client.register_workflow(definition(NAME, TASK))
        ledger = Ledger(cloud.folder / "ledger")
        environment = cloud.environment(stage.worker_key(), BATUTA_STAGE=STAGE)
        command = [sys.executable, "-m", "benchmarks.deployed_worker", str(ledger.path)]
        with (cloud.folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        yield client, ledger, Processes(cloud, worker.pid)
    finally:
        if worker is not None:
            worker.kill()
            worker.wait()
        cloud.stop()


def _client(url: str, key: Key) -> Client:
    def signed(request: Request, target: str) -> Mapping[str, str]:
        return sign(request.method, target, request.body or b"", key)

    return Client(url, auth=signed)


def throughput(client: Client, ledger: Ledger, processes: Processes, seconds: float) -> dict[str, Any]:
    """Fifty executions at once; when one ends, another begins."""
    started = 0
    ended = 0

    def feed(until: float) -> None:
        nonlocal started, ended
        while time.monotonic() < until:
            ended += sum(call.ref == LAST for call in ledger.look())
            if started - ended < CONCURRENT:
                client.start(NAME, {"x": 1})
                started += 1
            else:
                time.sleep(_LOOK_EVERY_S)

    feed(time.monotonic() + _WARM_S)
    count, before, began = len(ledger.calls), processes.cpu_s(), time.monotonic()
    feed(began + seconds)
    took_s = time.monotonic() - began
    tasks, spent = len(ledger.calls) - count, _less(processes.cpu_s(), before)
    end = time.monotonic() + _DRAIN_MAX_S
    while ended < started and time.monotonic() < end:
        ended += sum(call.ref == LAST for call in ledger.look())
        time.sleep(_LOOK_EVERY_S)
    return {
        "tasks_per_s": round(tasks / took_s, 1),
        "tasks": tasks,
        "executions_at_once": CONCURRENT,
        "cpu_ms_per_task": _per_task(spent, tasks),
        "share_of_cores": _shares(spent, took_s * (os.cpu_count() or 1)),
    }


def alone(client: Client, ledger: Ledger, processes: Processes, seconds: float) -> dict[str, Any]:
    """One execution after the other, none beside it."""
    for _ in range(_WARM_EXECUTIONS):
        _run_one(client, ledger)
    before, ids, took_s = processes.cpu_s(), [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        ids.append(_run_one(client, ledger))
        took_s.append(time.monotonic() - began)
    spent = _less(processes.cpu_s(), before)
    steps, nexts = _steps(ledger.calls, ids), _from_accepted(client, ledger.calls, ids)
    return {
        "accepted_to_next_ms_p50": _at(nexts, 0.5),
        "accepted_to_next_ms_p99": _at(nexts, 0.99),
        "step_ms_p50": _at(steps, 0.5),
        "step_ms_p99": _at(steps, 0.99),
        "execution_ms_p50": round(statistics.median(took_s) * 1000, 1),
        "steps": len(steps),
        "cpu_ms_per_task": _per_task(spent, len(ids) * TASKS),
        "share_of_wall": _shares(spent, sum(took_s)),
    }


def _run_one(client: Client, ledger: Ledger) -> str:
    workflow_id = client.start(NAME, {"x": 1})
    end = time.monotonic() + _ALONE_MAX_S
    while not any(call.workflow_id == workflow_id and call.ref == LAST for call in ledger.look()):
        if time.monotonic() > end:
            sys.exit(f"bench-deployed: an execution did not end within {_ALONE_MAX_S} s")
        time.sleep(_LOOK_EVERY_S / 4)
    return workflow_id


def _steps(calls: Sequence[Call], ids: Sequence[str]) -> list[float]:
    """ms from a function's return to the next one's beginning."""
    found = {(call.workflow_id, call.ref): call for call in calls}
    return [
        (found[workflow_id, f"t{n + 1}"].began_ns - found[workflow_id, f"t{n}"].ended_ns) / 1e6
        for workflow_id in ids
        for n in range(TASKS - 1)
    ]


def _from_accepted(client: Client, calls: Sequence[Call], ids: Sequence[str]) -> list[float]:
    """ms from the decision that accepted a result, by the journal's time in whole ms, to the next function's beginning."""
    began = {(call.workflow_id, call.ref): call.began_ns / 1e6 for call in calls}
    found = []
    for workflow_id in ids:
        accepted = {task.ref: task.ended_ms for task in client.get(workflow_id).tasks}
        found += [began[workflow_id, f"t{n + 1}"] - accepted[f"t{n}"] for n in range(TASKS - 1)]
    return found


def _less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in after.items()}


def _per_task(spent: Mapping[str, float], tasks: int) -> dict[str, float]:
    return {name: round(value * 1000 / max(tasks, 1), 2) for name, value in spent.items()}


def _shares(spent: Mapping[str, float], whole_s: float) -> dict[str, float]:
    """Of ``whole_s``. What nobody computed was waiting: for ticks and sleeps of the emulator, and for a core."""
    emulator, ours = spent["emulator"] / whole_s, (spent["functions"] + spent["worker"]) / whole_s
    return {"emulator": round(emulator, 3), "ours": round(ours, 3), "waiting": round(max(1 - emulator - ours, 0), 3)}


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the two parts")
    options = parser.parse_args()
    with deployed() as (client, ledger, processes):
        one = alone(client, ledger, processes, options.seconds)
        many = throughput(client, ledger, processes, options.seconds)
    rows = [
        {
            "": name,
            "tasks/s": found.get("tasks_per_s", ""),
            "step ms p50": found.get("step_ms_p50", ""),
            "p99": found.get("step_ms_p99", ""),
            "accepted to next ms p50": found.get("accepted_to_next_ms_p50", ""),
            "p99 ": found.get("accepted_to_next_ms_p99", ""),
            **{f"{who} CPU ms/task": value for who, value in found["cpu_ms_per_task"].items()},
            **(found.get("share_of_wall") or found["share_of_cores"]),
        }
        for name, found in (("one alone", one), (f"{CONCURRENT} at once", many))
    ]
    print(report.table(rows))
    report.write("deployed", {"alone": one, "many": many})


if __name__ == "__main__":
    main()
