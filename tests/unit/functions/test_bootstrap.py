"""Ports made from settings: each on its own resource of the stage, no call before it is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.functions.aws.scripted import CREDENTIALS, Request, ScriptedServer

from batuta_core.decider.known import Language, Script, ScriptResult
from batuta_core.engine.ports import NullLog, Outgoing, Ports
from batuta_core.model import ids
from batuta_core.model.names import ExecutionId
from batuta_core.model.token import Signer
from batuta_server import bootstrap
from batuta_server.aws.transport import Transport
from batuta_server.sandbox.runner import Sandbox
from batuta_server.settings import Settings
from batuta_server.telemetry import PowertoolsLog

KEYS = (b"the newest key of them", b"an older key to check with")
NOTHING: tuple[int, Any] = (200, {"Items": []})
EXECUTION = ExecutionId("shop", "11111111-0000-4000-8000-000000000000")


def settings(url: str = "http://127.0.0.1:1", **more: Any) -> Settings:
    return Settings(stage="test", region="eu-west-1", bucket="b", token_keys=KEYS, is_local=True, endpoint_url=url, **more)


PortsOn = Callable[..., Ports]


@pytest.fixture
def ports_on() -> Iterator[PortsOn]:
    opened: list[Transport] = []

    def make(url: str = "http://127.0.0.1:1", **more: Any) -> Ports:
        made = settings(url, **more)
        opened.append(bootstrap.connect(made, CREDENTIALS))
        return bootstrap.make_ports(made, opened[-1], NullLog())

    yield make
    for transport in opened:
        transport.close()


def test_making_ports_calls_nobody(ports_on: PortsOn) -> None:
    with ScriptedServer([]) as server:
        ports_on(server.url)
        assert server.requests == []


@pytest.mark.parametrize(
    ("call", "table"),
    [
        (lambda ports: ports.journal.newest(EXECUTION), "batuta-test--executions"),
        (lambda ports: ports.summaries.get(EXECUTION), "batuta-test--executions"),
        (lambda ports: ports.logs.lines(EXECUTION), "batuta-test--executions"),
        (lambda ports: ports.definitions.workflow("shop", "order", 1), "batuta-test--definitions"),
        (lambda ports: ports.far_timers.cursor(), "batuta-test--timers"),
    ],
    ids=["journal", "summaries", "logs", "definitions", "far timers"],
)
def test_each_port_asks_the_stages_own_table(ports_on: PortsOn, call: Callable[[Ports], object], table: str) -> None:
    with ScriptedServer(lambda _: NOTHING) as server:
        assert not call(ports_on(server.url))
        assert [request.body["TableName"] for request in server.requests] == [table]


def test_the_region_and_the_credentials_are_those_given(ports_on: PortsOn) -> None:
    with ScriptedServer(lambda _: NOTHING) as server:
        ports_on(server.url).journal.newest(EXECUTION)
        assert f"Credential={CREDENTIALS.access_key_id}/" in server.requests[0].head
        assert "/eu-west-1/dynamodb/aws4_request" in server.requests[0].head


def test_services_may_be_in_different_places(ports_on: PortsOn) -> None:
    def script(request: Request) -> Any:
        return 200, {"QueueUrl": "http://q", "Items": []}

    with ScriptedServer(script) as tables, ScriptedServer(script) as queues:
        ports = ports_on(tables.url, service_urls={"sqs": queues.url})
        ports.queues.send("q", [Outgoing("x")])
        ports.journal.newest(EXECUTION)
        assert queues.operations == ["GetQueueUrl", "SendMessageBatch"]
        assert tables.operations == ["Query"]


def test_credentials_are_the_environments_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(RuntimeError, match=r"AWS_ACCESS_KEY_ID.* is not set"):
        bootstrap.connect(settings())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-env")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert bootstrap.connect(settings()).credentials.access_key_id == "from-env"


def test_the_newest_key_signs_and_the_older_ones_still_prove(ports_on: PortsOn) -> None:
    ports = ports_on()
    older = Signer([KEYS[1]])
    newest = Signer([KEYS[0]])
    assert ports.signer.signature("text") == newest.signature("text")
    assert ports.signer.is_signature(older.signature("text"), "text")
    assert not ports.signer.is_signature(Signer([b"a key that was never ours"]).signature("text"), "text")


def test_what_the_settings_say_reaches_the_engine(ports_on: PortsOn) -> None:
    ports = ports_on(retention_s=60)
    assert (ports.stage, ports.retention_s) == ("test", 60)


def test_the_log_is_lambdas_unless_given() -> None:
    transport = bootstrap.connect(settings(), CREDENTIALS)
    assert isinstance(bootstrap.make_ports(settings(), transport).log, PowertoolsLog)


def test_ids_have_their_form_and_differ() -> None:
    made = bootstrap.RandomIds()
    workflow_ids, ops = ({make() for _ in range(1000)} for make in (made.workflow_id, made.op))
    assert len(workflow_ids) == len(ops) == 1000
    assert all(ids.is_workflow_id(found) for found in workflow_ids)
    assert {len(op) for op in ops} == {12}


def test_pauses_grow_to_half_a_second_and_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    clock = bootstrap.SystemClock()
    for tries, most in ((0, 0.01), (1, 0.02), (5, 0.32), (6, 0.5), (30, 0.5)):
        slept.clear()
        for _ in range(200):
            clock.pause(tries)
        assert 0 <= min(slept) < most / 2 < max(slept) <= most
    slept.clear()
    clock.sleep(25)
    assert slept == [0.025]


def test_the_clock_counts_milliseconds_since_1970(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_764_000_000_123_999_999)
    assert bootstrap.SystemClock().now_ms() == 1_764_000_000_123


def test_scripts_run_in_the_named_function_or_here_or_nowhere(ports_on: PortsOn) -> None:
    script = Script(Language.JAVASCRIPT, "1 + 1", "{}", 0, "")
    with ScriptedServer([(200, {"isDone": True, "value": 2})]) as server:
        assert ports_on(server.url, sandbox_function="batuta-test--sandbox").scripts.run([script]) == [ScriptResult(2)]
        assert len(server.requests) == 1
    here = ports_on().scripts
    assert isinstance(here, Sandbox)
    assert here.run([script]) == [ScriptResult(2)]
    here.close()
    elsewhere = replace(settings(), is_local=False)
    with closing(bootstrap.connect(elsewhere, CREDENTIALS)) as transport:
        (result,) = bootstrap.make_ports(elsewhere, transport, NullLog()).scripts.run([script])
    assert result.error == "nothing here runs javascript"
