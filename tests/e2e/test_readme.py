"""What the README tells a user to type, typed: from ``make bootstrap`` to ``make destroy``, with the parameters' defaults."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batuta_server.local.emulator import ACCOUNT, REGION
from infra.parameters import X86_64
from tests.e2e.cloud import CDK, CloudFailed, Deployment, check_loopback
from tests.e2e.conftest import Keys
from tests.e2e.stand import Workers, asset_of, call, changed, line_of, synthesize, until
from tests.e2e.test_stages import things_of
from tests.shared import REPOSITORY, not_tested

README = (REPOSITORY / "README.md").read_text()
DEPLOYING = (REPOSITORY / "docs" / "explanation" / "deploying.md").read_text()
STAGE = "readme"
KEPT = "kept"
# What they would install is there: it runs these tests.
INSTALLED = [part for file in (".venv/run.stamp", ".venv/infra.stamp", "node_modules/.bin/cdk") for part in ("-o", file)]


def make(deployment: Deployment, verb: str, *context: str) -> str:
    """By the Makefile, with what the emulator needs on top."""
    folder = deployment.cloud.folder
    said = [f"-c arch={X86_64}", f"-c endpoint_url={deployment.cloud.endpoint}", f"--output {folder}/cdk-{deployment.stage}-made"]
    said += [f"--app '{sys.executable} app.py'", *context]
    return deployment.cloud.run("make", *INSTALLED, verb, f"STAGE={deployment.stage}", f"CONTEXT={' '.join(said)}")


def deploy(deployment: Deployment, *context: str) -> None:
    told = deployment.cloud.folder / f"outputs-{deployment.stage}-made.json"
    make(deployment, "deploy", *context, "--require-approval never", f"--outputs-file {told}")
    deployment.read_outputs(told)


def destroy(deployment: Deployment) -> None:
    deployment.detach_policies()
    make(deployment, "destroy", "--force")


@dataclass(frozen=True)
class Made:
    deployment: Deployment
    keys: Keys
    folder: Path  # with worker.py and start.py


@pytest.fixture(scope="module")
def made(stage: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A stage as the README has it. Beside ``stage``, since there is one emulator for all tests."""
    deployment = Deployment(stage.cloud, STAGE)
    make(deployment, "bootstrap")
    deployment.free_bootstrap_bucket()
    (context,) = re.findall(r'^    make deploy .*CONTEXT="(.*)"$', README, re.MULTILINE)
    deploy(deployment, context)
    folder = tmp_path_factory.mktemp("readme")
    programs = re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert [name for name, _text in programs] == ["worker.py", "start.py"]
    for name, text in programs:
        (folder / name).write_text(text)
    return Made(deployment, Keys(deployment.worker_key(), deployment.client_key(), deployment.operator_key()), folder)


def test_the_programs_run_on_the_policies_and_the_name_of_the_stage(made: Made, workers: Workers) -> None:
    workers.script(made.deployment, made.keys.worker, str(made.folder / "worker.py"))
    environment = made.deployment.cloud.environment(made.keys.client, BATUTA_STAGE=STAGE)
    command = [sys.executable, str(made.folder / "start.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "R-42" in done.stdout


def test_curl_starts_what_the_program_has_registered(made: Made) -> None:
    if shutil.which("curl") is None:
        not_tested("requests signed by curl", "there is no curl on this machine")
    (command,) = re.findall(r"^    (curl .*?)\n\n", README, re.MULTILINE | re.DOTALL)
    host = urlsplit(made.deployment.outputs["Url"]).netloc
    command = command.replace("https://<id>.execute-api.eu-west-1.amazonaws.com", check_loopback(made.deployment.cloud.endpoint))
    command = f'{command.replace("eu-west-1", REGION)} -sS --max-time 20 -H "host: {host}"'  # no resolver knows the host
    assert "amazonaws" not in command
    environment = made.deployment.cloud.environment(made.keys.client)
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=30, check=True)
    found = call(made.deployment, made.keys.client, "GET", f"/api/workflow/{done.stdout}")
    assert found.body["input"] == {"id": "42", "amount": "99.90"}


def test_alarms_are_there_with_somebody_to_hear_them(made: Made) -> None:
    found = made.deployment.cloud.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"batuta-{STAGE}--")["MetricAlarms"]
    assert len(found) == 6
    topics = {action for alarm in found for action in alarm["AlarmActions"]}
    assert [topic.rpartition(":")[2] for topic in topics] == [f"batuta-{STAGE}--alarms"]


