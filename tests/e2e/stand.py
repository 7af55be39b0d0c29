"""What tests do with a stage: call it, start processes that work for it, change grants, read logs."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batuta import Client
from batuta.results import Execution
from batuta_core.model.names import resource_name
from infra.bundle import find_python
from infra.names import log_group_name
from infra.parameters import X86_64, StageParameters
from tests.e2e.cloud import Cloud, Deployment, Key
from tests.e2e.signing import sign
from tests.shared import REPOSITORY


def until(condition: Callable[[], Any], timeout_s: float = 30, every_s: float = 0.1) -> Any:
    """What ``condition`` gives once it is true."""
    end = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < end, f"not within {timeout_s} s"
        time.sleep(every_s)


# --- over HTTP


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def call(deployment: Deployment, key: Key | None, method: str, path: str, body: Any = None) -> Answer:
    """A request as it is, signed if there is a key."""
    data = b"" if body is None else json.dumps(body).encode()
    url = f"{deployment.url}{path}"
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers = sign(method, url, data, key, headers)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, data, headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.read().decode())
    finally:
        connection.close()


def line_of(name: str, *refs: str, **task_input: Any) -> dict[str, Any]:
    """A definition: tasks one after another, each of a type of its own, ``<name>_<ref>``."""
    tasks = [
        {"name": f"{name}_{ref}", "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"x": "${workflow.input.x}", **task_input}}
        for ref in refs
    ]
    return {"name": name, "version": 1, "tasks": tasks}


def completed(client: Client, workflow_id: str, timeout_s: float = 30) -> Execution:
    def look() -> Execution | None:
        found = client.get(workflow_id)
        return found if found.status.is_terminal else None

    found: Execution = until(look, timeout_s)
    assert found.status == "COMPLETED", found
    return found


# --- worker processes


class Workers:
    """Starts worker processes with a key and the stage's name, and nothing else. They end with this process."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._begun: list[subprocess.Popen[bytes]] = []
        self.ledger = cloud.folder / f"ledger-{time.monotonic_ns()}"

    def script(self, deployment: Deployment, key: Key, script: str) -> subprocess.Popen[bytes]:
        return self._start(deployment, key, "tests.e2e.under", script)

    def of(self, deployment: Deployment, key: Key, *task_types: str) -> subprocess.Popen[bytes]:
        return self._start(deployment, key, "tests.e2e.tasks", str(self.ledger), *task_types)

    def _start(self, deployment: Deployment, key: Key, *arguments: str) -> subprocess.Popen[bytes]:
        environment = self._cloud.environment(key, BATUTA_STAGE=deployment.stage)
        command = [sys.executable, "-m", *arguments]
        log = (self._cloud.folder / f"worker-{len(self._begun)}.log").open("ab")
        with log:
            process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self._begun.append(process)
        return process

    def calls(self) -> list[tuple[str, str, int, int]]:
        """The ledger: workflow id, reference name, attempt, process id."""
        if not self.ledger.exists():
            return []
        rows = [row.split() for row in self.ledger.read_text().splitlines()]
        return [(row[0], row[1], int(row[2]), int(row[3])) for row in rows]

    def repeats(self) -> Mapping[tuple[str, str, int], int]:
        """Attempts whose side effect happened more than once."""
        return {what: count for what, count in Counter(row[:3] for row in self.calls()).items() if count > 1}

    def stop(self) -> None:
        for process in self._begun:
            process.kill()
            if process.stdin:
                process.stdin.close()
            process.wait()


# --- roles


@contextmanager
def without(cloud: Cloud, role: str, action: str, resource: str) -> Iterator[None]:
    """As long as it lasts, the role may not do ``action`` on resources whose ARNs hold ``resource``."""
    iam = cloud.client("iam")
    document = iam.get_role_policy(RoleName=role, PolicyName="batuta")["PolicyDocument"]
    taken = 0

    def less(statement: Mapping[str, Any]) -> dict[str, Any] | None:
        nonlocal taken
        actions = _list(statement["Action"])
        kept = [item for item in actions if item not in (action, f"{action}Batch")]
        if kept == actions or not any(resource in item for item in _list(statement["Resource"])):
            return dict(statement)
        taken += 1
        return {**statement, "Action": kept} if kept else None

    changed = {**document, "Statement": [kept for item in document["Statement"] if (kept := less(item))]}
    assert taken, f"{role} has no {action} on {resource}: {document}"
    iam.put_role_policy(RoleName=role, PolicyName="batuta", PolicyDocument=json.dumps(changed))
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="batuta", PolicyDocument=json.dumps(document))


def role_of(deployment: Deployment, what: str) -> str:
    name = resource_name(deployment.stage, what)
    arn = deployment.cloud.client("lambda").get_function_configuration(FunctionName=name)["Role"]
    return str(arn).rpartition("/")[2]


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


# --- queues and logs


def queue_url(deployment: Deployment, name: str) -> str:
    return str(deployment.cloud.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


def waiting(deployment: Deployment, url: str) -> int:
    """Messages in the queue, those that somebody has in hand included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = deployment.cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


@contextmanager
def visibility(deployment: Deployment, what: str, seconds: int) -> Iterator[None]:
    """What fails comes again after so long, for tests that have no three minutes."""
    sqs = deployment.cloud.client("sqs")
    url = queue_url(deployment, resource_name(deployment.stage, what))
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=before)


def log_lines(deployment: Deployment, what: str, since_ms: int = 0) -> list[str]:
    logs = deployment.cloud.client("logs")
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=log_group_name(deployment.stage, what), startTime=since_ms)
    return [event["message"] for page in pages for event in page["events"]]


def metrics_in(lines: Sequence[str]) -> Counter[str]:
    """What CloudWatch counts in these lines (the embedded metric format)."""
    found: Counter[str] = Counter()
    for line in lines:
        if '"_aws"' not in line:
            continue
        value = json.loads(line[line.index("{") :])
        for metrics in value["_aws"]["CloudWatchMetrics"]:
            for metric in metrics["Metrics"]:
                found[f"{metrics['Namespace']}/{metric['Name']}"] += 1
    return found


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- assemblies


def asset_of(assembly: Path) -> Path:
    """The functions' code in it; the sandbox has an asset of its own."""
    (found,) = [folder for folder in assembly.glob("asset.*") if (folder / "batuta_server" / "decider").is_dir()]
    return found


def synthesize(deployment: Deployment, asset: Path, **changes: Any) -> Path:
    """An assembly with that very code and other parameters. In this process, which is quicker than app.py for the second and more."""
    import aws_cdk as cdk

    from infra.stack import BatutaStack

    folder = deployment.cloud.folder / f"cdk-{deployment.stage}-{time.monotonic_ns()}"
    context = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    usual = {"stage": deployment.stage, "arch": X86_64, "retain": False, "endpoint_url": deployment.cloud.endpoint}
    parameters = StageParameters(**{**usual, **changes})
    app = cdk.App(outdir=str(folder), analytics_reporting=False, context=context)
    BatutaStack(app, deployment.stack, parameters, asset)
    app.synth()
    return folder


def changed(asset: Path, target: Path, path: str, old: str, new: str) -> Path:
    """A copy with one source file changed, and compiled as ``infra.bundle`` does it."""
    shutil.copytree(asset, target)
    source = target / path
    text = source.read_text()
    assert old in text
    source.chmod(0o644)
    source.write_text(text.replace(old, new))
    command = [find_python() or "", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", str(source)]
    subprocess.run(command, check=True, timeout=60)
    return target
