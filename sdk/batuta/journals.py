"""``batuta export`` and ``batuta replay``: an execution's journal as a file, and deciding it again on this machine.

Needs the decider, as ``batuta.testing`` does and nothing else in the SDK; it is imported when one of the two is asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from batuta.client import Client
from batuta.http import Call, read_json
from batuta.sandbox import SANDBOX
from batuta_core.engine.export import Export, from_pages
from batuta_core.engine.replay import Difference, replay
from batuta_core.model.error import InvalidInput
from batuta_core.model.payload import PayloadRef

STDOUT = Path("-")


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
    """The first record that comes out otherwise than the journal has it. Raises NoEvaluator when it runs scripts and
    what runs them is not installed."""
    return replay(exported, SANDBOX, break_at=break_at)
