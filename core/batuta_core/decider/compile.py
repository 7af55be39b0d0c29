"""A frozen definition becomes a graph: what follows what, compiled inputs, and how long an output may still be read.

Liveness is by position. Nodes are numbered in the order in which they are written; everything
that a node reads was written by nodes reachable before it, so the output of ``ref`` is dead once
every open task stands behind the last node that reads it. In parallel branches this keeps an
output somewhat longer than needed, never shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from batuta_core.decider.expression.template import Template
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.decider.segments import parse_ref
from batuta_core.decider.tasks.registry import task_type
from batuta_core.decider.tasks.segment import SEGMENT
from batuta_core.decider.tasks.task_type import TaskType, WorkflowTask
from batuta_core.model.definition import RetryPolicy, TaskDefinition, Timeouts, normalize_task_definition
from batuta_core.model.execution import TaskExecution
from batuta_core.model.frozen import dataclass
from batuta_core.model.names import is_segment

_NO_TEMPLATE: Mapping[str, Any] = {}
_NO_DEFINITION = normalize_task_definition({"retryCount": 0, "responseTimeoutSeconds": 0})  # a branch of a dynamic fork may have none
_NO_LIMITS = TaskDefinition.from_dict(_NO_DEFINITION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task of the definition, ready to be run."""

    ref: str
    position: int
    end: int  # the position behind all that is inside of it
    next: str | None  # the reference name that follows; None: the end
    loop: str | None = None  # the innermost DO_WHILE around it
    fork: str | None = None  # of a JOIN: the fork before it
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
    def gate(self) -> str:
        """Whose limits its deliveries wait for; empty: nobody's."""
        is_delivered = self.type.is_worker or self.type.system_queue
        return self.shown_name if is_delivered and not self.definition.limits.is_none else ""

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

    waiting: tuple[str, ...]  # those whose tasks end when others have ended, joins and loops: what lies inside of another before it

    def node(self, ref: str) -> Node:
        """The node of a task's reference name."""
        return self.nodes[ref]

    def find(self, shown_ref: str) -> Node | None:
        """The node of a task by the name that Conductor shows: in a loop with the number of the iteration."""
        return self.nodes.get(shown_ref) or self.nodes.get(shown_ref.rpartition("__")[0])

    @property
    def is_segment(self) -> bool:
        """Whether what runs it is a segment of a wide fork."""
        return is_segment(self.hash)

    def segment(self, ref: str) -> Node | None:
        """The node of the task that stands for a segment; None for the name of any other task."""
        parsed = parse_ref(ref)
        fork = self.nodes.get(parsed[0]) if parsed and ref not in self.nodes else None
        if fork is None or fork.type.name != "FORK_JOIN_DYNAMIC":
            return None
        no_rules = replace(fork, definition=_NO_LIMITS, retry_limit=0, is_optional=False, is_permissive=False, start_delay_s=0)
        return replace(no_rules, ref=ref, next=None, fork=None, type=SEGMENT)

    def is_of_segment(self, task: TaskExecution) -> bool:
        """Whether the task stands for a segment, and is shown to nobody."""
        return self.segment(task.plain_ref) is not None

    def is_wait(self, ref: str) -> bool:
        """Whether it is a WAIT: what signals end."""
        return ref in self.nodes and self.nodes[ref].type.name == "WAIT"

    def compile_branches(self, tasks: Sequence[WorkflowTask], loop: str | None = None) -> dict[str, Node]:
        """The nodes of tasks that a dynamic fork makes, with all that is inside of them; each task is a branch."""
        compiler = _Compiler()
        for task in tasks:
            compiler.add(task, None, loop, None)
        return compiler.nodes

    def is_inside(self, ref: str, outer: Node) -> bool:
        """Whether ``ref`` is a task inside of ``outer``."""
        node = self.nodes.get(ref)
        return node is not None and outer.position < node.position < outer.end

    def is_live(self, ref: str, position: int) -> bool:
        """Whether a node at ``position`` or behind it may read the output of ``ref``."""
        return self.is_all_read or self.last_read.get(ref, -1) >= position


class _Compiler:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.last_read: dict[str, int] = {}
        self.is_all_read = False

    def add_list(self, tasks: Sequence[WorkflowTask], after: str | None, loop: str | None = None) -> None:
        # Bottom up would number backwards; so each task learns its follower from the list, then its children are added.
        for place, task in enumerate(tasks):
            follower = tasks[place + 1]["taskReferenceName"] if place + 1 < len(tasks) else after
            before = tasks[place - 1] if place else None
            fork = before["taskReferenceName"] if before and task_type(before["type"]).is_fork else None
            self.add(task, follower, loop, fork)

    def add(self, task: WorkflowTask, follower: str | None, loop: str | None, fork: str | None) -> None:
        kind = task_type(task["type"])
        definition = TaskDefinition.from_dict(task.get("taskDefinition") or _NO_DEFINITION)
        defaults = definition.input_template if kind.has_input_template else _NO_TEMPLATE
        inputs = {**defaults, **kind.input_parameters(task), **kind.added_inputs(task)}
        retry_limit = task.get("retryCount")
        node = Node(
            ref=task["taskReferenceName"],
            position=len(self.nodes),
            end=len(self.nodes) + 1,
            next=follower,
            loop=loop,
            fork=fork,
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
        for ref in kind.looks_at(task):
            self.last_read[ref] = max(self.last_read.get(ref, -1), node.position)
        for _path, children in kind.children(task):
            self.add_list(children, kind.after_children(task, follower), node.ref if kind.is_loop else loop)
        if len(self.nodes) > node.end:
            self.nodes[node.ref] = replace(node, end=len(self.nodes))

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
        waiting=_inside_out([node for node in compiler.nodes.values() if node.type.is_waiting]),
        timeout_ms=frozen["timeoutSeconds"] * 1000,
        is_timeout_fatal=frozen["timeoutPolicy"] == "TIME_OUT_WF",
    )


def compile_segment(graph: Graph, fork: str, content_hash: str) -> Graph:
    """What the segments of a fork run: it and the JOIN behind it, on their share of the list."""
    node = graph.node(fork)
    join = graph.node(node.next or "")
    alone = {"permissive": False, "startDelay": 0}  # an optional fork stays so: its branches are
    tasks = [{**node.task, **alone}, {**join.task, **alone, "optional": False, "inputParameters": {}}]
    none = {"outputParameters": {}, "inputTemplate": {}, "variables": {}, "failureWorkflow": "", "timeoutSeconds": 0}
    return compile_definition({**graph.definition, **none, "tasks": tasks}, content_hash)


def _inside_out(nodes: Sequence[Node]) -> tuple[str, ...]:
    """A loop comes behind all of its body, a loop at the end of it too, and before what follows it; a join is written behind its fork
    anyway."""
    return tuple(node.ref for node in sorted(nodes, key=lambda node: (node.end, node.type.is_loop, -node.position)))
