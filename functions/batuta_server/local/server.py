"""A whole stage in one process: the handlers that Lambda runs, on an emulator that this starts, pumped as AWS would."""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from batuta_core.engine.ports import Log
from batuta_core.model.error import BatutaError
from batuta_core.model.names import resource_name
from batuta_server import bootstrap, layout
from batuta_server.api.handler import make_handler as make_api
from batuta_server.aws.provision import provision
from batuta_server.aws.signature import Credentials
from batuta_server.aws.sinks import ANY, AwsSinks
from batuta_server.decider.handler import make_handler as make_decider
from batuta_server.events.handler import make_handler as make_events
from batuta_server.http.egress import Egress
from batuta_server.http.handler import make_handler as make_http
from batuta_server.local.emulator import ACCOUNT, REGION, SECRET, Emulator
from batuta_server.local.front import Front
from batuta_server.local.pumps import Pumps
from batuta_server.local.state import StateFolder
from batuta_server.sandbox.runner import Sandbox
from batuta_server.settings import Settings
from batuta_server.timers.handler import make_handler as make_timers

STAGE = "dev"
_DECIDERS = 4  # threads; the emulator's own work is the limit
_HTTP_THREADS = 4  # a slow request holds up its batch only
_EVENT_THREADS = 2
_LAST_BATCHES_S = 5.0
_MINUTE_S = 60.0
_SWEEP_S = 5.0  # a minute on AWS; who tries things out should not have to wait for it


class PlainLog:
    """Warnings and failures as lines on standard error; the rest only when asked for (``BATUTA_LOG=info``)."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("batuta.server")
        self._is_talkative = os.environ.get("BATUTA_LOG", "") == "info"

    def info(self, event: str, **facts: Any) -> None:
        if self._is_talkative:
            self._say(event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._say(event, facts)

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        self._say(event, {**facts, "error": repr(error)})
        if not isinstance(error, BatutaError) or not error.retryable:
            self._logger.error("%s", event, exc_info=error)

    @staticmethod
    def _say(event: str, facts: dict[str, Any]) -> None:
        print(f"batuta: {event} {json.dumps(facts, default=str)}", file=sys.stderr, flush=True)


class LocalServer:
    """``state``: a folder in which everything is kept over clean restarts; without it nothing outlives the process.
    ``http_allowed``: ranges that HTTP tasks may call although they are not public; ValueError for what is no range."""

    def __init__(
        self,
        port: int,
        state: StateFolder | None = None,
        log: Log | None = None,
        retention_s: int = 0,
        http_allowed: Sequence[str] = (),
    ) -> None:
        self._log = log or PlainLog()
        self._egress = Egress(http_allowed)
        self._state = state
        kept = _kept_before(state)
        self.emulator = Emulator(state, _free_again(kept.get("port")))
        self.settings = Settings(
            stage=STAGE,
            region=REGION,
            bucket="batuta-dev",
            token_keys=(base64.b64decode(kept["token_key"]),),
            retention_s=retention_s,
            is_local=True,
            endpoint_url=self.emulator.endpoint,
        )
        self._kept = kept
        self.port = port
        self._transport = bootstrap.connect(self.settings, Credentials(ACCOUNT, SECRET))
        self._running = ExitStack()  # what ``stop`` ends: the newest first, and each whatever became of the others
        if state:
            self._running.callback(state.close)
        self._running.callback(self._transport.close)
        self._running.callback(self.emulator.stop)  # ends the long polls as well

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when requests are answered. Raises EmulatorFailed, or OSError when the port is taken."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self.emulator.wait_until_ready()
        provision(self.settings, self._transport)
        ports = bootstrap.make_ports(self.settings, self._transport, self._log)
        if isinstance(ports.scripts, Sandbox):
            self._running.callback(ports.scripts.close)
        about = {"stage": STAGE, "region": REGION, "endpoint": self.emulator.endpoint, "account": ACCOUNT}
        front = Front(make_api(ports, about), self.port)
        self.port = front.port
        decider, timers = make_decider(ports), make_timers(ports)
        self.pumps = Pumps(ports.queues, self._log)
        self._running.callback(self.pumps.stop, _LAST_BATCHES_S)
        self.pumps.feed(resource_name(STAGE, "decider.fifo"), decider, threads=_DECIDERS)
        self.pumps.feed(resource_name(STAGE, "timers"), timers)
        http = make_http(ports.queues, resource_name(STAGE, "decider.fifo"), self._egress, self._log)
        self.pumps.feed(layout.HTTP_QUEUE.name(STAGE), http, threads=_HTTP_THREADS)
        sinks = AwsSinks([ANY], REGION, ACCOUNT, self._transport.credentials, self.emulator.endpoint)
        self.pumps.feed(layout.EVENTS_QUEUE.name(STAGE), make_events(ports, sinks), threads=_EVENT_THREADS)
        self.pumps.tick(timers, every_s=_MINUTE_S)
        self.pumps.tick(decider, every_s=_SWEEP_S)
        threading.Thread(target=front.run, daemon=True, name="front").start()
        self._running.callback(front.close)
        if self._state:
            self._state.write({**self._kept, "port": self.emulator.port})

    def stop(self) -> None:
        """No new requests or batches; the emulator saves its state and ends. A second call does nothing more."""
        self._running.close()


def _kept_before(state: StateFolder | None) -> dict[str, Any]:
    """The token key and the emulator's port: a restart must understand the messages from before, and running workers find
    their queues where they were."""
    fresh = {"token_key": base64.b64encode(secrets.token_bytes(32)).decode()}
    return {**fresh, **state.read()} if state else fresh


def _free_again(port: int | None) -> int:
    """``port`` if nobody listens there, else 0."""
    if port is None:
        return 0
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
