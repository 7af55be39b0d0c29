"""A frozen definition becomes a graph: what follows what, compiled inputs, and how long an output may still be read.

Liveness is by position. Nodes are numbered in the order in which they are written; everything
that a node reads was written by nodes reachable before it, so the output of ``ref`` is dead once
every open task stands behind the last node that reads it. In parallel branches this keeps an
output somewhat longer than needed, never shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batuta_core.decider.expression.template import Template
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import RetryPolicy, TaskDefinition, Timeouts

_NO_TEMPLATE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task of the definition, ready to be run."""

    ref: str
    position: int
    next: str | None  # the reference name that follows; None: the end
    task: WorkflowTask
    type: TaskType
    definition: TaskDefinition
    inputs: Template
    fallbacks: Mapping[str, Any]  # the task definition's inputTemplate: raw values for inputs that came out as null
    retry_limit: int
    is_optional: bool
    is_permissive: bool
    start_delay_s: int

    @property
    def shown_name(self) -> str:
        """Conductor's taskDefName."""
        return self.type.shown_name(self.task)

    @property
    def retry(self) -> RetryPolicy:
        return self.definition.retry

    @property
    def timeouts(self) -> Timeouts:
        return self.definition.timeouts

    @property
    def wire_type(self) -> str:
        """Conductor's taskType."""
        return self.type.wire_type(self.task)

    @property
    def queue(self) -> str:
        """What a worker's task queue is named after: the task type, or what several types share."""
        return self.definition.queue or self.wire_type


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A definition, compiled once and kept by its content hash."""

    hash: str
    definition: Mapping[str, Any]
    nodes: Mapping[str, Node]
    first: str
    outputs: Template | None  # outputParameters; None: the last task's output counts
    last_read: Mapping[str, int]  # reference name -> position of the last node that reads it
    is_all_read: bool  # an expression computes whose output it reads: nothing is ever dead
    timeout_ms: int
    is_timeout_fatal: bool

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def version(self) -> int:
        return int(self.definition["version"])

    def node(self, ref: str) -> Node:
        """The node of a task's reference name."""
        return self.nodes[ref]

    def is_live(self, ref: str, position: int) -> bool:
        """Whether a node at ``position`` or behind it may read the output of ``ref``."""
        return self.is_all_read or self.last_read.get(ref, -1) >= position


class _Compiler:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.last_read: dict[str, int] = {}
        self.is_all_read = False

    def add_list(self, tasks: Sequence[WorkflowTask], after: str | None) -> None:
        # Bottom up would number backwards; so each task learns its follower from the list, then its children are added.
        for place, task in enumerate(tasks):
            follower = tasks[place + 1]["taskReferenceName"] if place + 1 < len(tasks) else after
            self.add(task, follower)

    def add(self, task: WorkflowTask, follower: str | None) -> None:
        kind = task_type(task["type"])
        definition = TaskDefinition.from_dict(task["taskDefinition"])
        defaults = definition.input_template if kind.has_input_template else _NO_TEMPLATE
        inputs = {**defaults, **kind.input_parameters(task)}
        retry_limit = task.get("retryCount")
        node = Node(
            ref=task["taskReferenceName"],
            position=len(self.nodes),
            next=follower,
            task=task,
            type=kind,
            definition=definition,
            inputs=compile_template(inputs),
            fallbacks=defaults,
            retry_limit=definition.retry.limit if retry_limit is None else retry_limit,
            is_optional=task["optional"],
            is_permissive=task["permissive"],
            start_delay_s=task["startDelay"],
        )
        self.nodes[node.ref] = node
        self.read(node.inputs, node.position)
        for _path, children in kind.children(task):
            self.add_list(children, kind.after_children(task, follower))

    def read(self, template: Template, position: int) -> None:
        self.is_all_read = self.is_all_read or template.is_dynamic
        for root, _field in template.needs:
            self.last_read[root] = max(self.last_read.get(root, -1), position)


def compile_definition(frozen: Mapping[str, Any], content_hash: str) -> Graph:
    """``frozen`` is a normalized definition with a task definition in every node (``definition.freeze``)."""
    compiler = _Compiler()
    compiler.add_list(frozen["tasks"], None)
    outputs = compile_template(frozen["outputParameters"]) if frozen["outputParameters"] else None
    if outputs is not None:
        compiler.read(outputs, len(compiler.nodes))
    return Graph(
        hash=content_hash,
        definition=frozen,
        nodes=compiler.nodes,
        first=frozen["tasks"][0]["taskReferenceName"],
        outputs=outputs,
        last_read=compiler.last_read,
        is_all_read=compiler.is_all_read,
        timeout_ms=frozen["timeoutSeconds"] * 1000,
        is_timeout_fatal=frozen["timeoutPolicy"] == "TIME_OUT_WF",
    )
