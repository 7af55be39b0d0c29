"""The worker: functions in, tasks done, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from batuta import calls, settings
from batuta.aws import stage_url
from batuta.client import Client
from batuta.http import NoAnswer
from batuta.results import ServerInfo
from batuta.task_function import task_function
from batuta.threads import DaemonPool
from batuta.transport import Auth, HttpTransport, Transport
from batuta.worker.console import visible_log
from batuta.worker.health import HEALTH_HOST, Health, HealthServer
from batuta.worker.processes import is_child
from batuta.worker.queues import Queues, SqsQueues
from batuta.worker.service import Plan, Service
from batuta.worker.shutdown import signals
from batuta.worker.sources import offers_of
from batuta.worker.timing import Timing

logger = logging.getLogger("batuta.worker")

# Tasks in progress in one process. A thread that waits costs little, so this is for work that waits; set it lower, or use
# run_in_process, where functions keep the CPU busy.
MAX_IN_PROGRESS = 100

# What running functions get after the first signal: ECS and Kubernetes kill after 30 s, and the hand-back needs the rest.
GRACEFUL_SHUTDOWN_S = 25.0

_ASK_AGAIN_S = 1.0


class Worker:
    """Takes tasks of the functions' types from their queues and reports what the functions make of them.

    ``run()`` blocks until a signal or ``stop()``; ``start()`` and ``stop()``, or ``async with``, are for use inside an
    application. Plain functions run in one pool of threads, coroutines on an event loop of their own (inside ``async with`` on the
    application's), ``run_in_process`` ones in child processes, ``processes`` at once (default: one for each CPU).

    ``namespace`` and ``queue`` hold for functions whose decorator names none; the server is told of the queue.
    ``max_in_progress`` caps the tasks of the whole process. ``url``, ``stage``, ``endpoint`` and ``region`` are found as
    ``batuta.settings`` tells. With ``health_port`` a tiny HTTP server answers 200 or 503 with ``health()`` as JSON. ``queues`` and
    ``timing`` stand in for SQS and its clock in tests.
    """

    def __init__(
        self,
        *functions: Callable[..., Any],
        namespace: str | None = None,
        queue: str | None = None,
        max_in_progress: int = MAX_IN_PROGRESS,
        processes: int | None = None,
        graceful_shutdown_s: float = GRACEFUL_SHUTDOWN_S,
        url: str | None = None,
        stage: str | None = None,
        endpoint: str | None = None,
        region: str | None = None,
        auth: Auth | None = None,
        worker_id: str | None = None,
        health_port: int | None = None,
        health_host: str = HEALTH_HOST,
        queues: Queues | None = None,
        timing: Timing | None = None,
    ) -> None:
        if not functions:
            raise ValueError("a worker needs at least one function: Worker(charge_card, ship_order)")
        for name, value in (("max_in_progress", max_in_progress), ("processes", 1 if processes is None else processes)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value}")
        if graceful_shutdown_s < 0:
            raise ValueError(f"graceful_shutdown_s must not be negative: {graceful_shutdown_s}")
        self._offers = offers_of([task_function(function) for function in functions], settings.namespace_from(namespace), queue)
        self._max_in_progress = max_in_progress
        self._processes = processes or os.cpu_count() or 1
        self._graceful_shutdown_s = graceful_shutdown_s
        self._settings: dict[str, Any] = {"url": url, "stage": stage, "endpoint": endpoint, "region": region}
        self._auth = auth
        self._worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}"
        self._health_address = None if health_port is None else (health_host, health_port)
        self._queues = queues
        self._timing = timing
        self._lock = threading.Lock()
        self._state = "new"
        self._is_stop_wanted = threading.Event()
        self._service: Service | None = None
        self._health_server: HealthServer | None = None

    # --- in a program of its own

    def run(self) -> None:
        """Works until SIGTERM, SIGINT or ``stop()``; a second signal ends the process at once. Raises what ended the worker by
        itself, SettingsError when it cannot find its queues. Where no logging is configured, its log goes to the standard error."""
        if is_child():
            return  # a child process imports the script to find its function
        with visible_log(), signals(self._request_stop):
            self.start()
            service = self._service
            while service is not None and not service.has_ended.wait(1.0):  # not for ever: a signal may wake another thread
                pass
            self._close()
        if service is not None and service.error is not None:
            raise RuntimeError("the worker ended in an error of its own") from service.error

    # --- inside an application

    def start(self) -> None:
        """Returns once it works, which takes up to half a minute where the server is still starting. Raises SettingsError."""
        self._start(None)

    def stop(self) -> None:
        """No new tasks; running functions get ``graceful_shutdown_s``, then what is unfinished is handed back. Blocks until then;
        does nothing when it is stopped already."""
        self._request_stop()
        if self._service is not None:
            self._service.has_ended.wait()
        self._close()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await self._in_thread(lambda: self._start(loop))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._in_thread(self.stop)

    def health(self) -> Health:
        """From any thread, at any time."""
        if self._service is not None and self._state != "stopped":
            return self._service.health()
        return Health(is_healthy=False, state=self._state, in_progress=0, queues={})

    @property
    def health_port(self) -> int | None:
        """Where the health endpoint listens."""
        return self._health_server.port if self._health_server is not None else None

    # --- inside

    def _start(self, application: asyncio.AbstractEventLoop | None) -> None:
        if is_child():
            return
        with self._lock:
            if self._state != "new":
                raise RuntimeError(f"this worker is {self._state}: make a new one")
            self._state = "starting"
        try:
            plan = self._plan(application)
            if plan is None:
                self._close()
                return
            if self._health_address is not None:
                self._health_server = HealthServer(self.health, *self._health_address)
            service = Service(plan)
            service.start()
        except BaseException:
            self._close()
            raise
        self._service, self._state = service, "running"  # only now: ``stop`` waits for the end of what it finds here
        if self._is_stop_wanted.is_set():
            service.request_stop()

    def _plan(self, application: asyncio.AbstractEventLoop | None) -> Plan | None:
        """None when the worker was stopped before it found its queues."""
        try:
            find_url = stage_url if self._queues is None else None  # stand-ins are on no account where a stage could be
            connection = settings.resolve(**self._settings, ask=self._ask_server, find_url=find_url)
        except NoAnswer:
            if self._is_stop_wanted.is_set():
                return None
            raise
        timing = self._timing or (Timing.local() if connection.is_local else Timing())
        return Plan(
            offers=self._offers,
            stage=connection.stage,
            place=connection.shown,
            queues=self._queues or SqsQueues(connection),
            transport=self._transport(connection.url, connection.region) if connection.url is not None else None,
            timing=timing,
            worker_id=self._worker_id,
            max_in_progress=self._max_in_progress,
            processes=self._processes,
            graceful_shutdown_s=self._graceful_shutdown_s,
            application=application,
        )

    def _transport(self, url: str, region: str | None) -> Transport:
        return HttpTransport(url, self._auth, region)

    def _ask_server(self, url: str) -> ServerInfo:
        """Again while it does not answer: a server may start beside its workers."""
        end_s = time.monotonic() + (self._timing or Timing()).settle_s
        with Client(url, transport=self._transport(url, self._settings["region"])) as client:
            while True:
                try:
                    return client.call(calls.server_info())
                except NoAnswer as error:
                    if time.monotonic() > end_s or self._is_stop_wanted.is_set():
                        raise
                    logger.warning("%s; asking again", error.message)
                self._is_stop_wanted.wait(_ASK_AGAIN_S)

    def _request_stop(self) -> None:
        self._is_stop_wanted.set()
        if self._service is not None:
            self._service.request_stop()

    def _close(self) -> None:
        self._state = "stopped"
        if self._health_server is not None:
            self._health_server.close()
            self._health_server = None

    async def _in_thread(self, call: Callable[[], None]) -> None:
        """Not in the loop's own pool: the application may have filled that."""
        pool = DaemonPool("batuta-start", 1)
        try:
            await asyncio.wrap_future(pool.submit(call))
        finally:
            pool.shutdown()
