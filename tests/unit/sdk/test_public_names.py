"""What ``batuta`` exports, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import batuta

PUBLIC = [
    "AsyncClient", "BatutaError", "Client", "DefinitionExists", "DefinitionVersion", "Execution", "ExecutionExists", "ExecutionStatus",
    "ExecutionSummary", "ExecutionTooLarge", "Exponential", "Fatal", "Fixed", "Health", "InProgress", "InvalidInput", "Linear",
    "NoAnswer", "OperationRefused", "Page", "PayloadTooLarge", "Problem", "RetryLater", "SettingsError", "Task", "TaskContext",
    "TaskDefinitionNotFound", "TaskLogLine", "TaskNotFound", "TaskStatus", "Unavailable", "WaitTimeout",
    "WholeInput", "Worker", "WorkflowDefinitionNotFound", "WorkflowNotFound", "WorkflowStatus", "current_task", "task",
]  # fmt: skip


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has loaded after ``code``."""
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('\\n'.join(sys.modules))"], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


def test_the_public_names_are_these_and_no_others() -> None:
    assert batuta.__all__ == PUBLIC


def test_every_public_name_is_there() -> None:
    assert all(getattr(batuta, name) is not None for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(batuta))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wrker'"):
        _ = batuta.Wrker


def test_import_batuta_loads_next_to_nothing() -> None:
    loaded = modules_after("import batuta")
    assert not {name for name in loaded if name.partition(".")[0] in ("boto3", "botocore", "pydantic", "asyncio", "http", "urllib3")}
    assert {name for name in loaded if name.startswith("batuta")} == {"batuta"}


def test_a_worker_loads_no_boto3_before_it_connects_and_no_pydantic_at_all() -> None:
    loaded = modules_after("from batuta import Worker, task\n@task('t')\ndef f(x: int) -> int: return x\nWorker(f)")
    assert not {name for name in loaded if name.partition(".")[0] in ("boto3", "botocore", "pydantic")}
    assert not {name for name in loaded if name.startswith(("batuta_server", "batuta_core.decider", "batuta_core.engine"))}


def test_a_client_loads_no_worker() -> None:
    loaded = modules_after("from batuta import Client\nClient('http://127.0.0.1:1')")
    assert not {name for name in loaded if name.startswith(("batuta.worker", "boto3", "pydantic"))}


def test_the_decorator_stays_the_decorator_whatever_is_imported_before_it() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", "from batuta import Worker; import batuta; print(callable(batuta.task))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "True"
