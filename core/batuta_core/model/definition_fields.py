"""Conductor's definitions field by field (reference section 1): what each holds, and what it is when absent."""

from __future__ import annotations

from typing import Any

from batuta_core.model.lenient import (
    Field,
    Fields,
    Place,
    list_of,
    map_of,
    object_of,
    one_of,
    read_anything,
    read_flag,
    read_object,
    read_text,
    whole_number,
)


def _read_task(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, dict) and value.get("type") is None and value.get("workflowTaskType") is not None:
        value = {**value, "type": value["workflowTaskType"]}  # its second name, which Conductor reads and never writes
    return read_object(WORKFLOW_TASK, value, place)


def _read_sub_workflow(value: Any, place: Place) -> dict[str, Any]:
    found = read_object(_SUB_WORKFLOW, value, place)
    inline = found.get("workflowDefinition")
    if not isinstance(inline, dict):
        return found
    # An inline definition has its own name and version; what stands beside it is overruled.
    named = {name: inline[name] for name in ("name", "version") if name in inline}
    return {**named, **{name: item for name, item in found.items() if name not in ("name", "version")}}


def _read_child_definition(value: Any, place: Place) -> Any:
    if isinstance(value, str):
        if not (value.startswith("${") and value.endswith("}")):
            place.refuse("workflowDefinition is a string, but not a valid DSL string", value)
        return value
    return read_object(WORKFLOW, value, place)


# --- kinds of fields, named for what Java has there

_TEXT = Field(read_text)
_INT = Field(whole_number(32), 0, 0)
_LONG = Field(whole_number(64), 0, 0)
_INTEGER = Field(whole_number(32))
_ANYTHING = Field(read_anything)
_TEXTS = Field(list_of(read_text), list, list)
_PAYLOAD = Field(map_of(read_anything), dict, dict)
_TASKS = Field(list_of(_read_task), list, list)


def _int(default: int) -> Field:
    return Field(_INT.read, default, 0)


def _integer(default: int) -> Field:
    return Field(_INTEGER.read, default, default)


def _boolean(default: bool) -> Field:
    return Field(read_flag, default, False)


def _constant(default: str | None, *constants: str) -> Field:
    return Field(one_of(*constants), default, default)


# --- the tables: reference section 1; the order of an enum's constants is Conductor's

_AUDIT: Fields = {"ownerApp": _TEXT, "createTime": _LONG, "updateTime": _LONG, "createdBy": _TEXT, "updatedBy": _TEXT}

_SCHEMA: Fields = {
    **_AUDIT,
    "name": _TEXT,
    "version": _int(1),
    "type": _constant(None, "JSON", "AVRO", "PROTOBUF"),
    "data": Field(_PAYLOAD.read),
    "externalRef": _TEXT,
}
_SCHEMA_FIELD = Field(object_of(lambda: _SCHEMA))

_CACHE_CONFIG: Fields = {"key": _TEXT, "ttlInSecond": _INT}
_CACHE_FIELD = Field(object_of(lambda: _CACHE_CONFIG))

_RATE_LIMIT: Fields = {"rateLimitKey": _TEXT, "concurrentExecLimit": _INT, "policy": _constant("QUEUE", "QUEUE", "REJECT")}

_STATE_CHANGE: Fields = {"type": _TEXT, "payload": Field(_PAYLOAD.read)}

TASK: Fields = {
    **_AUDIT,
    "name": _TEXT,
    "description": _TEXT,
    "retryCount": _int(3),
    "timeoutSeconds": _LONG,
    "inputKeys": _TEXTS,
    "outputKeys": _TEXTS,
    "runtimeMetadata": _TEXTS,
    "timeoutPolicy": _constant("TIME_OUT_WF", "RETRY", "TIME_OUT_WF", "ALERT_ONLY"),
    "retryLogic": _constant("FIXED", "FIXED", "EXPONENTIAL_BACKOFF", "LINEAR_BACKOFF"),
    "retryDelaySeconds": _int(60),
    "responseTimeoutSeconds": Field(_LONG.read, 3600, 0),
    "concurrentExecLimit": _INTEGER,
    "inputTemplate": _PAYLOAD,
    "rateLimitPerFrequency": _integer(0),
    "rateLimitFrequencyInSeconds": _integer(1),
    "isolationGroupId": _TEXT,
    "executionNameSpace": _TEXT,
    "ownerEmail": _TEXT,
    "pollTimeoutSeconds": _INTEGER,
    "backoffScaleFactor": _integer(1),
    "maxRetryDelaySeconds": _INT,
    "backoffJitterMs": _INT,
    "baseType": _TEXT,
    "totalTimeoutSeconds": _LONG,
    "taskStatusListenerEnabled": _boolean(True),
    "inputSchema": _SCHEMA_FIELD,
    "outputSchema": _SCHEMA_FIELD,
    "enforceSchema": _boolean(False),
    "queue": _TEXT,  # ours: the task queue that several task types share
}

