"""Whether the worker works: what it knows of itself, and a tiny HTTP endpoint that says so."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEALTH_HOST = "127.0.0.1"  # who wants it seen from outside says so


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    """``last_poll_age_s`` is the time since the last successful poll, None before the first. ``error`` is the present trouble."""

    last_poll_age_s: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """``is_healthy``: the worker runs, its loop turns, and no existing queue has refused every poll for a minute."""

    is_healthy: bool
    state: str  # new, starting, running, stopping or stopped
    in_progress: int
    queues: Mapping[str, QueueHealth]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class HealthServer:
    """Answers every GET with the worker's health: 200 or 503. ``port`` 0 takes a free one."""

    def __init__(self, health: Callable[[], Health], host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = health()
                body = json.dumps(found.to_dict()).encode()
                self.send_response(200 if found.is_healthy else 503)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Probes come every few seconds: no line each."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="batuta-health", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
