"""ARNs of a stage, made of names: a policy that names a resource need not wait for it, and can be read in the template."""

from __future__ import annotations

from aws_cdk import Stack
from constructs import Construct

from batuta_core.engine.external import UPLOADS
from batuta_core.model.names import priority_queue_name, resource_name, task_queue_name
from batuta_server import layout
from infra.parameters import StageParameters, TaskType


def token_keys_parameter(stage: str) -> str:
    """Of the Parameter Store: the keys that tokens and messages are signed with."""
    return f"/batuta/{stage}/token-keys"


def url_parameter(stage: str) -> str:
    """Of the Parameter Store: where the API is, so that a worker that knows the stage knows all."""
    return f"/batuta/{stage}/url"


class Arns:
    def __init__(self, scope: Construct, parameters: StageParameters) -> None:
        self._stack = Stack.of(scope)
        self._parameters = parameters
        self.stage = parameters.stage
        self.region = self._stack.region
        self.account = self._stack.account
        self.bucket_name = layout.bucket_name(self.stage, self._stack.account, self.region)

    def table(self, table: layout.Table) -> str:
        return self._arn("dynamodb", f"table/{table.name(self.stage)}")

    def indexes(self, table: layout.Table) -> list[str]:
        return [f"{self.table(table)}/index/{index.name}" for index in table.indexes]

    def queue(self, queue: layout.Queue) -> str:
        return self._arn("sqs", queue.name(self.stage))

    def task_queue(self, task_type: TaskType) -> str:
        return self._arn("sqs", task_queue_name(self.stage, task_type.namespace, task_type.name))

    def priority_queue(self, task_type: TaskType) -> str:
        return self._arn("sqs", priority_queue_name(task_queue_name(self.stage, task_type.namespace, task_type.name)))

    def task_queues(self) -> list[str]:
        """Of the stage's namespaces; patterns, since they are made at run time. Two dashes end a stage and a namespace, and are in
        neither, so no pattern reaches into another."""
        if self._parameters.is_any_namespace:
            return [self.all_task_queues()]
        return [self._arn("sqs", f"batuta-{self.stage}--{namespace}--*") for namespace in self._parameters.namespaces]

    def all_task_queues(self) -> str:
        return self._arn("sqs", f"batuta-{self.stage}--*--*")

    def event_sinks(self, provider: str) -> list[str]:
        """Of others' queues, topics or buses that EVENT tasks may publish to."""
        names = [name for kind, _colon, name in (sink.partition(":") for sink in self._parameters.event_sinks) if kind == provider]
        service, prefix = {"sqs": ("sqs", ""), "sns": ("sns", ""), "eventbridge": ("events", "event-bus/")}[provider]
        return [self._arn(service, f"{prefix}{name}") for name in names]

    def event_sources(self) -> list[str]:
        """Of others' queues whose messages are events."""
        return [self._arn("sqs", source.partition("/")[2]) for source in self._parameters.event_sources]

    def bucket(self) -> str:
        return f"arn:{self._stack.partition}:s3:::{self.bucket_name}"

    def payload_prefixes(self) -> list[str]:
        """What payloads' keys of the stage's namespaces begin with, as a pattern."""
        return ["*"] if self._parameters.is_any_namespace else [f"{namespace}/*" for namespace in self._parameters.namespaces]

    def payloads(self) -> list[str]:
        return [f"{self.bucket()}/{prefix}" for prefix in self.payload_prefixes()]

    def uploads(self) -> list[str]:
        """Where clients of the stage's namespaces write by signed URLs."""
        if self._parameters.is_any_namespace:
            return [f"{self.bucket()}/{UPLOADS}/*"]
        return [f"{self.bucket()}/{UPLOADS}/{namespace}/*" for namespace in self._parameters.namespaces]

    def parameter(self, name: str) -> str:
        return self._arn("ssm", f"parameter{name}")

    def function(self, what: str) -> str:
        return self._arn("lambda", f"function:{resource_name(self.stage, what)}")

    def log_group(self, what: str) -> str:
        return self._arn("logs", f"log-group:{log_group_name(self.stage, what)}:*")

    def _arn(self, service: str, resource: str) -> str:
        stack = self._stack
        return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{resource}"


def log_group_name(stage: str, what: str) -> str:
    return f"/batuta/{stage}/{what}"
