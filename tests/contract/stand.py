"""What a contract test works with: one stage, its ports, and the few things that tests do besides."""

from __future__ import annotations

import secrets
import time
from functools import cached_property
from typing import Any

from batuta_core.engine.definition_ports import Definitions
from batuta_core.engine.event_ports import HandlerActions
from batuta_core.engine.ports import FarTimers, Gates, Journal, Logs, NullLog, Payloads, Ports, Queues, Summaries
from batuta_core.model.names import ExecutionId, resource_name
from batuta_core.simulator.queue import SimulatedQueues
from batuta_core.simulator.store import (
    SimulatedActions,
    SimulatedDefinitions,
    SimulatedFarTimers,
    SimulatedGates,
    SimulatedJournal,
    SimulatedLogs,
    SimulatedPayloads,
    SimulatedSummaries,
)
from batuta_server import layout
from batuta_server.aws.provision import provision_bucket, provision_queues, provision_tables
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.bootstrap import connect, make_ports
from batuta_server.settings import Settings
from tests.contract.servers import Server

NAMESPACE = "shop"
_NOWHERE = "http://127.0.0.1:9"  # for a service that the server does not have; nothing answers at the discard port


class Stand:
    """A fresh stage. Each port's resources are made when the port is first asked for."""

    name: str
    stage: str
    journal: Journal
    queues: Queues
    summaries: Summaries
    far_timers: FarTimers
    gates: Gates
    payloads: Payloads
    definitions: Definitions
    logs: Logs
    actions: HandlerActions

    def execution(self, workflow_id: str = "") -> ExecutionId:
        return ExecutionId(NAMESPACE, workflow_id or f"{secrets.token_hex(4)}-0000-4000-8000-{secrets.token_hex(6)}")

    def queue(self, what: str) -> str:
        return resource_name(self.stage, what)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def pass_s(self, seconds: float) -> None:
        """So long passes on the server's clock."""
        raise NotImplementedError

    def shorten_visibility(self, queue: str, seconds: int) -> None:
        """Of messages that will be received: half a minute is too long for a test."""
        raise NotImplementedError

    def elsewhere(self) -> Stand:
        """The same stage as another process sees it, with nothing in its caches."""
        raise NotImplementedError

    def close(self) -> None: ...


class SimulatedStand(Stand):
    name = "simulator"

    def __init__(self) -> None:
        self.stage = "sim"
        self._now_ms = super().now_ms()
        self.journal = SimulatedJournal()
        self._queues = SimulatedQueues(self.stage, self.now_ms)
        self.queues = self._queues
        self.summaries = SimulatedSummaries()
        self.far_timers = SimulatedFarTimers()
        self.gates = SimulatedGates()
        self.payloads = SimulatedPayloads()
        self.definitions = SimulatedDefinitions()
        self.logs = SimulatedLogs()
        self.actions = SimulatedActions()

    def now_ms(self) -> int:
        return self._now_ms

    def pass_s(self, seconds: float) -> None:
        self._now_ms += round(seconds * 1000)

    def shorten_visibility(self, queue: str, seconds: int) -> None:
        self._queues._queues[queue].visibility_s = seconds

    def elsewhere(self) -> Stand:
        return self


class AwsStand(Stand):
    """The AWS adapters, wired as in Lambda, on one of the servers."""

    def __init__(self, server: Server, stage: str = "", credentials: Credentials | None = None) -> None:
        self.name = server.name
        self.stage = stage or f"t{secrets.token_hex(5)}"
        self._server = server
        # ministack keeps a world per account of 12 digits; the others have one world, in which the stage is ours alone.
        account = f"{secrets.randbelow(10**12):012d}" if server.name == "ministack" else "000000000000"
        self.credentials = credentials or Credentials(account, "test")
        self.settings = Settings(
            stage=self.stage,
            region="us-east-1",
            bucket=layout.bucket_name(self.stage, account, "us-east-1"),
            token_keys=(b"the tests' only key",),
            is_local=True,
            endpoint_url=_NOWHERE,
            service_urls=server.urls,
        )
        self.transport: Transport = connect(self.settings, self.credentials)
        self.ports: Ports = make_ports(self.settings, self.transport, NullLog())

    def pass_s(self, seconds: float) -> None:
        time.sleep(seconds)

    def shorten_visibility(self, queue: str, seconds: int) -> None:
        url = self.transport.call("sqs", "GetQueueUrl", {"QueueName": queue})["QueueUrl"]
        self.transport.call("sqs", "SetQueueAttributes", {"QueueUrl": url, "Attributes": {"VisibilityTimeout": str(seconds)}})

    def elsewhere(self) -> Stand:
        other = AwsStand(self._server, self.stage, self.credentials)
        for part in ("_tables", "_queues", "_bucket"):
            other.__dict__[part] = None  # they are there
        self._others.append(other)
        return other

    def close(self) -> None:
        self.transport.close()
        for other in self._others:
            other.close()

    def item(self, table: layout.Table, **key: Any) -> dict[str, Any]:
        """An item as it lies in the table, {} when there is none."""
        answer = self.transport.call("dynamodb", "GetItem", {"TableName": table.name(self.stage), "Key": key, "ConsistentRead": True})
        found: dict[str, Any] = answer.get("Item", {})
        return found

    # --- the ports, each with its resources

    @cached_property
    def _others(self) -> list[Stand]:
        return []

    @cached_property
    def _tables(self) -> None:
        provision_tables(self.transport, self.stage)

    @cached_property
    def _queues(self) -> None:
        provision_queues(self.transport, self.stage)

    @cached_property
    def _bucket(self) -> None:
        provision_bucket(self.transport, self.settings.bucket)

    def __getattr__(self, port: str) -> Any:
        made_by = {"queues": "_queues", "payloads": "_bucket"}
        if port.startswith("_") or port not in Ports.__slots__:
            raise AttributeError(port)
        getattr(self, made_by.get(port, "_tables"))
        return getattr(self.ports, port)
