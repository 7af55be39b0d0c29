"""Namespaces, stages, and the one function that gives every task queue its name."""

from __future__ import annotations

import base64
import re

from batuta_core.model.error import InvalidInput, Problem
from batuta_core.model.frozen import dataclass
from batuta_core.model.ids import digest_of

DEFAULT_NAMESPACE = "default"
NAMESPACE_RULE = "1 to 32 of a-z, 0-9, - and _, beginning and ending with a letter or digit, without --"
STAGE_RULE = "1 to 16 of a-z, 0-9 and -, beginning and ending with a letter or digit, without --"

# Two dashes separate the parts of a name, so that a pattern of a policy matches one stage, or one namespace, and no other.
_NAMESPACE = re.compile(r"(?!.*--)[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_STAGE = re.compile(r"(?!.*--)[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?")
_NOT_IN_QUEUE_NAMES = re.compile(r"[^A-Za-z0-9_]+")

QUEUE_NAME_MAX = 80  # SQS quota "Queue name"
_PRIORITY = "-p"  # ends the name of a priority queue
# Of so many receives while a queue and its priority queue hold tasks one begins with the former, which so gets at least this share: no
# priority is starved (ADR 23).
OWN_FIRST_OF = 8
_HASH_CHARS = 16  # 80 bits: two of a billion task types meet with a chance of 1 : 2,000,000


@dataclass(frozen=True, slots=True, order=True)
class ExecutionId:
    """A workflow execution. Its workflow id alone says nothing about the namespace, so the two always travel together."""

    namespace: str
    workflow_id: str

    def __str__(self) -> str:
        return f"{self.namespace}#{self.workflow_id}"

    @classmethod
    def parse(cls, text: str) -> ExecutionId:
        namespace, _, workflow_id = text.partition("#")
        return cls(namespace, workflow_id)


def check_namespace(text: str) -> str:
    """The namespace itself, or InvalidInput."""
    if not _NAMESPACE.fullmatch(text):
        raise InvalidInput(
            f"'{text[:64]}' is not a namespace: {NAMESPACE_RULE}.", problems=[Problem("namespace", NAMESPACE_RULE, text[:64])]
        )
    return text


def check_stage(text: str) -> str:
    """The stage itself, or InvalidInput."""
    if not _STAGE.fullmatch(text):
        raise InvalidInput(f"'{text[:64]}' is not a stage: {STAGE_RULE}.", problems=[Problem("stage", STAGE_RULE, text[:64])])
    return text


def resource_name(stage: str, what: str) -> str:
    """The name of a table or queue that a stage has once: ``batuta-prod--decider.fifo``."""
    return f"batuta-{stage}--{what}"


def task_queue_name(stage: str, namespace: str, task_type: str, domain: str = "") -> str:
    """The SQS queue of a task type: ``batuta-prod--shop--charge_card-<hash>``, at most 80 of ``[A-Za-z0-9_-]``.

    Task types hold any characters in any number, so the readable part is only a help for
    the eye; the hash over all four makes the name injective.
    """
    digest = base64.b32encode(digest_of(stage, namespace, task_type, domain)).decode().lower()[:_HASH_CHARS]
    prefix = f"batuta-{stage}--{namespace}--"
    shown = _NOT_IN_QUEUE_NAMES.sub("_", f"{task_type}-{domain}" if domain else task_type)
    return f"{prefix}{shown[: QUEUE_NAME_MAX - len(prefix) - _HASH_CHARS - 1]}-{digest}"


def priority_queue_name(task_queue: str) -> str:
    """The queue beside ``task_queue`` for what is of a higher priority: ``batuta-prod--shop--charge_card-<hash>-p``.

    The hash stays, so this is injective, too; and it is no task queue's name, since those end with their hash.
    """
    shown, _dash, digest = task_queue.rpartition("-")
    return f"{shown[: QUEUE_NAME_MAX - _HASH_CHARS - 1 - len(_PRIORITY)]}-{digest}{_PRIORITY}"


def is_priority_queue(queue: str) -> bool:
    return queue.endswith(_PRIORITY)


# --- segments

_SEGMENT_MARK = "#"  # no content hash holds it


def segment_definition(content_hash: str, fork: str) -> str:
    """What the segments of a fork run, named by the definition of the execution that forks. It is made from that, never stored."""
    return content_hash if is_segment(content_hash) else f"{content_hash}{_SEGMENT_MARK}{fork}"


def is_segment(definition: str) -> bool:
    """Whether what runs that definition is a segment: an execution that users do not see, of some branches of a wide fork."""
    return _SEGMENT_MARK in definition


def forking_definition(definition: str) -> tuple[str, str]:
    """The content hash and the fork that a segment's definition is named by."""
    content_hash, _, fork = definition.partition(_SEGMENT_MARK)
    return content_hash, fork
