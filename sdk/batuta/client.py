"""The clients: start, wait for, read and end executions; keep definitions.

Both are lists of what ``calls.py`` and ``waiting.py`` describe. What differs is how a step is carried out: one blocks, the
other awaits.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from batuta import calls, operations, waiting
from batuta.external import carry_out
from batuta.http import Call, Flow, Pause, prefix_of
from batuta.results import Page
from batuta.settings import namespace_from, server_of
from batuta.threads import DaemonPool
from batuta.transport import Auth, HttpTransport, StageTransport, Transport
from batuta_core.model.error import BatutaError

P = ParamSpec("P")
T = TypeVar("T")

# Requests that an AsyncClient has under way at once; each lasts some milliseconds, further ones wait their turn.
ASYNC_REQUESTS_MAX = 10


class _Connected:
    """``url`` is the server's root without ``/api``, else that of the deployed ``stage``, else $BATUTA_URL, else that of
    $BATUTA_STAGE; ``namespace`` is else $BATUTA_NAMESPACE, else ``default``. Requests to a deployed stage are signed with your AWS
    credentials.

    ``auth`` gives the headers that sign a request, ``transport`` stands in for the network in tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        stage: str | None = None,
        namespace: str | None = None,
        auth: Auth | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.namespace = namespace_from(namespace)
        self._prefix = prefix_of(self.namespace)
        self._transport = transport or _transport_to(url, stage, auth)

    def _steps(self, flow: Flow[T] | Call[T]) -> Flow[T]:
        return carry_out(flow, self._prefix) if isinstance(flow, Call) else flow


def _transport_to(url: str | None, stage: str | None, auth: Auth | None) -> Transport:
    root, stage = server_of(url, stage)
    return StageTransport(stage, auth) if root is None else HttpTransport(root, auth)


