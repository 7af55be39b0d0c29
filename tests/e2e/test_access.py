"""Work on a deployed stage with the ready-made policies, and what they keep people from."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from batuta import Client
from batuta_core.engine.ports import TASK_VISIBILITY_S
from batuta_core.model.event import TaskUpdated
from batuta_core.model.execution import TaskStatus
from batuta_core.model.message import InboxMessage, TaskMessage
from batuta_core.model.names import priority_queue_name, resource_name, task_queue_name
from batuta_server.local.emulator import REGION
from tests.e2e.cloud import CloudFailed, Deployment, check_loopback
from tests.e2e.conftest import ONE_TYPE, Keys
from tests.e2e.stand import Workers, call, completed, line_of, queue_url, until, waiting
from tests.shared import REPOSITORY, not_tested

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_nothing_here_goes_to_real_aws() -> None:
    for url in ("https://sqs.us-east-1.amazonaws.com", "http://10.0.0.1:4566", ""):
        with pytest.raises(CloudFailed, match="loopback"):
            check_loopback(url)


def test_the_example_runs_on_the_policies_and_the_name_of_the_stage(stage: Deployment, keys: Keys, workers: Workers) -> None:
    workers.script(stage, keys.worker, "examples/order/worker.py")
    done = subprocess.run(
        [sys.executable, "examples/order/run.py"],
        cwd=REPOSITORY,
        env=stage.cloud.environment(keys.client, BATUTA_STAGE=stage.stage),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "COMPLETED after" in done.stdout
    assert "(attempt 3)" in done.stdout  # the card network fails twice


def test_a_task_of_a_killed_worker_is_finished_by_another_within_the_lease(
    stage: Deployment, keys: Keys, client: Client, workers: Workers
) -> None:
    client.register_workflow(line_of("killed", "a", until="${workflow.input.until}"))
    go = stage.cloud.folder / "killed-go"
    first = workers.of(stage, keys.worker, "killed_a")
    workflow_id = client.start("killed", {"x": 1, "until": str(go)})
    until(workers.calls)
    first.send_signal(signal.SIGKILL)
    began = time.monotonic()
    go.touch()
    second = workers.of(stage, keys.worker, "killed_a")
    found = completed(client, workflow_id, TASK_VISIBILITY_S + 15)
    assert time.monotonic() - began < TASK_VISIBILITY_S + 10
    assert found.output == {"x": 1, "pid": second.pid}
    assert [task.attempt for task in found.tasks] == [1]  # nothing failed: the message came again


def test_nobody_gets_in_without_a_signature(stage: Deployment) -> None:
    for method, path in (("GET", "/api/batuta"), ("GET", "/api/health"), ("POST", "/api/workflow"), ("GET", "/ns/shop/api/batuta")):
        assert call(stage, None, method, path).status == 403, path


def test_curl_starts_an_execution_as_the_readme_says(stage: Deployment, keys: Keys, client: Client) -> None:
    if shutil.which("curl") is None:
        not_tested("requests signed by curl", "there is no curl on this machine")
    client.register_workflow(line_of("curled", "a"))
    user = f"{keys.client.id}:{keys.client.secret}"
    host = urlsplit(stage.outputs["Url"]).netloc
    command = ["curl", "-sS", "--max-time", "20", "--aws-sigv4", f"aws:amz:{REGION}:execute-api", "--user", user, "-d", '{"x": 1}']
    headers = ["-H", f"host: {host}", "-H", "content-type: application/json"]
    url = f"{check_loopback(stage.cloud.endpoint)}/api/workflow/curled"
    done = subprocess.run([*command, *headers, url], capture_output=True, text=True, timeout=30, check=True)
    assert client.get(done.stdout).input == {"x": 1}


def test_a_client_is_kept_from_what_operators_do(stage: Deployment, keys: Keys) -> None:
    assert call(stage, keys.client, "GET", f"/api/workflow/{UNKNOWN}").status == 404  # may ask
    for method, path in (
        ("DELETE", f"/api/workflow/{UNKNOWN}/remove"),
        ("DELETE", "/api/metadata/workflow/order/1"),
        ("GET", "/api/tasks/poll/order"),
        ("GET", "/ns/shop/api/batuta"),
    ):
        assert call(stage, keys.client, method, path).status == 403, path
    assert call(stage, keys.operator, "DELETE", f"/api/workflow/{UNKNOWN}/remove").status == 404


def test_a_worker_may_not_start_executions(stage: Deployment, keys: Keys) -> None:
    assert call(stage, keys.worker, "GET", "/api/batuta").status == 200
    assert call(stage, keys.worker, "POST", "/api/workflow", {"name": "order"}).status == 403
    assert call(stage, keys.worker, "GET", f"/api/workflow/{UNKNOWN}").status == 403


def test_the_policy_of_one_task_type_reaches_no_other_queue(stage: Deployment, keys: Keys) -> None:
    body = [{"name": ONE_TYPE}, {"name": "another_type"}]
    assert call(stage, keys.operator, "POST", "/api/metadata/taskdefs", body).status == 200
    sqs = stage.cloud.client("sqs", stage.cloud.key_with(stage.outputs["WorkerPolicy1"]))
    queues = {name: queue_url(stage, task_queue_name(stage.stage, "default", name)) for name in (ONE_TYPE, "another_type")}
    assert "Messages" not in sqs.receive_message(QueueUrl=queues[ONE_TYPE], WaitTimeSeconds=0)
    with pytest.raises(ClientError, match="NonExistentQueue"):  # that it is not there is what it may know: nothing urgent came yet
        sqs.get_queue_url(QueueName=priority_queue_name(task_queue_name(stage.stage, "default", ONE_TYPE)))
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.get_queue_url(QueueName=priority_queue_name(task_queue_name(stage.stage, "default", "another_type")))
    with pytest.raises(ClientError, match="AccessDenied"):
        sqs.receive_message(QueueUrl=queues["another_type"], WaitTimeSeconds=0)


def test_a_worker_of_one_type_serves_its_priority_queue(stage: Deployment, keys: Keys, client: Client, workers: Workers) -> None:
    """Which the timers make, on the first wish, with the rights that they have."""
    task = {"name": ONE_TYPE, "taskReferenceName": "a", "type": "SIMPLE", "inputParameters": {"x": 1}}
    client.register_workflow({"name": "urgent", "version": 1, "tasks": [task]})
    queue = priority_queue_name(task_queue_name(stage.stage, "default", ONE_TYPE))
    first = client.start("urgent", {"x": 1}, priority=9)
    sqs = stage.cloud.client("sqs")
    until(lambda: sqs.list_queues(QueueNamePrefix=queue).get("QueueUrls"))
    second = client.start("urgent", {"x": 1}, priority=9)
    assert waiting(stage, queue_url(stage, queue)) == 1
    workers.of(stage, stage.cloud.key_with(stage.outputs["WorkerPolicy1"]), ONE_TYPE)
    for workflow_id in (first, second):
        completed(client, workflow_id)
    assert waiting(stage, queue_url(stage, queue)) == 0


def test_a_worker_reads_neither_tables_nor_keys(stage: Deployment, keys: Keys) -> None:
    for key in (keys.worker, keys.client, keys.operator):
        with pytest.raises(ClientError, match="AccessDenied"):
            stage.cloud.client("ssm", key).get_parameter(Name=f"/batuta/{stage.stage}/token-keys", WithDecryption=True)
        with pytest.raises(ClientError, match="AccessDenied"):
            stage.cloud.client("dynamodb", key).scan(TableName=f"batuta-{stage.stage}--executions")


def test_a_result_without_the_tasks_token_completes_nothing(stage: Deployment, keys: Keys, client: Client) -> None:
    """The right to send to the decider queue is no right to complete others' tasks."""
    client.register_workflow(line_of("forged", "a"))
    workflow_id = client.start("forged", {"x": 1})
    sqs = stage.cloud.client("sqs", keys.worker)
    tasks = queue_url(stage, task_queue_name(stage.stage, "default", "forged_a"))
    decider = queue_url(stage, resource_name(stage.stage, "decider.fifo"))
    (given,) = sqs.receive_message(QueueUrl=tasks, WaitTimeSeconds=10)["Messages"]
    task = TaskMessage.parse(given["Body"])

    def report(token: str) -> None:
        event = TaskUpdated(place=task.place, status=TaskStatus.COMPLETED, op=token[:8])
        text = InboxMessage(execution=task.execution, event=event, token=token, attempt=task.attempt).to_text()
        sqs.send_message(QueueUrl=decider, MessageBody=text, MessageGroupId=str(task.execution), MessageDeduplicationId=token)

    report("forged" + task.token[6:])
    until(lambda: not waiting(stage, decider))
    assert client.get(workflow_id).status == "RUNNING"
    report(task.token)
    completed(client, workflow_id)
