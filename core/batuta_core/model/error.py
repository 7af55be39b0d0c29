"""Every error that a caller can see: its code on the wire, its HTTP status, its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from batuta_core.model.frozen import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of an input. ``path`` leads to it from the root of the body: ``tasks[0].decisionCases.a[1].name``."""

    path: str
    message: str
    invalid_value: str | None = None

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {"path": self.path, "message": self.message}
        if self.invalid_value is not None:
            found["invalidValue"] = self.invalid_value
        return found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Problem:
        return cls(str(data.get("path", "")), str(data.get("message", "")), data.get("invalidValue"))


class BatutaError(Exception):
    """Base of all of them. ``code`` is never reused and never renamed; ``facts`` are the ids and sizes it is about."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    remedy: str = "Look into the server's log for the request id, and report it."

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        self.facts = facts

    def to_dict(self) -> dict[str, Any]:
        """The body of an HTTP error: Conductor's fields first, then ours."""
        body: dict[str, Any] = {
            "status": self.http_status,
            "message": self.message,
            "retryable": self.retryable,
            "code": self.code,
            "remedy": self.remedy,
        }
        if self.problems:
            body["validationErrors"] = [problem.to_dict() for problem in self.problems]
        if self.facts:
            body["metadata"] = {name: str(value) for name, value in self.facts.items()}
        return body


class InvalidInput(BatutaError):
    code = "invalid_input"
    http_status = 400
    remedy = "Correct the request as the message says and send it again; nothing of it was done."

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), **facts: Any) -> None:
        super().__init__(message, problems=problems, **facts)
        if problems:
            self.remedy = "Correct the fields named in validationErrors and send the request again; nothing of it was done."


class WorkflowDefinitionNotFound(BatutaError):
    code = "workflow_definition_not_found"
    http_status = 404
    remedy = "Register the definition in this namespace, or name a version that exists."


class TaskDefinitionNotFound(BatutaError):
    code = "task_definition_not_found"
    http_status = 404
    remedy = "Register the task definition in this namespace."


class WorkflowNotFound(BatutaError):
    code = "workflow_not_found"
    http_status = 404
    remedy = "Check the id and the namespace; the execution may have been removed."


class TaskNotFound(BatutaError):
    code = "task_not_found"
    http_status = 404
    remedy = "Check the id and the namespace; the execution may have been removed."


class RouteNotFound(BatutaError):
    code = "route_not_found"
    http_status = 404
    remedy = "Check path and method; the base of all routes is /api, or /ns/<namespace>/api."


class NamespaceNotServed(BatutaError):
    code = "namespace_not_served"
    http_status = 404
    remedy = "Name a namespace of this stage, or add it to the stage's namespaces and deploy."


class HandlerNotFound(BatutaError):
    code = "event_handler_not_found"
    http_status = 404
    remedy = "Register the event handler in this namespace."


class HandlerExists(BatutaError):
    code = "event_handler_exists"
    http_status = 409
    remedy = "Use another name, or replace it with PUT."


class DefinitionExists(BatutaError):
    code = "definition_exists"
    http_status = 409
    remedy = "Use another version, or send overwrite=true."


class ExecutionExists(BatutaError):
    code = "execution_exists"
    http_status = 409
    remedy = "Use another idempotency key, or idempotencyStrategy RETURN_EXISTING."


class OperationRefused(BatutaError):
    code = "operation_refused"
    http_status = 409
    remedy = "Read the execution's status; the operation does not apply to it."


class NotEndedYet(OperationRefused):
    code = "not_ended_yet"
    http_status = 404  # Conductor's
    remedy = "Wait until the execution has ended, or terminate it."


class NotRestartable(OperationRefused):
    code = "not_restartable"
    http_status = 404  # Conductor's
    remedy = "The definition says that a completed execution is not restarted: rerun it, or start another."


class PayloadTooLarge(BatutaError):
    code = "payload_too_large"
    http_status = 413
    remedy = "Store the data elsewhere and pass a reference to it."


class RecordTooLarge(PayloadTooLarge):
    """What one decision would write does not fit into an item of the journal, whatever payloads leave it."""

    code = "record_too_large"
    remedy = "Fork fewer branches at once, give them smaller inputs, or fork workflows that fork again."


class ExecutionTooLarge(BatutaError):
    code = "execution_too_large"
    http_status = 413
    remedy = "Read it with includeTasks=false, and its tasks in pages: /workflow/{id}/tasks?start=0&count=15."


class TokenRefused(BatutaError):
    code = "token_refused"
    http_status = 403
    remedy = "Send the token of the task message unchanged; a task that was scheduled anew has a new one."


class NewerSchema(BatutaError):
    code = "newer_schema"
    http_status = 503
    retryable = True
    remedy = "A newer version of Batuta wrote this: finish the upgrade; the message waits until then."


class StaleHead(BatutaError):
    code = "stale_head"
    http_status = 409
    retryable = True
    remedy = "Reload the execution and decide again."


class Unavailable(BatutaError):
    code = "unavailable"
    http_status = 503
    retryable = True
    remedy = "Try again in a moment: a service below is throttling or did not answer."


class ResourceMissing(BatutaError):
    code = "resource_missing"
    http_status = 503
    remedy = "A table, queue or bucket of this stage does not exist: deploy the stage again."


def _all_errors() -> dict[str, type[BatutaError]]:
    found: dict[str, type[BatutaError]] = {}
    open_classes: list[type[BatutaError]] = [BatutaError]
    while open_classes:
        cls = open_classes.pop()
        found.setdefault(cls.code, cls)  # a subclass without a code of its own comes back as its parent
        open_classes.extend(cls.__subclasses__())
    return found


def error_from_dict(body: Mapping[str, Any]) -> BatutaError:
    """Rebuilds the class that the server raised; an unknown code of a newer server becomes the base class."""
    cls = _all_errors().get(str(body.get("code")), BatutaError)
    problems = [Problem.from_dict(item) for item in body.get("validationErrors") or () if isinstance(item, Mapping)]
    facts = body.get("metadata")
    error = cls(str(body.get("message", "")), problems=problems)
    error.facts = dict(facts) if isinstance(facts, dict) else {}  # not as arguments: a stranger's may have any name
    return error
