"""The functions: one asset for all but the sandbox, a handler, a role and a log each.

The http and the events function are invoked by whoever dispatches their tasks, asynchronously. What Lambda could not run goes to the
dead letters of the tasks. Of HTTP tasks it is not tried again: whether a request was made that nobody heard of is for the retry policy
to deal with. Events are published again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from batuta_core.engine.ports import FUNCTION_VISIBILITY_S
from batuta_core.model.names import resource_name
from batuta_server import layout
from batuta_server.settings import EventsSettings, HttpSettings, Settings
from infra import policies
from infra.logs import make_log_group
from infra.names import Arns, token_keys_parameter
from infra.parameters import X86_64, StageParameters
from infra.queues import Queues

# A call has a minute; the function resolves, reports and writes its log in the rest.
HTTP_TIMEOUT_S = 90
# A function that is fed by a queue lives for a sixth of the time for which its messages are invisible (Lambda's advice, which
# ``ports`` has counted with); API Gateway gives up after 30 s, too.
FUNCTION_TIMEOUT_S = FUNCTION_VISIBILITY_S // 6
# How often Lambda runs an asynchronous invocation that fails.
_TRIES = {"http": layout.HTTP_QUEUE.max_receives, "events": layout.EVENTS_QUEUE.max_receives}
_SOURCE_CONCURRENCY = 5  # ten messages each
_BATCH_SIZE = 10  # the most that a FIFO queue gives at once; no window: it would delay every lone result


# Four for the script, the rest for a process to begin; who waits for it waits for no more than ten.
_SANDBOX_TIMEOUT_S = 15


class Functions(Construct):
    """``api``, ``decider`` and ``timers``, the latter two fed by their queues; ``http`` and ``events``; and ``sandbox``, which runs
    users' scripts for the others: it may do nothing and is told nothing."""

    def __init__(
        self, scope: Construct, id_: str, parameters: StageParameters, arns: Arns, code: lambda_.Code, sandbox: lambda_.Code, queues: Queues
    ) -> None:
        super().__init__(scope, id_)
        settings = environment(parameters, arns)
        others = {"http": http_environment(parameters, arns), "events": {**settings, **events_environment(parameters, arns)}}
        made = {
            what: make_function(
                self,
                what,
                parameters,
                code,
                statements=statements(arns),
                memory_mb=getattr(parameters, f"{what}_memory_mb"),
                timeout_s=HTTP_TIMEOUT_S if what == "http" else FUNCTION_TIMEOUT_S,
                settings=others.get(what, settings),
                dead_letters=queues.task_dead_letters if what in _TRIES else None,
                tries=_TRIES.get(what, 0),
            )
            for what, statements in policies.FUNCTIONS.items()
        }
        self.api, self.decider, self.timers, self.http = made["api"], made["decider"], made["timers"], made["http"]
        self.events = made["events"]
        self.sandbox = make_function(
            self,
            "sandbox",
            parameters,
            sandbox,
            statements=(),
            memory_mb=parameters.sandbox_memory_mb,
            timeout_s=_SANDBOX_TIMEOUT_S,
            settings={},
        )
        feed(self, "DeciderQueue", self.decider, queues.decider, parameters.decider_concurrency)
        feed(self, "TimersQueue", self.timers, queues.timers, parameters.timers_concurrency)
        for place, source in enumerate(arns.event_sources(), start=1):
            queue = sqs.Queue.from_queue_arn(self, f"EventSource{place}Queue", source)
            feed(self, f"EventSource{place}", self.events, queue, _SOURCE_CONCURRENCY)

    @property
    def all(self) -> Sequence[lambda_.Function]:
        return (self.api, self.decider, self.timers, self.http, self.events, self.sandbox)


