"""What event handlers do about a published event: at least once they try, once it has its effect.

An event may come again at any time: whoever handled it may have died, and another may be handling it right now. So

* an execution that an action starts has an id that derives from the event, the handler and the action;
* an action on an execution is an operation with a name of its own, derived likewise. Before it, the action's record notes where the
  execution stood; whoever carries it out looks for that name in the records behind (``operate.Once``), and the journal's conditional
  write lets one of two through;
* an action whose record says how it ended is not looked at again.

What can be done another time raises (a service below is throttling), and the event comes again. What cannot is the action's own end:
its record says FAILED and why, and no other action, no other handler and no EVENT task suffers from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from batuta_core.decider.expression.reading import Budget
from batuta_core.decider.expression.template_parser import compile_template
from batuta_core.decider.expression.text import java_text
from batuta_core.decider.known import DefinitionName, Language, Script
from batuta_core.decider.tasks.scripts import NO_PYTHON, PYTHON, VALUE_PARAM
from batuta_core.engine import child, operate, operations, timers
from batuta_core.engine.event_ports import ActionStatus, HandlerAction
from batuta_core.engine.ports import Ports
from batuta_core.model import ids
from batuta_core.model.error import BatutaError, InvalidInput, ResourceMissing
from batuta_core.model.event import WorkflowStarted
from batuta_core.model.execution import TaskStatus
from batuta_core.model.frozen import dataclass
from batuta_core.model.handler import COMPLETE_TASK, FAIL_TASK, START_WORKFLOW, TERMINATE_WORKFLOW, UPDATE_VARIABLES
from batuta_core.model.json_text import strict_json
from batuta_core.model.lenient import is_too_deep
from batuta_core.model.names import ExecutionId

MESSAGE_ID = "conductor.event.messageId"  # Conductor's keys in what an action hands on
EVENT_NAME = "conductor.event.name"
_CONDITION = -1
_ERROR_MAX_CHARS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An event for the handlers. ``message_id`` names it: what has the same one is the same event."""

    namespace: str
    name: str
    message_id: str
    payload: Any
    at_ms: int


def handle(ports: Ports, published: Published) -> None:
    """Has every active handler of the event act. Raises when one of them must be tried again; the others have acted then."""
    again: BatutaError | None = None
    for handler in ports.definitions.handlers(published.namespace, published.name):
        if handler["active"]:
            try:
                _run(ports, published, handler)
            except BatutaError as error:
                if not _is_passing(error):
                    raise
                again = error
    if again is not None:
        raise again


def _is_passing(error: BatutaError) -> bool:
    """Whether the same may go well another time."""
    return error.retryable or isinstance(error, ResourceMissing)


def _run(ports: Ports, published: Published, handler: Mapping[str, Any]) -> None:
    refusal = _refusal(ports, published, handler)
    if refusal is not None:
        ports.actions.begin(refusal)
        return
    again: BatutaError | None = None
    for index in range(len(handler["actions"])):
        try:
            _act(ports, published, handler, index)
        except BatutaError as error:
            if not _is_passing(error):
                raise
            again = error
    if again is not None:
        raise again


# --- conditions


def _refusal(ports: Ports, published: Published, handler: Mapping[str, Any]) -> HandlerAction | None:
    """The record that nothing is done, and why; None when the condition holds, or there is none."""
    condition = handler.get("condition")
    if not (condition or "").strip():
        return None
    note = _note(published, handler, _CONDITION, "condition")
    payload = expanded(published.payload)
    evaluator = handler.get("evaluatorType")
    if evaluator == PYTHON:
        return replace(note, status=ActionStatus.FAILED, output={"error": NO_PYTHON})
    if evaluator == VALUE_PARAM:
        value = payload.get(condition) if isinstance(payload, Mapping) else None
    else:  # as Conductor does it: what it does not know is JavaScript
        text = json.dumps(payload, separators=(",", ":"))
        seed = f"{published.message_id}:{handler['name']}"
        (result,) = ports.scripts.run([Script(Language.JAVASCRIPT, str(condition), text, published.at_ms, seed)])
        if result.error is not None:
            return replace(note, status=ActionStatus.FAILED, output={"error": result.error[:_ERROR_MAX_CHARS]})
        value = result.value
    is_met = value if isinstance(value, bool) else isinstance(value, (int, float)) and value > 0
    return None if is_met else replace(note, status=ActionStatus.SKIPPED)


