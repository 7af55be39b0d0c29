"""What a cold start loads, in a fresh interpreter as Lambda begins one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from batuta_server.settings import Settings
from tests.budget.budgets import FORBIDDEN, MODULES

SETTINGS = Settings(
    stage="test",
    region="us-east-1",
    bucket="payloads",
    token_keys=(b"0123456789abcdef0123456789abcdef",),
    is_local=True,
    endpoint_url="http://127.0.0.1:9",
)


def loaded(statement: str, **environment: str) -> list[str]:
    """The modules in memory after ``statement``."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BATUTA_", "PYTEST"))}
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("entry", MODULES)
def test_an_entry_loads_no_more_than_its_budget(entry: str) -> None:
    environment = {**SETTINGS.to_env(), "BATUTA_ACCOUNT": "000000000000"}
    found = loaded(f"import {entry}", AWS_ACCESS_KEY_ID="000000000000", AWS_SECRET_ACCESS_KEY="local", **environment)
    unwanted = [name for name in found if any(name == forbidden or name.startswith(f"{forbidden}.") for forbidden in FORBIDDEN[entry])]
    assert not unwanted
    assert len(found) <= MODULES[entry]


def test_the_core_is_standard_library_only() -> None:
    statement = (
        "import importlib, pkgutil, sys, batuta_core\n"
        "before = set(sys.modules)\n"
        "for found in pkgutil.walk_packages(batuta_core.__path__, 'batuta_core.'): importlib.import_module(found.name)\n"
        "added = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert added <= sys.stdlib_module_names | {'batuta_core'}, added - sys.stdlib_module_names"
    )
    loaded(statement)


def test_the_sdk_loads_no_boto3_before_there_are_queues() -> None:
    found = loaded("from batuta import Client, Worker, task\nClient(url='http://127.0.0.1:9')")
    assert not [name for name in found if name.partition(".")[0] in ("boto3", "botocore", "batuta_server")]


def test_workflows_are_tested_without_boto3_and_server() -> None:
    task = "{'name': 'pack', 'taskReferenceName': 'pack', 'type': 'SIMPLE'}"
    found = loaded(f"from batuta import testing\ntesting.run({{'name': 'w', 'tasks': [{task}]}}, answers={{'pack': {{}}}})")
    assert not [name for name in found if name.partition(".")[0] in ("boto3", "botocore", "batuta_server", "pydantic")]
