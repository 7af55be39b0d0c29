"""Builds the connections and adapters, once per cold start."""

from __future__ import annotations

import random
import secrets
import time
import uuid

from batuta_core.engine.catalog import Catalog
from batuta_core.engine.fetch import Cache
from batuta_core.engine.ports import Log, NoScripts, Ports, Scripts
from batuta_core.model.token import Signer
from batuta_server import layout
from batuta_server.aws.definitions import DynamoDefinitions
from batuta_server.aws.dynamodb import Table
from batuta_server.aws.far_timers import DynamoFarTimers
from batuta_server.aws.gates import DynamoGates
from batuta_server.aws.handler_actions import DynamoHandlerActions
from batuta_server.aws.invoke import InvokingQueues
from batuta_server.aws.journal import DynamoJournal
from batuta_server.aws.key_ring import KeyRing
from batuta_server.aws.logs import DynamoLogs
from batuta_server.aws.payloads import S3Payloads
from batuta_server.aws.queues import SqsQueues
from batuta_server.aws.scripts import LambdaScripts
from batuta_server.aws.signature import Credentials
from batuta_server.aws.summaries import DynamoSummaries
from batuta_server.aws.transport import Transport
from batuta_server.settings import Settings

_PAUSE_S = 0.01  # about what the decision costs that won the race
_PAUSE_MAX_S = 0.5


def connect(settings: Settings, credentials: Credentials | None = None) -> Transport:
    """Raises SettingsError when this is a laptop or a test, and an endpoint is not on this machine. Credentials default to
    the environment's."""
    endpoints = settings.endpoints()
    return Transport(settings.region, credentials or Credentials.from_env(), endpoints)


def make_ports(settings: Settings, transport: Transport | None = None, log: Log | None = None) -> Ports:
    """The engine's ports on AWS, or on what the settings put in its place. The only call that it makes is for
    the ring of token keys, where there is one. The log defaults to Lambda's."""
    transport = transport or connect(settings)
    log = log or _lambda_log(settings)
    stage = settings.stage
    executions = Table(transport, layout.EXECUTIONS.name(stage))
    return Ports(
        stage=stage,
        journal=DynamoJournal(executions),
        queues=SqsQueues(transport, stage) if settings.is_local else InvokingQueues(transport, stage),
        far_timers=DynamoFarTimers(Table(transport, layout.TIMERS.name(stage))),
        gates=DynamoGates(Table(transport, layout.TIMERS.name(stage))),
        payloads=S3Payloads(transport, settings.bucket),
        summaries=DynamoSummaries(executions),
        definitions=DynamoDefinitions(transport, Table(transport, layout.DEFINITIONS.name(stage)), log),
        logs=DynamoLogs(executions),
        clock=SystemClock(),
        ids=RandomIds(),
        signer=_signer(settings, transport),
        actions=DynamoHandlerActions(executions),
        catalog=Catalog(),
        cache=Cache(),
        scripts=_scripts(settings, transport),
        retention_s=settings.retention_s,
        log=log,
    )


def _signer(settings: Settings, transport: Transport) -> Signer:
    if not settings.token_keys_parameter:
        return Signer(settings.token_keys)
    ring = KeyRing(transport, settings.token_keys_parameter)
    return Signer(ring.known, renew=ring.newest)


def _scripts(settings: Settings, transport: Transport) -> Scripts:
    """Where users' scripts are run: in a function that may do nothing else; on a laptop in processes of our own, begun with the first
    script. A function whose settings name neither runs none."""
    if settings.sandbox_function:
        return LambdaScripts(transport, settings.sandbox_function)
    if settings.is_local:
        from batuta_server.sandbox.runner import Sandbox

        return Sandbox()
    return NoScripts()


def _lambda_log(settings: Settings) -> Log:
    """Imported here: it takes 37 ms (style.md, section 12), which whoever brings a log of his own need not spend."""
    from batuta_server.telemetry import PowertoolsLog

    return PowertoolsLog(settings.stage)


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, ms: int) -> None:
        time.sleep(ms / 1000)

    def pause(self, tries: int) -> None:
        time.sleep(random.uniform(0, min(_PAUSE_MAX_S, _PAUSE_S * 2**tries)))  # noqa: S311 - spreads load, hides nothing


class RandomIds:
    def workflow_id(self) -> str:
        return str(uuid.uuid4())

    def op(self) -> str:
        return secrets.token_urlsafe(9)  # 72 bits: it need only differ among the requests to one execution