def environment(parameters: StageParameters, arns: Arns) -> dict[str, str]:
    """What ``Settings.from_env`` reads. The keys themselves are in the Parameter Store, out of the template's sight."""
    settings = Settings(
        stage=parameters.stage,
        region=arns.region,
        bucket=arns.bucket_name,
        token_keys_parameter=token_keys_parameter(parameters.stage),
        namespaces=() if parameters.is_any_namespace else parameters.namespaces,
        retention_s=parameters.retention_s,
        sandbox_function=resource_name(parameters.stage, "sandbox"),
        endpoint_url=parameters.endpoint_url,
    )
    return settings.to_env()


def http_environment(parameters: StageParameters, arns: Arns) -> dict[str, str]:
    """What ``HttpSettings.from_env`` reads: neither keys nor the name of the bucket."""
    return HttpSettings(
        stage=parameters.stage, region=arns.region, allowed=parameters.http_allowed, endpoint_url=parameters.endpoint_url
    ).to_env()


def events_environment(parameters: StageParameters, arns: Arns) -> dict[str, str]:
    """What ``EventsSettings.from_env`` reads."""
    return EventsSettings(account=arns.account, sinks=parameters.event_sinks, sources=parameters.event_sources).to_env()


def make_function(
    scope: Construct,
    what: str,
    parameters: StageParameters,
    code: lambda_.Code,
    *,
    statements: Sequence[iam.PolicyStatement],
    memory_mb: int,
    timeout_s: int,
    settings: Mapping[str, str],
    dead_letters: sqs.Queue | None = None,
    tries: int = 0,
) -> lambda_.Function:
    """``batuta_server.<what>.entry.handle``, with a role that may do ``statements`` and write its own log. ``dead_letters`` takes
    asynchronous invocations that failed ``tries`` times."""
    name = what.capitalize()
    if parameters.is_emulated:
        statements = policies.for_emulator(statements)
    log = make_log_group(scope, f"{name}Log", what, parameters)
    write = iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log.log_group_arn])
    role = iam.Role(
        scope,
        f"{name}Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"Batuta {parameters.stage}: the {what} function",
        inline_policies={"batuta": iam.PolicyDocument(statements=[*statements, write])},
    )
    function = lambda_.Function(
        scope,
        name,
        function_name=resource_name(parameters.stage, what),
        runtime=lambda_.Runtime.PYTHON_3_13,
        architecture=lambda_.Architecture.X86_64 if parameters.arch == X86_64 else lambda_.Architecture.ARM_64,
        code=code,
        handler=f"batuta_server.{what}.entry.handle",
        role=role,
        memory_size=memory_mb,
        timeout=Duration.seconds(timeout_s),
        reserved_concurrent_executions=parameters.reserved(what),
        environment=dict(settings),
        log_group=log,
        logging_format=lambda_.LoggingFormat.JSON,
        application_log_level_v2=lambda_.ApplicationLogLevel.INFO,
        # Lambda's own three lines per invocation are most of the bytes of a log that is paid by them, and say what CloudWatch
        # has as metrics. Those of failed invocations, timeouts among them, are warnings and stay.
        system_log_level_v2=lambda_.SystemLogLevel.WARN,
        # A task's result leads to the next task: that is a loop by design. Lambda would cut it after 16 turns; the engine has a
        # limit of its own (decisions a minute and execution).
        recursive_loop=lambda_.RecursiveLoop.ALLOW,
    )
    if dead_letters is not None:
        # Not the construct's own properties, which would write a policy of their own.
        lambda_.CfnEventInvokeConfig(
            scope,
            f"{name}Invoked",
            function_name=function.function_name,
            qualifier="$LATEST",
            maximum_retry_attempts=tries - 1,
            destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
                on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=dead_letters.queue_arn)
            ),
        )
    return function


def feed(scope: Construct, id_: str, function: lambda_.Function, queue: sqs.IQueue, concurrency: int) -> None:
    """Has Lambda poll the queue. Five long polls run at any time, which is some $0.30 a month; hence only the two queues of the stage,
    and what else a deployment asks for."""
    lambda_.EventSourceMapping(
        scope,
        id_,
        target=function,
        event_source_arn=queue.queue_arn,
        batch_size=_BATCH_SIZE,
        report_batch_item_failures=True,
        max_concurrency=concurrency,
    )
