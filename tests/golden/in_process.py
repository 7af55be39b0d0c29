"""A whole stage in this process, for the driver of the recordings: the API's own handler on the simulator's ports, the http function, the
sandbox, and a clock that jumps when the driver sleeps.

The driver (``../shared/golden/run.py``) is loaded as a module, and given this in the place of its HTTP client and of its clock. What HTTP
tasks call is its echo server, over a real connection.
"""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote

from batuta_core.engine.ports import Incoming, Queues, Scripts
from batuta_core.simulator.world import Action, World
from batuta_server.api.handler import make_handler
from batuta_server.http.egress import Egress
from batuta_server.http.handler import make_handler as make_http
from batuta_server.local.pumps import _event as queue_event
from tests.golden.wanted import GOLDEN

# Nothing goes on by itself between two looks of the driver, so it need not look as often as at a server: every 50 ms, twice.
_SETTLE_MS = 50
_POLL_MS = 60


class _Failures:
    """A Log that keeps what must not happen."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, event: str, **facts: Any) -> None: ...

    warning = info

    def failed(self, event: str, error: Exception, **facts: Any) -> None:
        self.lines.append(f"{event}: {error!r}")


class _WaitingQueues:
    """The simulator's, for the API's long polls: while one waits, the stage goes on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.queues, name)

    def receive(self, queue: str, limit: int, wait_s: int) -> Sequence[Incoming]:
        end_ms = self._world.now_ms + wait_s * 1000
        while True:
            found = self._world.queues.receive(queue, limit, 0)
            if found or self._world.now_ms >= end_ms:
                return found
            self._world.run_to(min(self._world.next_ms() or end_ms, end_ms))


class Stage:
    """``call`` is what the driver's client does; ``sleep`` what its clock does."""

    def __init__(self, scripts: Scripts) -> None:
        self.log = _Failures()
        self.world = World(log=self.log, scripts=scripts)
        self.world.now_ms = time.time_ns() // 1_000_000  # the http function looks at the real clock
        self.world.ports = replace(self.world.plain, clock=self)
        self.world.sources.append(self._http)
        api_queues = _WaitingQueues(self.world)
        self._api = make_handler(replace(self.world.ports, queues=cast(Queues, api_queues)), {"stage": "sim"})
        self._run_http = make_http(self.world.queues, self.world.queues.inbox, Egress(("127.0.0.0/8",)), self.log)

    # --- the engine's clock

    def now_ms(self) -> int:
        return self.world.now_ms

    def sleep(self, ms: int) -> None:
        """Whoever waits, the stage goes on."""
        self.world.run_to(self.world.now_ms + ms)

    def pause(self, tries: int) -> None: ...

    # --- the driver's client

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        raw: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 0,
    ) -> tuple[int, Any, str]:
        text = raw if raw is not None else None if body is None else json.dumps(body)
        url = path[1:] if path.startswith("//") else f"/api{path}"
        answer = self._api(_event(method, url, text, headers or {}), None)
        return answer["statusCode"], *_read(answer["body"], answer["headers"].get("Content-Type", ""))

    # --- the http function

    def _http(self) -> list[Action]:
        return [Action("http", self._feed_http)] if self.world.queues.is_ready(self.world.queues.http) else []

    def _feed_http(self) -> None:
        queues = self.world.queues
        batch: list[Incoming] = list(queues.receive(queues.http, 10, 0))
        if batch:
            self._run_http(queue_event(queues.http, batch), None)
            queues.delete(queues.http, [message.receipt for message in batch])


def _event(method: str, url: str, body: str | None, headers: Mapping[str, str]) -> dict[str, Any]:
    path, _, query = url.partition("?")
    decoded = unquote(path).partition("?")[0]
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": decoded,
        "rawQueryString": query,
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {"http": {"method": method, "path": decoded}, "stage": "$default", "requestId": "golden"},
        "body": body,
        "isBase64Encoded": False,
    }


def _read(text: str, content_type: str) -> tuple[Any, str]:
    """As the driver's client reads an answer."""
    if not text:
        return None, "empty"
    if "json" in content_type.split(";")[0]:
        try:
            return json.loads(text), "json"
        except ValueError:
            pass
    return text, "text"


class _Clock:
    """In the place of the module ``time`` in the driver: the thread that plays a scenario sleeps on the stage's clock, the echo server's
    threads in earnest."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        self._thread = threading.get_ident()

    def time(self) -> float:
        return self.stage.world.now_ms / 1000 if self.stage else time.time()

    def sleep(self, seconds: float) -> None:
        if self.stage is None or threading.get_ident() != self._thread:
            time.sleep(seconds)
        else:
            self.stage.sleep(round(seconds * 1000))


@dataclass(frozen=True)
class Played:
    """``differences``: what the driver's ``compare`` would print, a line each."""

    differences: list[str]
    failures: list[str]


class Player:
    """Plays scenarios one by one, each on a stage of its own."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._driver = _driver()
        self._clock = _Clock()
        vars(self._driver)["time"] = self._clock
        self._echo = self._driver.start_echo()
        self._profile = self._driver.profile(SimpleNamespace(profile="core", cmd="compare", fields=None))
        self._count = 0

    def close(self) -> None:
        self._echo.shutdown()
        self._echo.server_close()

    def play(self, name: str) -> Played:
        spec = json.loads((GOLDEN / "scenarios" / f"{name}.json").read_text(encoding="utf-8"))
        stage = self._clock.stage = Stage(self._scripts)
        self._count += 1
        echo = f"http://127.0.0.1:{self._echo.server_address[1]}"
        scenario = self._driver.Scenario(name, spec, f"zqproc{self._count:03d}", stage, echo, _SETTLE_MS, _POLL_MS)
        for handler in scenario.expand(spec.get("handlers", [])):
            stage.call("POST", "/event", handler)
        trace = scenario.execute()
        return Played(self._differences(name, spec, trace, scenario.problems), stage.log.lines)

    def _differences(self, name: str, spec: Mapping[str, Any], trace: Any, problems: list[str]) -> list[str]:
        if name in self._driver.better():
            return problems
        files = [GOLDEN / "expected" / f"{name}.json", *sorted((GOLDEN / "variants").glob(f"*/{name}.json"))]
        recordings = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
        found = self._driver.closest(recordings, trace, self._profile, spec.get("ignore", []))
        show: Callable[[Any], str] = self._driver.show
        return [f"{path}: expected {show(expected)}, actual {show(actual)}" for path, expected, actual in found]


def _driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_driver", GOLDEN / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def playing(scripts: Scripts) -> Iterator[Player]:
    player = Player(scripts)
    try:
        yield player
    finally:
        player.close()
