"""HTTP: a request to somebody else's server, made by the http function (``batuta_server.http``), apart from everything else."""

from __future__ import annotations

from collections.abc import Iterator

from batuta_core.decider.tasks.by_function import ByFunction
from batuta_core.decider.tasks.rules import is_input_given, required
from batuta_core.decider.tasks.task_type import WorkflowTask
from batuta_core.model.error import Problem


class Http(ByFunction):
    name = "HTTP"
    system_queue = "http"

    def problems(self, task: WorkflowTask, path: str) -> Iterator[Problem]:
        is_at_top_level = any(key in task["inputParameters"] for key in ("uri", "method"))  # in the template they do not count
        if not (is_at_top_level or is_input_given("http_request", task)):
            yield required("inputParameters.http_request or inputParameters.uri", task, path)
