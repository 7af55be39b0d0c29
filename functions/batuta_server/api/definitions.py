"""What a refused definition is told: everything that is wrong with it at once.

The engine reads a definition's types first and looks at its rules when they are right. Only when it has refused one is the
body looked at again, whole; what is accepted pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from batuta_core.decider.validate import task_definition_faults, workflow_faults
from batuta_core.engine.ports import Ports
from batuta_core.model.error import InvalidInput, Problem
from batuta_server.api.javascript import syntax_error
from batuta_server.api.request import current


def naming_all_workflow_faults(ports: Ports, bodies: Mapping[str, Any]) -> AbstractContextManager[None]:
    """A refusal from within names all faults of ``bodies``, which are keyed by their paths, and what else it named."""
    namespace = current().namespace

    def find(body: Any, path: str) -> list[Problem]:
        return workflow_faults(body, lambda names: ports.definitions.tasks(namespace, names), syntax_error, path)

    return _naming_all(find, bodies)


def naming_all_task_faults(bodies: Mapping[str, Any]) -> AbstractContextManager[None]:
    """The same for task definitions."""
    return _naming_all(task_definition_faults, bodies)


@contextmanager
def _naming_all(find: Callable[[Any, str], list[Problem]], bodies: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except InvalidInput as refused:
        faults = [fault for path, body in bodies.items() for fault in find(body, path)]
        if not faults:
            raise
        said = {fault.message for fault in faults}
        others = [problem for problem in refused.problems if problem.message not in said]
        raise InvalidInput(refused.message, problems=[*others, *faults], **refused.facts) from refused


def by_place(bodies: Sequence[Any]) -> dict[str, Any]:
    """Keyed by their paths in a list."""
    return {f"[{place}]": body for place, body in enumerate(bodies)}
