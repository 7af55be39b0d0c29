"""docs/explanation/security.md against the template: every grant is a row there, and every row a grant."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from batuta_core.model import ids
from batuta_core.model.names import priority_queue_name, task_queue_name
from batuta_server import layout
from batuta_server.api import bulk, metadata, operations, tasks, workflows
from batuta_server.api.resolver import Resolver
from infra import access
from infra.parameters import StageParameters
from tests.infra.conftest import synthesize
from tests.infra.reading import Grants, Reading, short
from tests.shared import REPOSITORY

SECURITY = (REPOSITORY / "docs" / "explanation" / "security.md").read_text()
FUNCTIONS = ("api", "decider", "timers", "http", "events", "sandbox", "stage")
POLICIES = ("worker", "client", "operator")


def told(heading: str) -> dict[str, Grants]:
    """The table under a heading: who -> what -> actions."""
    section = SECURITY.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found: dict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    for line in section.splitlines():
        if line.startswith("| ") and "`" in line:
            who, what, may = (cell.strip() for cell in line.split("|")[1:4])
            assert what not in found[who], f"{who} on {what} is told twice"
            found[who][what] = frozenset(re.findall("`([^`]+)`", may))
    return dict(found)


@pytest.mark.parametrize("what", FUNCTIONS)
def test_a_function_may_do_what_the_table_says_and_nothing_else(plain: Reading, what: str) -> None:
    assert plain.function_grants(what) == told("Functions")[what]


@pytest.mark.parametrize("who", POLICIES)
def test_a_policy_allows_what_the_table_says_and_nothing_else(plain: Reading, who: str) -> None:
    assert plain.policy_grants(who.capitalize()) == told("Policies for people and workers")[who]


def test_the_tables_tell_of_nobody_else() -> None:
    assert set(told("Functions")) == set(FUNCTIONS)
    assert set(told("Policies for people and workers")) == set(POLICIES)


def test_every_wildcard_has_its_reason(plain: Reading, full: Reading) -> None:
    section = SECURITY.partition("\n## Wildcards\n")[2]
    reasons = set(re.findall(r"^\| ([A-Za-z ]+) \|", section, re.MULTILINE)) - {"pattern"}
    documents = [document for reading in (plain, full) for document in documents_of(reading)]
    wild = {
        resource for document in documents for resource, _action in full.allowed(document) if set("*?") & set(resource.partition(" if ")[0])
    }
    assert {short(resource) for resource in wild} == reasons


def documents_of(reading: Reading) -> list[Any]:
    """Of the functions' roles, and of the policies for people and workers."""
    roles, policies = reading.of_type("AWS::IAM::Role").values(), reading.of_type("AWS::IAM::ManagedPolicy").values()
    return [
        *(policy["PolicyDocument"] for role in roles for policy in role["Policies"]),
        *(policy["PolicyDocument"] for policy in policies),
    ]


def test_nobody_may_use_actions_by_pattern(full: Reading) -> None:
    assert not [action for document in documents_of(full) for _resource, action in full.allowed(document) if "*" in action]


def test_functions_reach_the_payloads_of_the_stages_namespaces_only(full: Reading) -> None:
    for what in ("Api", "Decider"):
        role = next(item for id_, item in full.of_type("AWS::IAM::Role").items() if id_.startswith(f"BatutaFunctions{what}Role"))
        document = role["Policies"][0]["PolicyDocument"]
        prefixes = [resource.rpartition("{Region}/")[2] for resource, action in full.allowed(document) if action == "s3:GetObject"]
        uploads = ["_uploads/default/*", "_uploads/shop/*"] if what == "Api" else []  # which alone takes in what clients wrote
        assert sorted(prefixes) == [*uploads, "default/*", "shop/*"]


# --- task queues


def matches(pattern: str, arn: str) -> bool:
    return fnmatch.fnmatchcase(arn, pattern.replace("[", "[[]"))


def task_queue_patterns(reading: Reading) -> list[str]:
    worker = next(item for id_, item in reading.of_type("AWS::IAM::ManagedPolicy").items() if id_.startswith("BatutaAccessWorker1"))
    found = reading.allowed(worker["PolicyDocument"])
    return [resource.rpartition(":")[2] for resource, action in found if action == "sqs:ReceiveMessage"]


@pytest.mark.parametrize("name", ["a", "charge_card", "x" * 200, "with spaces / and €", "-", "decider.fifo"])
def test_a_pattern_for_task_queues_fits_every_task_queue_of_its_namespace(plain: Reading, name: str) -> None:
    queue = task_queue_name("prod", "default", name)
    assert any(matches(pattern, queue) for pattern in task_queue_patterns(plain))
    assert any(matches(pattern, priority_queue_name(queue)) for pattern in task_queue_patterns(plain))
    assert not any(matches(pattern, task_queue_name("prod", "shop", name)) for pattern in task_queue_patterns(plain))
    assert not any(matches(pattern, task_queue_name("test", "default", name)) for pattern in task_queue_patterns(plain))


