"""What each function may do, and nothing more. ``docs/explanation/security.md`` holds the same as a table; a test compares.

Written by hand from the calls that the adapters in ``batuta_server/aws`` make on behalf of each function: CDK's ``grant_...``
methods give more. TransactWriteItems and the batches of SQS have no actions of their own: they count as what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aws_cdk import aws_iam as iam

from batuta_server import layout
from infra.names import Arns, token_keys_parameter

# The journal, the summaries and the log lines of executions: read, append, and purge what was removed.
_JOURNAL = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
_OPERATE = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem")  # the same without the purge
# Definitions as the engine needs them: find and freeze.
_FREEZE = ("GetItem", "BatchGetItem", "Query", "PutItem")
# Registration on top: a transaction that raises the namespace's revision, and deletes.
_REGISTER = (*_FREEZE, "UpdateItem", "DeleteItem")
_ARM = ("PutItem",)  # a far timer, or the mover's cursor
_MOVE = ("GetItem", "Query", "PutItem", "BatchWriteItem")  # far timers that come near, and the cursor
_LIMIT = ("GetItem", "Query", "PutItem", "BatchWriteItem")  # gates of task types with limits, which lie beside the timers

_SEND = ("GetQueueUrl", "SendMessage")
_SWEEP = ("GetQueueUrl", "ReceiveMessage", "DeleteMessage")  # once a minute, by the function itself
_CONSUME = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")  # what Lambda does for its event sources
_MAKE = ("CreateQueue", "GetQueueUrl")  # a task queue; the latter of one that is there with other attributes
# An HTTP worker's poll takes, gives back and deletes; registration makes queues; sizes are shown.
_SERVE = (*_MAKE, "GetQueueAttributes", "SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
_RUN = ("InvokeFunction",)  # tasks that a function runs
_NAME = ("GetQueueUrl", "GetQueueAttributes")  # its ARN goes into the redrive policy of new task queues


def allow(service: str, actions: Sequence[str], resources: Sequence[str], **conditions: Mapping[str, object]) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=sorted(f"{service}:{action}" for action in actions), resources=list(resources), conditions=conditions or None
    )


# Batches have no actions of their own on AWS; the emulator (ministack 1.5.33) asks for some nevertheless.
_EMULATED_BATCHES = ("sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")


def for_emulator(statements: Sequence[iam.PolicyStatement]) -> list[iam.PolicyStatement]:
    for statement in statements:
        statement.add_actions(*(f"{action}Batch" for action in statement.actions if action in _EMULATED_BATCHES))
    return list(statements)


def api(arns: Arns) -> list[iam.PolicyStatement]:
    return [
        _scripts(arns),
        allow("dynamodb", _JOURNAL, [arns.table(layout.EXECUTIONS)]),
        allow("dynamodb", ("Query",), arns.indexes(layout.EXECUTIONS)),
        allow("dynamodb", _REGISTER, [arns.table(layout.DEFINITIONS)]),
        allow("dynamodb", _ARM, [arns.table(layout.TIMERS)]),
        allow("sqs", _SEND, [arns.queue(layout.DECIDER_QUEUE), arns.queue(layout.TIMERS_QUEUE)]),
        allow("sqs", _SERVE, arns.task_queues()),
        allow("sqs", _NAME, [arns.queue(layout.TASK_DEAD_LETTERS)]),
        allow("lambda", _RUN, [arns.function(queue.what) for queue in layout.SYSTEM_QUEUES]),
        *_payloads(arns),
        allow("s3", ("GetObject", "PutObject"), arns.uploads()),  # what the URLs that it signs may do, and to take in what came by them
        _token_keys(arns),
    ]


def decider(arns: Arns) -> list[iam.PolicyStatement]:
    return [
        _scripts(arns),
        allow("dynamodb", _JOURNAL, [arns.table(layout.EXECUTIONS)]),
        allow("dynamodb", _FREEZE, [arns.table(layout.DEFINITIONS)]),
        allow("dynamodb", (*_ARM, *_LIMIT), [arns.table(layout.TIMERS)]),
        allow("sqs", (*_CONSUME, *_SEND), [arns.queue(layout.DECIDER_QUEUE)]),
        allow("sqs", _SEND, [arns.queue(layout.TIMERS_QUEUE)]),
        allow("sqs", _SEND, arns.task_queues()),
        allow("sqs", _NAME, [arns.queue(layout.TASK_DEAD_LETTERS)]),
        allow("sqs", _SWEEP, [arns.queue(queue) for queue in (layout.DEAD_LETTERS, layout.FIFO_DEAD_LETTERS, layout.TASK_DEAD_LETTERS)]),
        allow("lambda", _RUN, [arns.function(queue.what) for queue in layout.SYSTEM_QUEUES]),
        *_payloads(arns),
        _token_keys(arns),
    ]


def timers(arns: Arns) -> list[iam.PolicyStatement]:
    return [
        allow("dynamodb", ("GetItem", "Query"), [arns.table(layout.EXECUTIONS)]),  # whether somebody still needs the timer or guard
        allow("dynamodb", _MOVE, [arns.table(layout.TIMERS)]),
        allow("sqs", (*_CONSUME, *_SEND), [arns.queue(layout.TIMERS_QUEUE)]),
        allow("sqs", _SEND, [arns.queue(layout.DECIDER_QUEUE)]),
        allow("sqs", _MAKE, arns.task_queues()),  # of types that a running execution names first
        allow("sqs", _NAME, [arns.queue(layout.TASK_DEAD_LETTERS)]),
        _token_keys(arns),
    ]


def stage(arns: Arns, *, retain: bool) -> list[iam.PolicyStatement]:
    """Of the function that makes the token keys, and clears away what was made at run time."""
    statements = [
        allow("ssm", ("GetParameter", "PutParameter", "DeleteParameter"), [arns.parameter(token_keys_parameter(arns.stage))]),
        allow("sqs", ("ListQueues",), ["*"]),  # SQS knows no narrower resource for it
        allow("sqs", ("DeleteQueue",), [arns.all_task_queues()]),
    ]
    if not retain:
        statements += [
            allow("s3", ("ListBucket",), [arns.bucket()]),
            allow("s3", ("DeleteObject",), [f"{arns.bucket()}/*"]),
        ]
    return statements


def http(arns: Arns) -> list[iam.PolicyStatement]:
    """It runs what users ask for, so it may do nothing but report, and Lambda in its name what it did not live to report."""
    return [
        allow("sqs", _SEND, [arns.queue(layout.DECIDER_QUEUE)]),
        allow("sqs", ("SendMessage",), [arns.queue(layout.TASK_DEAD_LETTERS)]),
    ]


def events(arns: Arns) -> list[iam.PolicyStatement]:
    """It does to executions what users' event handlers want done, as the API does for users; it deletes nothing and serves no worker.
    Beyond the stage it reaches what the deployment names."""
    outside = (
        ("sqs", _SEND, arns.event_sinks("sqs")),
        ("sns", ("Publish",), arns.event_sinks("sns")),
        ("events", ("PutEvents",), arns.event_sinks("eventbridge")),
        ("sqs", _CONSUME, arns.event_sources()),
    )
    return [
        _scripts(arns),
        allow("dynamodb", _OPERATE, [arns.table(layout.EXECUTIONS)]),
        allow("dynamodb", _FREEZE, [arns.table(layout.DEFINITIONS)]),
        allow("dynamodb", _ARM, [arns.table(layout.TIMERS)]),
        allow("sqs", _SEND, [arns.queue(layout.DECIDER_QUEUE), arns.queue(layout.TIMERS_QUEUE)]),
        allow("sqs", _SEND, arns.task_queues()),
        allow("sqs", ("SendMessage",), [arns.queue(layout.TASK_DEAD_LETTERS)]),  # Lambda in its name: what it gave up
        allow("lambda", _RUN, [arns.function(queue.what) for queue in layout.SYSTEM_QUEUES]),
        allow("s3", ("GetObject", "PutObject"), arns.payloads()),
        _token_keys(arns),
        *(allow(service, actions, resources) for service, actions, resources in outside if resources),
    ]


Statements = Callable[[Arns], list[iam.PolicyStatement]]

FUNCTIONS: Mapping[str, Statements] = {"api": api, "decider": decider, "timers": timers, "http": http, "events": events}


def _payloads(arns: Arns) -> list[iam.PolicyStatement]:
    """Of the stage's namespaces only. Listing is what a purge needs; it can only be narrowed by a condition."""
    return [
        allow("s3", ("GetObject", "PutObject", "DeleteObject"), arns.payloads()),
        allow("s3", ("ListBucket",), [arns.bucket()], StringLike={"s3:prefix": arns.payload_prefixes()}),
    ]


def _scripts(arns: Arns) -> iam.PolicyStatement:
    return allow("lambda", ("InvokeFunction",), [arns.function("sandbox")])


def _token_keys(arns: Arns) -> iam.PolicyStatement:
    """Decrypted by SSM with AWS's own key ``aws/ssm``, whose policy lets in all of the account who may read the parameter."""
    return allow("ssm", ("GetParameter",), [arns.parameter(token_keys_parameter(arns.stage))])
