"""Chaos on the deployed stack: ``python -m tests.e2e.chaos --seconds 120 --seed 1``. Exit 1 when something does not hold.

A stage is deployed on the emulator, with the faulty proxy (``faulty.py``) as the endpoint of its functions, its workers and its
client. Under a steady load of starts, processes are killed with SIGKILL: those that run the functions while they are at work, and
workers with tasks in hand. Then the faults stop, and within ``SETTLE_MAX_S`` everything that was accepted must have completed: what
a killed function had in hand comes again after FUNCTION_VISIBILITY_S, the tasks of a killed worker after TASK_VISIBILITY_S. What
must hold at the end is in ``chaos_judge.py``; besides, every journal is decided again, record by record.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from batuta import Client
from batuta.http import Request
from batuta.results import Execution
from batuta_core.engine.export import export
from batuta_core.engine.ports import FUNCTION_VISIBILITY_S, NullLog
from batuta_core.engine.replay import replay
from batuta_core.model.error import BatutaError
from batuta_core.model.names import DEFAULT_NAMESPACE, ExecutionId, resource_name
from batuta_server import layout
from batuta_server.aws.signature import Credentials
from batuta_server.bootstrap import connect, make_ports
from batuta_server.local.emulator import ACCOUNT, REGION
from batuta_server.settings import Settings
from tests.e2e.chaos_judge import Evidence, judge, read_effects, repeats
from tests.e2e.chaos_worker import REFS
from tests.e2e.cloud import ROOT, Cloud, Deployment, Key
from tests.e2e.faulty import FaultyProxy
from tests.e2e.signing import sign
from tests.shared import REPOSITORY

SETTLE_MAX_S = FUNCTION_VISIBILITY_S + 45
NAME = "chaos"
STAGE = "chaos"

_STARTERS = 2
_START_EVERY_S = 0.5  # each of them
_START_AGAIN_ONE_IN = 5  # keys that are used once more, after their start was accepted
_WORKERS = 2
_FUNCTION_KILL_EVERY_S = (1.5, 4.0)
_WORKER_KILL_EVERY_S = (5.0, 10.0)
_FUNCTIONS = ("decider", "decider", "api", "timers")  # as often as it is here, it is chosen
_BUSY_MAX_S = 2.0  # how long a kill waits for its victim to be at work
_READERS = 4
_PROBLEMS_SHOWN = 40
_LATEST_START_S = 60  # after the end of the faults


def definition() -> dict[str, object]:
    """A line, in which each task is given the accepted result of the one before."""
    given = ["${workflow.input.x}", *(f"${{{ref}.output.call}}" for ref in REFS)]
    tasks = [
        {"name": f"chaos_{ref}", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"x": x}}
        for ref, x in zip(REFS, given, strict=False)
    ]
    return {"name": NAME, "version": 1, "tasks": tasks, "outputParameters": {"call": given[-1]}}


def client_at(root: str, key: Key) -> Client:
    def signed(request: Request, url: str) -> Mapping[str, str]:
        return sign(request.method, url, request.body or b"", key)

    return Client(root, auth=signed)


# --- load


class Load:
    """Starts executions, each with a key of its own, and asks again until the start is accepted."""

    def __init__(self, client: Client, seed: int) -> None:
        self.answers: dict[str, set[str]] = {}
        self.problems: list[str] = []
        self._client = client
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._ending = threading.Event()
        self._end = 0.0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_STARTERS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._ending.wait(_START_EVERY_S):
            key = f"key-{next(self._numbers)}"
            self._start(key)
            if self._random.random() < 1 / _START_AGAIN_ONE_IN:
                self._start(key)

    def _start(self, key: str) -> None:
        while True:
            try:
                self.answers.setdefault(key, set()).add(self._client.start(NAME, {"x": key}, idempotency_key=key))
                return
            except BatutaError as error:
                if not error.retryable:
                    self.problems.append(f"{key}: the start was refused for good: {error!r}")
                    return
            if self._end and time.monotonic() > self._end:
                self.problems.append(f"{key}: nobody accepts the start")
                return
            time.sleep(0.1)

    def stop(self) -> None:
        """Lets the last start be accepted."""
        self._end = time.monotonic() + _LATEST_START_S
        self._ending.set()
        for thread in self._threads:
            thread.join(_LATEST_START_S + 60)


# --- workers and killers


class Workers:
    """Worker processes that are started again when they were killed. They end with this process."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.effects = folder / "effects"
        self.effects.mkdir()
        self.killed: set[int] = set()
        self.killed_at_work = 0
        self._environment = environment
        self._log = folder / "workers.log"
        self._running = [self._begin() for _ in range(_WORKERS)]

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.chaos_worker", str(self.effects)],
                cwd=REPOSITORY,
                env=dict(self._environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def kill_one(self, at: int) -> None:
        """In the middle of a task, if it gets one soon."""
        place = at % len(self._running)
        process = self._running[place]
        self.killed_at_work += _waits_until(lambda: self._has_task(process.pid))
        process.kill()
        self.killed.add(process.pid)
        _end(process)
        self._running[place] = self._begin()

    def _has_task(self, pid: int) -> bool:
        """Of the files that changed last."""
        newest = sorted(self.effects.iterdir(), key=_changed_ns, reverse=True)[:20]
        mark = f'"pid": {pid},'
        return any(sum(mark in line for line in path.read_text().splitlines()) % 2 for path in newest)

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        process.stdin.close()
    process.wait()


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


def function_processes(cloud: Cloud, stage: str, what: str) -> list[int]:
    """The processes of this emulator, and of no other, that run the function."""
    mark = f"{cloud.folder}/tmp/ministack-lambda-{resource_name(stage, what)}-".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # ended meanwhile
                pass
    return found


def kill_function(cloud: Cloud, stage: str, chance: random.Random) -> str:
    """Its name, or nothing when no process of it runs."""
    what = chance.choice(_FUNCTIONS)
    processes = function_processes(cloud, stage, what)
    if not processes:
        return ""
    victim = chance.choice(processes)
    _waits_until(_is_at_work(victim))
    time.sleep(chance.uniform(0, 0.02))  # not always at the beginning
    try:
        os.kill(victim, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return what


def _is_at_work(pid: int) -> Callable[[], bool]:
    """Whether it used its CPU since it was asked last: a process that waits for its next call does not."""
    before = [_run_ns(pid)]

    def look() -> bool:
        now = _run_ns(pid)
        is_busy, before[0] = now != before[0], now
        return is_busy

    return look


def _run_ns(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (OSError, IndexError):
        return 0


def _waits_until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + _BUSY_MAX_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return False


def every(between_s: tuple[float, float], action: Callable[[], None], chance: random.Random, ending: threading.Event) -> threading.Thread:
    def run() -> None:
        while not ending.wait(chance.uniform(*between_s)):
            action()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


# --- the run


class Chaos:
    """One run on a cloud of its own."""

    def __init__(self, cloud: Cloud, proxy: FaultyProxy, seed: int) -> None:
        self._proxy = proxy
        self._cloud = cloud
        self._seed = seed
        self._stage = Deployment(cloud, STAGE)
        self.function_kills: Counter[str] = Counter()
        self.settled_s = 0.0
        self.line = ""

    def deploy(self) -> None:
        assembly = self._stage.synth(endpoint_url=self._proxy.url)
        self._stage.bootstrap(assembly)
        self._stage.deploy(assembly)
        url = f"{self._proxy.url}{self._stage.path}"
        self._cloud.client("ssm").put_parameter(Name=f"/batuta/{STAGE}/url", Value=url, Type="String", Overwrite=True)
        self._client = client_at(url, self._stage.client_key())
        self._client.register_workflow(definition())

    def run(self, seconds: float) -> list[str]:
        """What is wrong. ``line`` tells of the run then."""
        environment = self._cloud.environment(self._stage.worker_key(), BATUTA_STAGE=STAGE, AWS_ENDPOINT_URL=self._proxy.url)
        workers = Workers(environment, self._cloud.folder)
        try:
            load = self._storm(workers, seconds)
            ids = sorted({workflow_id for answers in load.answers.values() for workflow_id in answers})
            self._settle(ids)
            # What is left on the task queues now are repeats, which workers drop or run: their side effects count, too.
            evidence = self._evidence(load, ids, workers)
        finally:
            workers.stop()
        problems = [*load.problems, *judge(evidence), *self._not_as_decided(ids), *self._too_quiet(workers)]
        self.line = self._line(evidence, workers)
        return problems

    def _storm(self, workers: Workers, seconds: float) -> Load:
        chance = random.Random(self._seed)
        ending = threading.Event()
        load = Load(self._client, self._seed)
        self._proxy.is_on = True
        killers = [
            every(_FUNCTION_KILL_EVERY_S, lambda: self._kill_function(chance), chance, ending),
            every(_WORKER_KILL_EVERY_S, lambda: workers.kill_one(chance.randrange(_WORKERS)), chance, ending),
        ]
        time.sleep(seconds)
        ending.set()
        for killer in killers:
            killer.join(30)
        self._proxy.is_on = False
        load.stop()
        return load

    def _kill_function(self, chance: random.Random) -> None:
        if what := kill_function(self._cloud, STAGE, chance):
            self.function_kills[what] += 1

    def _settle(self, ids: list[str]) -> None:
        """Returns when all have ended, or at the latest after SETTLE_MAX_S: the judge sees who has not."""
        began = time.monotonic()
        for workflow_id in ids:
            while True:
                try:
                    if self._client.status(workflow_id).status != "RUNNING":
                        break
                except BatutaError:  # lost: the judge says so
                    break
                self.settled_s = time.monotonic() - began
                if self.settled_s > SETTLE_MAX_S:
                    return
                time.sleep(0.2)
        self.settled_s = time.monotonic() - began

    def _evidence(self, load: Load, ids: list[str], workers: Workers) -> Evidence:
        def read(workflow_id: str) -> Execution | None:
            try:
                return self._client.get(workflow_id)
            except BatutaError:
                return None

        with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
            executions = [found for found in pool.map(read, ids) if found is not None]
        return Evidence(
            answers=load.answers,
            listed=[summary.workflow_id for summary in self._client.iterate_executions(NAME)],
            executions={execution.workflow_id: execution for execution in executions},
            effects=read_effects(workers.effects),
            deliveries=self._proxy.deliveries,
            killed=workers.killed,
        )

    def _not_as_decided(self, ids: list[str]) -> list[str]:
        """Journals with a gap, or that the decider makes otherwise of the same events."""
        settings = Settings(
            stage=STAGE,
            region=REGION,
            bucket=layout.bucket_name(STAGE, ACCOUNT, REGION),
            token_keys=(b"none-is-made-or-verified",),
            is_local=True,
            endpoint_url=self._cloud.endpoint,
        )
        ports = make_ports(settings, connect(settings, Credentials(ROOT.id, ROOT.secret)), NullLog())
        problems = []
        for workflow_id in ids:
            try:
                exported = export(ports, ExecutionId(DEFAULT_NAMESPACE, workflow_id))
            except BatutaError as error:
                problems.append(f"{workflow_id}: its journal cannot be read: {error!r}")
                continue
            numbers = [record.seq for record in exported.records]
            if numbers != list(range(1, len(numbers) + 1)):
                problems.append(f"{workflow_id}: records {numbers}")
            elif difference := replay(exported):
                problems.append(f"{workflow_id}: decided again, record {difference.expected.seq} comes out otherwise")
        return problems

    def _too_quiet(self, workers: Workers) -> list[str]:
        """A run in which nothing happened proves nothing."""
        missing = [
            kind for kind in ("throttle", "drop_request", "drop_reply", "repeat_send", "repeat_receive") if not self._proxy.faults[kind]
        ]
        if missing or not self.function_kills or not workers.killed_at_work:
            return [f"too quiet: no {', '.join(missing)}; kills {dict(self.function_kills)}, of workers at work {workers.killed_at_work}"]
        return []

    def _line(self, evidence: Evidence, workers: Workers) -> str:
        again = repeats(evidence)
        attempts = [task for execution in evidence.executions.values() for task in execution.tasks if task.ref in REFS]
        calls = sum(len(effects.calls) for effects in evidence.effects.values())
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self._proxy.faults.items()))
        kills = ", ".join(f"{what} {count}" for what, count in sorted(self.function_kills.items()))
        batches = self._cloud.log.read_text(errors="replace").count("failed processing SQS batch")
        return (
            f"{len(evidence.executions)} executions, {sum(task.status == 'COMPLETED' for task in attempts)} tasks, "
            f"{len(attempts)} attempts, {calls} side effects "
            f"({again.of_killed} again after a kill, {again.of_deliveries} after a delivery); "
            f"faults in {sum(self._proxy.calls.values())} calls: {faults}; "
            f"kills: {kills} ({batches} batches cut off), workers {len(workers.killed)} ({workers.killed_at_work} in mid-task); "
            f"settled in {self.settled_s:.0f} s; seed {self._seed}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        cloud = Cloud()
    except pytest.skip.Exception as missing:
        print(missing)
        return 0
    try:
        with FaultyProxy(cloud.endpoint, options.seed) as proxy:
            chaos = Chaos(cloud, proxy, options.seed)
            chaos.deploy()
            problems = chaos.run(options.seconds)
    finally:
        cloud.stop()
    for problem in problems[:_PROBLEMS_SHOWN]:
        print(f"  {problem}")
    print(f"chaos: {f'{len(problems)} THINGS DO NOT HOLD' if problems else 'all holds'}: {chaos.line}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