@pytest.mark.parametrize("queue", layout.QUEUES)
def test_no_pattern_for_task_queues_fits_a_queue_of_the_stage_itself(plain: Reading, queue: layout.Queue) -> None:
    patterns = [*task_queue_patterns(plain), "batuta-prod--*--*"]
    assert not any(matches(pattern, queue.name("prod")) for pattern in patterns)


def test_a_worker_of_one_type_gets_its_two_queues_alone(full: Reading) -> None:
    expected = {task_queue_name("test", "shop", "charge card/€"), task_queue_name("test", "default", "mail")}
    found: set[str] = set()
    for id_, policy in full.of_type("AWS::IAM::ManagedPolicy").items():
        queues = [r.rpartition(":")[2] for r, action in full.allowed(policy["PolicyDocument"]) if action == "sqs:ReceiveMessage"]
        if id_.startswith("BatutaAccessWorker") and "*" not in queues[0]:
            assert len(queues) == 2
            found.update(queues)
    assert found == expected | {priority_queue_name(queue) for queue in expected}


# --- routes


def routes() -> list[tuple[str, str]]:
    """(method, path) of each route of the API function, with ids and names where the path has variables."""
    app = Resolver()
    nothing: Any = None
    for module in (metadata, workflows, operations, bulk, tasks):
        module.add_routes(app, nothing)
    workflow_id = "3fac8593-c83f-4c5d-8250-a1dba54e6dc5"
    samples = {"workflow_id": workflow_id, "task_id": ids.task_id(workflow_id, 12, 3)}
    found = []
    for route in app.routes:
        path = re.sub(r"<(\w+)>", lambda variable: samples.get(variable[1], "some-name"), route.rule)
        found.append((route.method, path))
    return sorted(found)


def allowed_routes(patterns: tuple[tuple[str, str], ...]) -> set[tuple[str, str]]:
    return {
        (method, path) for method, path in routes() for wanted, pattern in patterns if method == wanted and matches(f"/api{pattern}", path)
    }


def test_a_client_may_call_all_but_what_deletes_or_takes_workers_tasks() -> None:
    kept = [f"{method} {re.sub('A[A-Za-z0-9_-]{20,}|3fac[0-9a-f-]+', '*', path)}" for method, path in routes()]
    client = {f"{method} {path}" for method, path in allowed_routes(access.CLIENT_ROUTES)}
    refused = [shown for shown, (method, path) in zip(kept, routes(), strict=True) if f"{method} {path}" not in client]
    assert refused == [
        "DELETE /api/metadata/taskdefs/some-name",
        "DELETE /api/metadata/workflow/some-name/some-name",
        "DELETE /api/workflow/*/remove",
        "DELETE /api/workflow/*/terminate-remove",
        "DELETE /api/workflow/bulk/remove",
        "DELETE /api/workflow/bulk/terminate-remove",
        "GET /api/tasks/poll/batch/some-name",
        "GET /api/tasks/poll/some-name",
        "GET /api/tasks/queue/all",
        "GET /api/tasks/queue/polldata",
        "GET /api/tasks/queue/polldata/all",
        "GET /api/tasks/queue/size",
        "GET /api/tasks/queue/sizes",
        "POST /api/admin/sweep/requeue/*",
        "POST /api/tasks/*/log",
        "POST /api/tasks/queue/requeue/some-name",
        "POST /api/tasks/update-v2",
    ]


def test_a_worker_may_call_what_the_sdk_calls() -> None:
    kept = sorted(f"{method} {re.sub('A[A-Za-z0-9_-]{20,}', '*', path)}" for method, path in allowed_routes(access.WORKER_ROUTES))
    assert kept == [
        "GET /api/metadata/taskdefs/some-name",
        "GET /api/tasks/*",
        "GET /api/tasks/*/log",
        "POST /api/metadata/taskdefs",
        "POST /api/tasks",
        "POST /api/tasks/*/log",
    ]


def test_an_operator_may_call_everything() -> None:
    assert allowed_routes(access.OPERATOR_ROUTES) == set(routes())


@pytest.mark.parametrize(("stage", "namespace"), [("prod", "eu"), ("prod-eu", "default"), ("prod", "eu-default")])
def test_stages_and_namespaces_whose_names_begin_alike_do_not_reach_each_other(asset: Path, stage: str, namespace: str) -> None:
    own = Reading(synthesize(asset, StageParameters(stage=stage, namespaces=(namespace,))))
    patterns = [*task_queue_patterns(own), f"batuta-{stage}--*--*"]
    others = {("prod", "eu"), ("prod-eu", "default"), ("prod", "eu-default")} - {(stage, namespace)}
    for other, its in others:
        queue = task_queue_name(other, its, "a")
        assert [pattern for pattern in patterns if matches(pattern, queue)] == ([patterns[-1]] if other == stage else [])