def expanded(value: Any) -> Any:
    """With JSON objects and lists in place of the texts that spell them."""
    if isinstance(value, dict):
        return {key: expanded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            found = strict_json(value)
        except (ValueError, RecursionError):
            return value
        return value if is_too_deep(found) else expanded(found)
    return value


# --- actions


def _note(published: Published, handler: Mapping[str, Any], index: int, action: str) -> HandlerAction:
    return HandlerAction(
        namespace=published.namespace,
        message_id=published.message_id,
        handler=handler["name"],
        index=index,
        event=published.name,
        action=action,
        at_ms=published.at_ms,
    )


def _act(ports: Ports, published: Published, handler: Mapping[str, Any], index: int) -> None:
    action = handler["actions"][index]
    kind = action["action"]
    note = _note(published, handler, index, kind)
    try:
        if kind not in _DO:
            raise InvalidInput(f"Action not supported {kind} for event {published.name}")
        given = _evaluated(published, action)
        if kind != START_WORKFLOW:
            note = _aimed(ports, note, _workflow_of(given))
    except BatutaError as error:
        ports.actions.begin(_failed(ports, note, error))  # over no record of what was done when this was handled before
        return
    note = ports.actions.begin(note) or note
    if note.status is not ActionStatus.IN_PROGRESS:
        return
    try:
        output = _DO[kind](ports, published, note, given)
    except BatutaError as error:
        ports.actions.end(_failed(ports, note, error))
    else:
        ports.actions.end(replace(note, status=ActionStatus.COMPLETED, output=output))


def _aimed(ports: Ports, note: HandlerAction, workflow_id: str) -> HandlerAction:
    newest = operate.require_newest(ports, ExecutionId(note.namespace, workflow_id))
    return replace(note, workflow_id=workflow_id, since=newest.seq)


def _failed(ports: Ports, note: HandlerAction, error: BatutaError) -> HandlerAction:
    """The action's end; raises ``error`` again when another time may go better."""
    if _is_passing(error):
        raise error
    message = error.message[:_ERROR_MAX_CHARS]
    ports.log.warning("handler_action_failed", handler=note.handler, action=note.action, error=message)
    return replace(note, status=ActionStatus.FAILED, output={"error": message})


def _evaluated(published: Published, action: Mapping[str, Any]) -> dict[str, Any]:
    """What the action is to do, its expressions read from the payload. Names and versions of definitions are literal."""
    given = {key: value for key, value in (action.get(action["action"]) or {}).items() if key not in ("name", "version")}
    payload = expanded(published.payload) if action["expandInlineJSON"] else published.payload
    found = compile_template(given).resolve(_Payload(payload))
    return {**(action.get(action["action"]) or {}), **found}


class _Payload:
    """What the expressions of an action read: the payload itself is the document."""

    def __init__(self, payload: Any) -> None:
        self._payload = payload if isinstance(payload, Mapping) else {}

    def field(self, root: str, name: str, key: str | None = None) -> Any:
        found = self._payload.get(root)
        return found.get(name) if isinstance(found, Mapping) else None

    def document(self, root: str) -> Any:
        return self._payload.get(root)

    def task_id(self) -> str | None:
        return None


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    return None if value is None or value == "" else java_text(value, Budget())


def _about(published: Published) -> dict[str, Any]:
    return {MESSAGE_ID: published.message_id, EVENT_NAME: published.name}


def _start(ports: Ports, published: Published, note: HandlerAction, given: Mapping[str, Any]) -> dict[str, Any]:
    """Sends the start to the decider, which drops it when that execution has begun."""
    name = given.get("name")
    if not name:
        raise InvalidInput("start_workflow names no workflow.")
    found = ports.catalog.require(ports, note.namespace, DefinitionName(name, given.get("version")))
    workflow_id = ids.workflow_id_of_event(note.namespace, note.message_id, note.handler, note.index)
    payload = published.payload if isinstance(published.payload, Mapping) else {}
    domains = given.get("taskToDomain") or payload.get("taskToDomain") or {}
    event = WorkflowStarted(
        op=_op(note),
        definition=found.hash,
        name=found.name,
        version=found.version,
        correlation_id=_text(given, "correlationId"),
        event=published.name,
        trigger="EVENT",
        task_to_domain={str(key): str(value) for key, value in domains.items()} if isinstance(domains, Mapping) else {},
        retention_s=ports.retention_s,
    )
    target = ExecutionId(note.namespace, workflow_id)
    started_input = {**given["input"], **_about(published)}
    message = child.with_payload(ports, target, started_input, lambda told: replace(event, input=told))
    ports.queues.send(timers.inbox_queue(ports), [message])
    return {"workflowId": workflow_id}


def _report(status: TaskStatus) -> Callable[[Ports, Published, HandlerAction, Mapping[str, Any]], dict[str, Any]]:
    def report(ports: Ports, published: Published, note: HandlerAction, given: Mapping[str, Any]) -> dict[str, Any]:
        """The task's output is replaced by all that the action says, nulls among it (Conductor)."""
        said = {key: given.get(key) for key in ("workflowId", "taskId", "taskRefName", "reasonForIncompletion")}
        output = {**given["output"], **said, **_about(published)}
        task = operate.TaskReport(status=status, output=output, reason=_text(given, "reasonForIncompletion"))
        once = operate.Once(_op(note), note.since)
        task_id, ref = _text(given, "taskId"), _text(given, "taskRefName")
        if task_id:
            operate.update_task(ports, note.namespace, note.workflow_id, task_id, task, once)
            return output
        if not ref:
            raise InvalidInput(f"{note.action} names no task: it wants taskId, or workflowId and taskRefName.")
        execution = ExecutionId(note.namespace, note.workflow_id)
        if operate.update_by_ref(ports, execution, ref, task, once) is None and not _is_done(ports, execution, once):
            return {**output, "error": f"No task found with reference name: {ref}, workflowId: {note.workflow_id}"}
        return output

    return report


def _is_done(ports: Ports, execution: ExecutionId, once: operate.Once) -> bool:
    return once.is_done(ports, execution, operate.require_newest(ports, execution))


def _terminate(ports: Ports, published: Published, note: HandlerAction, given: Mapping[str, Any]) -> dict[str, Any]:
    execution = ExecutionId(note.namespace, note.workflow_id)
    operate.terminate(ports, execution, _text(given, "terminationReason"), once=operate.Once(_op(note), note.since))
    return {"workflowId": note.workflow_id, **_about(published)}


def _update_variables(ports: Ports, published: Published, note: HandlerAction, given: Mapping[str, Any]) -> dict[str, Any]:
    execution, once = ExecutionId(note.namespace, note.workflow_id), operate.Once(_op(note), note.since)
    operations.update_variables(ports, execution, given["variables"], is_appending=bool(given.get("appendArray")), once=once)
    return {"workflowId": note.workflow_id, **_about(published)}


def _op(note: HandlerAction) -> str:
    return f"event-{ids.short_hash(note.message_id, note.handler, str(note.index))}"


def _workflow_of(given: Mapping[str, Any]) -> str:
    """The execution that the action acts upon."""
    workflow_id = _text(given, "workflowId") or ""
    key = ids.parse_task_id(_text(given, "taskId") or "")
    return key.workflow_id if key else workflow_id


_DO: Mapping[str, Callable[[Ports, Published, HandlerAction, Mapping[str, Any]], dict[str, Any]]] = {
    START_WORKFLOW: _start,
    COMPLETE_TASK: _report(TaskStatus.COMPLETED),
    FAIL_TASK: _report(TaskStatus.FAILED),
    TERMINATE_WORKFLOW: _terminate,
    UPDATE_VARIABLES: _update_variables,
}
