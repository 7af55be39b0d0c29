"""A stage is changed while executions run: code, messages of newer code, keys."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from batuta import Client
from batuta_core.model.message import LIMITED_SCHEMA
from batuta_server.stage.ring import Ring
from infra.parameters import TaskType
from tests.e2e.cloud import Deployment
from tests.e2e.conftest import ONE_TYPE, Keys
from tests.e2e.stand import (
    Workers,
    asset_of,
    changed,
    completed,
    line_of,
    log_lines,
    now_ms,
    queue_url,
    synthesize,
    until,
    visibility,
    waiting,
)

EVERY_S = 0.15  # an execution, during the deployment
_AGAIN_S = 15  # longer than any decision takes
TASK_TYPES = (TaskType("default", ONE_TYPE),)


class Load:
    """Starts executions, one after another, until it is told to stop."""

    def __init__(self, client: Client, name: str) -> None:
        self.started: list[str] = []
        self.failed: list[Exception] = []
        self._client, self._name = client, name
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        place = 0
        while not self._ending.wait(EVERY_S):
            place += 1
            try:
                self.started.append(self._client.start(self._name, {"x": place}, idempotency_key=f"{self._name}-{place}"))
            except Exception as error:
                self.failed.append(error)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)


def test_changed_code_is_deployed_under_load_and_nothing_is_lost(
    stage: Deployment, assembly: Path, keys: Keys, client: Client, workers: Workers, tmp_path: Path
) -> None:
    asset = changed(
        asset_of(assembly), tmp_path / "asset", "batuta_server/decider/handler.py", 'ports.log.info("decider"', 'ports.log.info("changed"'
    )
    newer = synthesize(stage, asset, task_types=TASK_TYPES)
    client.register_workflow(line_of("upgrade", "a", "b"))
    workers.of(stage, keys.worker, "upgrade_a", "upgrade_b")
    completed(client, client.start("upgrade", {"x": 0}))
    began = now_ms()
    with visibility(stage, "decider.fifo", _AGAIN_S):  # the emulator may still kill what it is about to begin
        with Load(client, "upgrade") as load:
            until(lambda: len(load.started) >= 3)
            stage.deploy(newer)
            before = len(load.started)
            until(lambda: len(load.started) >= before + 5)
        assert not load.failed
        assert before >= 10
        for workflow_id in load.started:
            completed(client, workflow_id, 60)
    lines = log_lines(stage, "decider", began)
    assert any('"decider"' in line for line in lines)
    assert any('"changed"' in line for line in lines)
    calls = {row[:3] for row in workers.calls()}
    assert {(workflow_id, ref, 1) for workflow_id in load.started for ref in "ab"} <= calls
    assert not workers.repeats()


def test_a_message_of_newer_code_waits_and_holds_up_nobody_else(stage: Deployment, keys: Keys, client: Client, workers: Workers) -> None:
    client.register_workflow(line_of("newer", "a"))
    workers.of(stage, keys.worker, "newer_a")
    sqs = stage.cloud.client("sqs")
    queue = queue_url(stage, f"batuta-{stage.stage}--decider.fifo")
    given_up = queue_url(stage, f"batuta-{stage.stage}--dead-letters.fifo")
    text = json.dumps({"v": LIMITED_SCHEMA + 1, "what": "nobody here knows"})
    with visibility(stage, "decider.fifo", 1):
        sqs.send_message(QueueUrl=queue, MessageBody=text, MessageGroupId="newer", MessageDeduplicationId="newer")
        completed(client, client.start("newer", {"x": 1}))
        until(lambda: waiting(stage, given_up) == 1)  # after five receives
    answer = stage.cloud.client("lambda").invoke(FunctionName=f"batuta-{stage.stage}--decider", Payload=b"{}")  # the minute's tick
    assert "FunctionError" not in answer
    assert waiting(stage, given_up) == 1  # looked at, and kept
    completed(client, client.start("newer", {"x": 2}))
    sqs.purge_queue(QueueUrl=given_up)


def test_keys_are_turned_while_a_worker_has_a_task_in_hand(
    stage: Deployment, assembly: Path, keys: Keys, client: Client, workers: Workers
) -> None:
    """The task's token is of the old key, all that follows is signed with the new one."""
    client.register_workflow(line_of("turned", "a", "b", until="${workflow.input.until}"))
    go = stage.cloud.folder / "turned-go"
    workers.of(stage, keys.worker, "turned_a", "turned_b")
    workflow_id = client.start("turned", {"x": 1, "until": str(go)})
    until(workers.calls)
    before = _ring(stage)
    stage.deploy(synthesize(stage, asset_of(assembly), task_types=TASK_TYPES, token_key_generation=2))
    turned = _ring(stage)
    assert turned.generation == 2
    assert turned.keys[1:] == before.keys
    _let_the_new_key_sign(stage)
    second = client.start("turned", {"x": 2, "until": str(go)})
    go.touch()
    for execution in (workflow_id, second):
        assert [task.attempt for task in completed(client, execution).tasks] == [1, 1]
    assert not workers.repeats()


def _ring(stage: Deployment) -> Ring:
    found = stage.cloud.client("ssm").get_parameter(Name=f"/batuta/{stage.stage}/token-keys", WithDecryption=True)
    return Ring.from_text(found["Parameter"]["Value"])


def _let_the_new_key_sign(stage: Deployment) -> None:
    """It does so two minutes after it was made; here it was made three minutes ago. The functions begin anew, and read the ring."""
    ssm = stage.cloud.client("ssm")
    name = f"/batuta/{stage.stage}/token-keys"
    value = json.loads(ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
    value["keys"][0]["from_ms"] -= 180_000
    ssm.put_parameter(Name=name, Value=json.dumps(value), Type="SecureString", Overwrite=True)
    functions = stage.cloud.client("lambda")
    for what in ("decider", "timers"):  # the API goes on with what it knows
        functions.update_function_configuration(FunctionName=f"batuta-{stage.stage}--{what}", Description=f"anew {time.time_ns()}")