_SUB_WORKFLOW: Fields = {
    "name": _TEXT,
    "version": _INTEGER,
    "taskToDomain": Field(map_of(read_text)),
    "workflowDefinition": Field(_read_child_definition),
    "idempotencyKey": _TEXT,
    "idempotencyStrategy": _constant(None, "FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"),
    "priority": _ANYTHING,
}

WORKFLOW_TASK: Fields = {
    "name": _TEXT,
    "taskReferenceName": _TEXT,
    "description": _TEXT,
    "inputParameters": _PAYLOAD,
    "type": Field(read_text, "SIMPLE", "SIMPLE"),
    "dynamicTaskNameParam": _TEXT,
    "caseValueParam": _TEXT,
    "caseExpression": _TEXT,
    "scriptExpression": _TEXT,
    "decisionCases": Field(map_of(_TASKS.read), dict, dict),
    "dynamicForkJoinTasksParam": _TEXT,
    "dynamicForkTasksParam": _TEXT,
    "dynamicForkTasksInputParamName": _TEXT,
    "defaultCase": _TASKS,
    "forkTasks": Field(list_of(_TASKS.read), list, list),
    "startDelay": _INT,
    "subWorkflowParam": Field(_read_sub_workflow),
    "joinOn": _TEXTS,
    "sink": _TEXT,
    "optional": _boolean(False),
    "taskDefinition": Field(object_of(lambda: TASK)),
    "rateLimited": Field(read_flag),
    "defaultExclusiveJoinTask": _TEXTS,
    "asyncComplete": _boolean(False),
    "loopCondition": _TEXT,
    "loopOver": _TASKS,
    "items": _TEXT,
    "retryCount": _INTEGER,
    "evaluatorType": _TEXT,
    "expression": _TEXT,
    "onStateChange": Field(map_of(list_of(object_of(lambda: _STATE_CHANGE))), dict, dict),
    "joinStatus": _TEXT,
    "joinMode": _constant(None, "SYNC", "ASYNC"),
    "cacheConfig": _CACHE_FIELD,
    "permissive": _boolean(False),
    "metadata": _PAYLOAD,
}

WORKFLOW: Fields = {
    **_AUDIT,
    "name": _TEXT,
    "description": _TEXT,
    "version": _int(1),
    "tasks": _TASKS,
    "inputParameters": _TEXTS,
    "outputParameters": _PAYLOAD,
    "failureWorkflow": _TEXT,
    "failureWorkflowVersion": _INTEGER,
    "schemaVersion": _int(2),
    "restartable": _boolean(True),
    "workflowStatusListenerEnabled": _boolean(False),
    "workflowStatusListenerSink": _TEXT,
    "ownerEmail": _TEXT,
    "timeoutPolicy": _constant("ALERT_ONLY", "TIME_OUT_WF", "ALERT_ONLY"),
    "timeoutSeconds": _LONG,
    "variables": _PAYLOAD,
    "inputTemplate": _PAYLOAD,
    "rateLimitConfig": Field(object_of(lambda: _RATE_LIMIT)),
    "inputSchema": _SCHEMA_FIELD,
    "outputSchema": _SCHEMA_FIELD,
    "enforceSchema": _boolean(True),
    "metadata": _PAYLOAD,
    "cacheConfig": _CACHE_FIELD,
    "maskedFields": _TEXTS,
}