def _blocking(describe: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(describe)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(describe(*args, **kwargs))

    return method


def _blocking_flow(describe: Callable[Concatenate[str, P], Flow[T]]) -> Callable[Concatenate[Client, P], T]:
    @functools.wraps(describe)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(describe(self._prefix, *args, **kwargs))

    return method


def _blocking_pages(describe: Callable[P, Callable[[int], Call[Page[T]]]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    @functools.wraps(describe)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        page_at, start = describe(*args, **kwargs), 0
        while items := self.call(page_at(start)).items:
            yield from items
            start += len(items)

    return method


class Client(_Connected):
    """Blocks until the server has answered. May be used from several threads, and as a context manager."""

    def call(self, flow: Flow[T] | Call[T]) -> T:
        """Carries out a call of ``batuta.calls``, or any flow of requests and pauses."""
        steps = self._steps(flow)
        answer: Any = None
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Pause):
                        time.sleep(step.seconds)
                        answer = None
                    else:
                        answer = self._transport.send(step)
                except BatutaError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    server_info = _blocking(calls.server_info)

    register_workflow = _blocking(calls.register_workflow)
    register_workflows = _blocking(calls.register_workflows)
    validate_workflow = _blocking(calls.validate_workflow)
    workflow_definition = _blocking(calls.workflow_definition)
    workflow_definitions = _blocking(calls.workflow_definitions)
    latest_workflow_definitions = _blocking(calls.latest_workflow_definitions)
    workflow_versions = _blocking(calls.workflow_versions)
    delete_workflow_definition = _blocking(calls.delete_workflow_definition)

    register_tasks = _blocking(calls.register_tasks)
    update_task_definition = _blocking(calls.update_task_definition)
    task_definition = _blocking(calls.task_definition)
    task_definitions = _blocking(calls.task_definitions)
    delete_task_definition = _blocking(calls.delete_task_definition)

    start = _blocking(calls.start)
    start_and_wait = _blocking_flow(waiting.start_and_wait)
    wait = _blocking_flow(waiting.wait)
    get = _blocking(calls.get)
    status = _blocking(calls.status)
    tasks = _blocking(calls.tasks)
    iterate_tasks = _blocking_pages(waiting.task_pages)
    executions = _blocking(calls.executions)
    iterate_executions = _blocking_pages(waiting.execution_pages)
    terminate = _blocking(calls.terminate)
    delete = _blocking(calls.delete)

    pause = _blocking(operations.pause)
    resume = _blocking(operations.resume)
    retry = _blocking(operations.retry)
    restart = _blocking(operations.restart)
    rerun = _blocking(operations.rerun)
    skip_task = _blocking(operations.skip_task)
    update_variables = _blocking(operations.update_variables)
    reset_callbacks = _blocking(operations.reset_callbacks)
    pause_all = _blocking(operations.pause_all)
    resume_all = _blocking(operations.resume_all)
    retry_all = _blocking(operations.retry_all)
    restart_all = _blocking(operations.restart_all)
    terminate_all = _blocking(operations.terminate_all)
    delete_all = _blocking(operations.delete_all)

    task = _blocking(calls.task)
    update_task = _blocking(calls.update_task)
    complete_task = _blocking(calls.complete_task)
    fail_task = _blocking(calls.fail_task)
    update_task_by_ref = _blocking(calls.update_task_by_ref)
    complete_task_by_ref = _blocking(calls.complete_task_by_ref)
    fail_task_by_ref = _blocking(calls.fail_task_by_ref)
    signal = _blocking(calls.signal)
    task_log = _blocking(calls.task_log)
    add_task_log = _blocking(calls.add_task_log)


def _awaiting(describe: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    @functools.wraps(describe)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(describe(*args, **kwargs))

    return method


def _awaiting_flow(describe: Callable[Concatenate[str, P], Flow[T]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[T]]:
    @functools.wraps(describe)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(describe(self._prefix, *args, **kwargs))

    return method


def _awaiting_pages(describe: Callable[P, Callable[[int], Call[Page[T]]]]) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    @functools.wraps(describe)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        page_at, start = describe(*args, **kwargs), 0
        while items := (await self.call(page_at(start))).items:
            for item in items:
                yield item
            start += len(items)

    return method


class AsyncClient(_Connected):
    """The same calls for coroutines; the event loop never waits for the network. Also an asynchronous context manager."""

    def __init__(
        self,
        url: str | None = None,
        *,
        stage: str | None = None,
        namespace: str | None = None,
        auth: Auth | None = None,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(url, stage=stage, namespace=namespace, auth=auth, transport=transport)
        self._threads = DaemonPool("batuta-client", ASYNC_REQUESTS_MAX)

    async def call(self, flow: Flow[T] | Call[T]) -> T:
        """Carries out a call of ``batuta.calls``, or any flow of requests and pauses."""
        steps = self._steps(flow)
        answer: Any = None
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                        answer = None
                    else:
                        answer = await asyncio.wrap_future(self._threads.submit(self._transport.send, step))
                except BatutaError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def close(self) -> None:
        self._threads.shutdown()
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    server_info = _awaiting(calls.server_info)

    register_workflow = _awaiting(calls.register_workflow)
    register_workflows = _awaiting(calls.register_workflows)
    validate_workflow = _awaiting(calls.validate_workflow)
    workflow_definition = _awaiting(calls.workflow_definition)
    workflow_definitions = _awaiting(calls.workflow_definitions)
    latest_workflow_definitions = _awaiting(calls.latest_workflow_definitions)
    workflow_versions = _awaiting(calls.workflow_versions)
    delete_workflow_definition = _awaiting(calls.delete_workflow_definition)

    register_tasks = _awaiting(calls.register_tasks)
    update_task_definition = _awaiting(calls.update_task_definition)
    task_definition = _awaiting(calls.task_definition)
    task_definitions = _awaiting(calls.task_definitions)
    delete_task_definition = _awaiting(calls.delete_task_definition)

    start = _awaiting(calls.start)
    start_and_wait = _awaiting_flow(waiting.start_and_wait)
    wait = _awaiting_flow(waiting.wait)
    get = _awaiting(calls.get)
    status = _awaiting(calls.status)
    tasks = _awaiting(calls.tasks)
    iterate_tasks = _awaiting_pages(waiting.task_pages)
    executions = _awaiting(calls.executions)
    iterate_executions = _awaiting_pages(waiting.execution_pages)
    terminate = _awaiting(calls.terminate)
    delete = _awaiting(calls.delete)

    pause = _awaiting(operations.pause)
    resume = _awaiting(operations.resume)
    retry = _awaiting(operations.retry)
    restart = _awaiting(operations.restart)
    rerun = _awaiting(operations.rerun)
    skip_task = _awaiting(operations.skip_task)
    update_variables = _awaiting(operations.update_variables)
    reset_callbacks = _awaiting(operations.reset_callbacks)
    pause_all = _awaiting(operations.pause_all)
    resume_all = _awaiting(operations.resume_all)
    retry_all = _awaiting(operations.retry_all)
    restart_all = _awaiting(operations.restart_all)
    terminate_all = _awaiting(operations.terminate_all)
    delete_all = _awaiting(operations.delete_all)

    task = _awaiting(calls.task)
    update_task = _awaiting(calls.update_task)
    complete_task = _awaiting(calls.complete_task)
    fail_task = _awaiting(calls.fail_task)
    update_task_by_ref = _awaiting(calls.update_task_by_ref)
    complete_task_by_ref = _awaiting(calls.complete_task_by_ref)
    fail_task_by_ref = _awaiting(calls.fail_task_by_ref)
    signal = _awaiting(calls.signal)
    task_log = _awaiting(calls.task_log)
    add_task_log = _awaiting(calls.add_task_log)
