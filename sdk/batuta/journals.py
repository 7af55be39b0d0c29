"""``batuta export`` and ``batuta replay``: an execution's journal as a file, and deciding it again on this machine.

The one part of the SDK that needs the decider; it is imported when one of the two is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batuta.client import Client
from batuta.http import Call, read_json
from batuta_core.decider.known import Script, ScriptResult
from batuta_core.engine.export import Export, from_pages
from batuta_core.engine.replay import Difference, replay
from batuta_core.model.error import InvalidInput
from batuta_core.model.payload import PayloadRef

STDOUT = Path("-")


class ScriptsMissing(Exception):
    """The execution runs scripts, and what runs them is not installed."""


def fetch(client: Client, workflow_id: str) -> Export:
    """The execution as it stands now. Raises WorkflowNotFound."""

    def pages() -> Iterator[Mapping[str, Any]]:
        first: int | None = 1
        while first is not None:
            page = client.call(_get(("workflow", workflow_id, "journal"), {"from": first}))
            first = page.get("next")
            yield page

    return from_pages(pages(), lambda ref: _payload(client, workflow_id, ref))


def _payload(client: Client, workflow_id: str, ref: PayloadRef) -> Any:
    return client.call(_get(("workflow", workflow_id, "journal", "payloads", ref.key)))


def _get(path: Sequence[str], query: Mapping[str, Any] | None = None) -> Call[Any]:
    return Call(method="GET", path=path, query=query or {}, read=read_json, is_repeatable=True)


def write(exported: Export, target: Path) -> None:
    text = json.dumps(exported.to_dict(), separators=(",", ":"))  # ASCII: half a character, which JSON can spell, has no UTF-8
    if target == STDOUT:
        print(text)
    else:
        target.write_text(text + "\n", encoding="ascii")


def read(file: Path) -> Export:
    """Raises InvalidInput for what is no export, NewerSchema for one of a newer version, OSError."""
    text = sys.stdin.read() if file == STDOUT else file.read_text(encoding="utf-8")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"{file} is no JSON: {error}") from error
    return Export.from_dict(data)


def decide_again(exported: Export, break_at: int) -> Difference | None:
    """The first record that comes out otherwise than the journal has it. Raises ScriptsMissing."""
    with _Scripts() as scripts:
        return replay(exported, scripts, break_at=break_at)


class _Scripts:
    """Runs users' scripts as the server does, in a process of its own, if the server is installed; begun with the first script."""

    def __init__(self) -> None:
        self._sandbox: Any = None

    def __enter__(self) -> _Scripts:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._sandbox is not None:
            self._sandbox.close()

    def run(self, scripts: Sequence[Script]) -> Sequence[ScriptResult]:
        if self._sandbox is None:
            if importlib.util.find_spec("batuta_server") is None:
                raise ScriptsMissing("this execution runs scripts, which the server's package does: pip install 'batuta[dev]'")
            self._sandbox = importlib.import_module("batuta_server.sandbox.runner").Sandbox()
        found: Sequence[ScriptResult] = self._sandbox.run(scripts)
        return found