@pytest.mark.parametrize(
    "command", sorted({line for text in (README, DEPLOYING) for line in re.findall("^    (make .*)$", text, re.MULTILINE)})
)
def test_make_knows_every_verb_that_is_told(command: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{command.partition(' #')[0]} -n"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_destroy_asks_for_the_stage() -> None:
    done = subprocess.run(["make", *INSTALLED, "destroy"], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "make destroy STAGE=prod" in done.stdout


def test_a_stage_that_is_deployed_with_retain_false_goes_without_a_trace(made: Made) -> None:
    deploy(made.deployment, "-c retain=false")
    destroy(made.deployment)
    assert things_of(made.deployment.cloud, STAGE) == {}


def test_what_is_retained_outlives_the_stage_and_its_executions_are_revived(stage: Deployment, assembly: Path, workers: Workers) -> None:
    """By the steps of docs/explanation/deploying.md, "Back again"."""
    kept = Deployment(stage.cloud, KEPT)
    own = synthesize(kept, asset_of(assembly), retain=True)
    kept.deploy(own)
    key = kept.operator_key()
    assert call(kept, key, "POST", "/api/metadata/workflow", line_of("kept", "a", "b")).status == 200
    workflow_id = call(kept, key, "POST", "/api/workflow", {"name": "kept", "input": {"x": 1, "large": "x" * 300_000}}).text
    kept.destroy(own)
    left = things_of(stage.cloud, KEPT)
    assert {kind: len(names) for kind, names in left.items()} == {"tables": 3, "buckets": 1, "parameters": 1}
    assert left["parameters"] == [f"/batuta/{KEPT}/token-keys"]

    (mapping,) = re.findall(r"^```json\n(.*?)^```$", DEPLOYING, re.MULTILINE | re.DOTALL)
    mapping = mapping.replace("-prod-", f"-{KEPT}-").replace("123456789012-eu-west-1", f"{ACCOUNT}-{REGION}")
    file = stage.cloud.folder / "kept.json"
    file.write_text(mapping)
    stage.cloud.run(str(CDK), "import", "--no-notices", "--app", str(own), "--resource-mapping", str(file), kept.stack)
    kept.deploy(own)
    key = kept.operator_key()
    workers.of(kept, kept.worker_key(), "kept_b")
    assert call(kept, key, "GET", "/api/tasks/queue/size?taskType=kept_a").body == 0  # its message is gone
    found = call(kept, key, "GET", "/api/workflow/search?query=status%3DRUNNING").body["results"]
    assert [item["workflowId"] for item in found] == [workflow_id]
    assert call(kept, key, "POST", f"/api/admin/sweep/requeue/{workflow_id}").text == f"true.{workflow_id}"
    workers.of(kept, kept.worker_key(), "kept_a")
    until(lambda: call(kept, key, "GET", f"/api/workflow/{workflow_id}?includeTasks=false").body["status"] == "COMPLETED")
    assert [row[1] for row in workers.calls()] == ["a", "b"]


def test_a_first_deployment_that_fails_is_not_in_the_way_of_the_next(stage: Deployment, assembly: Path) -> None:
    late = Deployment(stage.cloud, "late")
    entry = "batuta_server/stage/entry.py"
    line = "    if request =="
    broken = changed(asset_of(assembly), stage.cloud.folder / "broken", entry, line, f"    raise ValueError('broken')\n{line}")
    with pytest.raises(CloudFailed, match="ValueError: broken"):
        late.deploy(synthesize(late, broken, retain=True))
    assert things_of(stage.cloud, "late") == {}
    late.deploy(synthesize(late, asset_of(assembly), retain=True))
    assert call(late, late.operator_key(), "GET", "/api/batuta").status == 200
