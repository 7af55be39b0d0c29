"""Ready-made policies for those outside: attach one to a role or user and it can do its work, in the stage's namespaces only.

A pattern's ``*`` runs over slashes, so it stands only where nothing else can follow; ids have forms that patterns can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from batuta_core.model import ids
from batuta_core.model.names import DEFAULT_NAMESPACE
from batuta_server import layout
from infra.alarms import Alarms
from infra.api import Api
from infra.names import Arns, url_parameter
from infra.parameters import ANY_NAMESPACE, ParameterError, StageParameters, TaskType
from infra.policies import allow, for_emulator

_WORKFLOW_ID = "-".join("?" * length for length in (8, 4, 4, 4, 12))
# Task ids begin with the version of their own form, "A" in base64url; the paths beside them (poll, queue) do not.
_TASK_ID = ids.task_id("00000000-0000-0000-0000-000000000000", 1, 0)[0] + "*"

# What the SDK's worker calls: calls.server_info, task_definition, register_tasks, report_task, task, add_task_log.
WORKER_ROUTES = (
    ("GET", "/batuta"),
    ("GET", "/metadata/taskdefs/*"),
    ("POST", "/metadata/taskdefs"),
    ("POST", "/tasks"),
    ("GET", f"/tasks/{_TASK_ID}"),
    ("POST", f"/tasks/{_TASK_ID}/log"),
)
# What a client calls: all but taking workers' tasks, and deleting executions or definitions.
CLIENT_ROUTES = (
    ("GET", "/batuta"),
    ("GET", "/metadata/*"),
    ("POST", "/metadata/*"),
    ("PUT", "/metadata/*"),
    ("GET", "/event*"),
    ("POST", "/event"),
    ("PUT", "/event"),
    ("GET", "/workflow/*"),
    ("POST", "/workflow*"),
    ("PUT", "/workflow/*"),
    ("DELETE", f"/workflow/{_WORKFLOW_ID}"),  # terminate, not remove
    ("GET", f"/tasks/{_TASK_ID}"),
    ("POST", "/tasks"),
    ("POST", f"/tasks/{_WORKFLOW_ID}/*"),  # update by reference name, signal
)
# A pattern in the method's place would run into the path, and so into other namespaces.
OPERATOR_ROUTES = tuple((method, "/*") for method in ("GET", "POST", "PUT", "DELETE"))

_POLICY_MAX_CHARS = 6144  # IAM's quota of managed policies
_REFERENCE_CHARS = 12  # an account's number; partitions, regions and API ids are about as long

_WORK = ("GetQueueUrl", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
_LOOK = ("GetQueueUrl", "GetQueueAttributes")


class Access(Construct):
    def __init__(self, scope: Construct, id_: str, parameters: StageParameters, arns: Arns, api: Api, alarms: Alarms) -> None:
        super().__init__(scope, id_)
        self._parameters = parameters
        self._arns = arns
        self._api = api
        self.worker = self._policy("Worker", "work on tasks of all types", self._work(arns.task_queues(), parameters.namespaces))
        self.workers = {task_type: self._for(task_type) for task_type in parameters.task_types}
        self.client = self._policy("Client", "start, see and steer executions", self._use(CLIENT_ROUTES, parameters.namespaces))
        self.operator = self._policy("Operator", "call all of the API, read queues' sizes, logs and alarms", self._operate(alarms))

    def _policy(self, name: str, may: str, statements: Sequence[iam.PolicyStatement]) -> iam.ManagedPolicy:
        if self._parameters.is_emulated:
            statements = for_emulator(statements)
        policy = iam.ManagedPolicy(self, name, description=f"Batuta {self._parameters.stage}: may {may}", statements=list(statements))
        size = _size_of(Stack.of(self).resolve(policy.document))
        if size > _POLICY_MAX_CHARS:
            raise ParameterError(
                f"the parameter namespaces names too many: the policy {name} would have {size} characters, IAM takes {_POLICY_MAX_CHARS}; "
                f"name fewer, or '{ANY_NAMESPACE}', or write policies of your own"
            )
        return policy

    def _for(self, task_type: TaskType) -> iam.ManagedPolicy:
        queue = self._arns.task_queue(task_type)
        queues = [queue, self._arns.priority_queue(task_type)]
        shown = f"{task_type.namespace}/{task_type.name}"
        name = queue.rpartition("-")[2]  # the hash of the task type: its own name may hold any characters
        return self._policy(f"Worker-{name}", f"work on tasks of {_printable(shown)}", self._work(queues, [task_type.namespace]))

    def _work(self, queues: Sequence[str], namespaces: Sequence[str]) -> list[iam.PolicyStatement]:
        """Results go to the decider queue; without a task's token, which comes with the task, nobody completes it."""
        return [
            allow("sqs", _WORK, queues),
            allow("sqs", ("GetQueueUrl", "SendMessage"), [self._arns.queue(layout.DECIDER_QUEUE)]),
            *self._use(WORKER_ROUTES, namespaces),
        ]

    def _operate(self, alarms: Alarms) -> list[iam.PolicyStatement]:
        arns = self._arns
        return [
            *self._use(OPERATOR_ROUTES, self._parameters.namespaces),
            allow("sqs", _LOOK, [*(arns.queue(queue) for queue in layout.QUEUES), *arns.task_queues()]),
            allow(
                "logs",
                ("FilterLogEvents", "GetLogEvents", "DescribeLogStreams", "StartQuery"),
                [arns.log_group(what) for what in ("api", "decider", "timers", "http", "events", "stage", "access")],
            ),
            allow("logs", ("GetQueryResults",), ["*"]),  # of the queries begun above; Logs knows no resource for it
            allow("cloudwatch", ("DescribeAlarms", "DescribeAlarmHistory"), [alarm.alarm_arn for alarm in alarms.all]),
        ]

    def _use(self, routes: Sequence[tuple[str, str]], namespaces: Sequence[str]) -> list[iam.PolicyStatement]:
        resources = [self._api.arn(method, f"{prefix}{path}") for prefix in _prefixes(namespaces) for method, path in routes]
        return [
            allow("execute-api", ("Invoke",), resources),
            allow("ssm", ("GetParameter",), [self._arns.parameter(url_parameter(self._arns.stage))]),
        ]


def _prefixes(namespaces: Sequence[str]) -> list[str]:
    """As the SDK's ``prefix_of`` has them: the default namespace is the one without a prefix."""
    found = [f"/ns/{namespace}/api" for namespace in namespaces if namespace != DEFAULT_NAMESPACE]
    return ["/api", *found] if len(found) < len(list(namespaces)) or ANY_NAMESPACE in namespaces else found


def _size_of(document: Any) -> int:
    """About how long the policy will be for IAM, which does not count blanks."""
    match document:
        case {"Fn::Join": [_, parts]}:
            return sum(_size_of(part) for part in parts)
        case {"Ref": _} | {"Fn::GetAtt": _}:
            return _REFERENCE_CHARS
        case dict():
            return sum(len(name) + _size_of(value) + 4 for name, value in document.items())
        case list():
            return sum(_size_of(item) + 3 for item in document)
        case _:
            return len(str(document))


def _printable(text: str) -> str:
    """What IAM takes in a description."""
    return "".join(char if " " <= char <= "~" else "_" for char in text)[:200]
