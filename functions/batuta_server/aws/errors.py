"""What AWS answers when it refuses or does not answer, and what that is to our callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batuta_core.engine.ports import QueueMissing
from batuta_core.model.aws_codes import is_retriable
from batuta_core.model.error import BatutaError, ResourceMissing, Unavailable

NO_ANSWER = "NoAnswer"  # ours: no connection, a time-out, a torn answer; the call may or may not have happened
_NO_QUEUE = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})
# Missing, or not ours to use: deploying mends both, and until then nobody's work may be given up for it.
_NO_RESOURCE = frozenset(
    {
        "ResourceNotFoundException",
        "AccessDenied",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredTokenException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "KmsAccessDenied",
        "KmsDisabled",
    }
)


class AwsError(Exception):
    """A refusal, or no answer. Does not leave ``aws/``."""

    def __init__(self, code: str, message: str, http_status: int = 0, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.http_status = http_status
        self.body: Mapping[str, Any] = body or {}

    @property
    def is_retriable(self) -> bool:
        return self.code == NO_ANSWER or is_retriable(self.code) or self.http_status >= 500 or self.http_status == 429

    @property
    def is_queue_missing(self) -> bool:
        return self.code in _NO_QUEUE


def refusal(status: int, body: Mapping[str, Any]) -> AwsError:
    """The error in an answer of the JSON protocols: ``__type`` is ``namespace#Code``."""
    code = str(body.get("__type") or body.get("code") or f"Http{status}").rpartition("#")[2].partition(":")[0]
    message = body.get("message") or body.get("Message") or ""
    return AwsError(code, str(message), status, body)


def to_batuta(error: AwsError, doing: str) -> BatutaError:
    """What the caller of a port gets to see, to be raised ``from error``. ``doing`` names the call and its table or queue."""
    message = f"{doing}: {error}"
    if error.is_queue_missing:
        return QueueMissing(message)
    if error.is_retriable:
        return Unavailable(message)
    if error.code in _NO_RESOURCE:
        return ResourceMissing(message)
    return BatutaError(message, code=error.code)
