"""Writes journals as this commit makes them: ``python -m tests.upgrade.write NAME``, once per change of what records hold.

Two files come of it. ``journals/NAME.jsonl`` holds exported executions of the simulator, seed by seed; one is kept when a kind of event
or command in it is still rare among those kept. ``stored/NAME.jsonl`` holds the items of DynamoDB as the journal's adapter writes them:
plain, compressed, and compressed with the first record as the dictionary.

What an earlier commit wrote is never written over, since it stands for executions that were under way when somebody upgraded: a test
compares the files with ``written.py``, which gets a line for each new one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from batuta_core.engine.export import Export, export
from batuta_core.model.error import WorkflowNotFound
from batuta_core.simulator.world import World
from tests.simulation.plan import Plan
from tests.simulation.schedule import run_plan, run_seed
from tests.simulation.workload import Workload

FOLDER = Path(__file__).parent
JOURNALS, STORED = FOLDER / "journals", FOLDER / "stored"
_SEEDS = 400
_EACH = 3  # of every kind
_BYTES_MAX = 60_000
_STORED_EACH = 6  # records of every form


def kinds(exported: Export) -> set[str]:
    """What an execution shows of the language of records."""
    found = {f"status {exported.records[-1].head.status.value}"}
    for record in exported.records:
        found |= {f"event {event.to_dict()['e']}" for event in record.events}
        found |= {f"command {command.to_dict()['c']}" for command in record.commands}
        found |= {f"change {name}" for change in record.changes for name in change.to_dict()}
    return found


def form(raw: bytes) -> str:
    """How a record is stored: RFC 1950 says where a dictionary is wanted (FDICT)."""
    return "plain" if raw[:1] == b"{" else "dictionary" if raw[1] & 0x20 else "zlib"


def _exported(world: World, executions: Any) -> Iterator[Export]:
    for execution in executions:
        try:
            yield export(world.plain, execution)
        except WorkflowNotFound:
            continue  # removed


def journals() -> Iterator[str]:
    counts: Counter[str] = Counter()
    for seed in range(_SEEDS):
        run = run_seed(seed)
        for exported in _exported(run.world, run.watcher.records):
            text = _line(exported.to_dict())
            shown = kinds(exported)
            if len(text) < _BYTES_MAX and any(counts[kind] < _EACH for kind in shown):
                counts.update(shown)
                yield text


def stored() -> Iterator[str]:
    counts: Counter[str] = Counter()
    for number in range(20):
        run = run_plan(Plan([_wordy(number)]), seed=number)
        for exported in _exported(run.world, run.watcher.records):
            raw = run.world.journal._records[exported.execution]
            shown = Counter(form(item) for item in raw.values())
            if any(counts[kind] < _STORED_EACH for kind in shown):
                counts.update(shown)
                key = str(exported.execution)
                items = [
                    {"pk": {"S": key}, "seq": {"N": str(seq)}, "b": {"B": base64.b64encode(item).decode()}}
                    for seq, item in sorted(raw.items())
                ]
                about = {name: value for name, value in exported.to_dict().items() if name != "records"}
                yield _line({**about, "items": items})
    print(dict(counts))


def _wordy(number: int) -> Workload:
    """Three tasks that are given the workflow's input, whose size grows with ``number``: from what fits into a write unit plain."""
    words = Random(number)
    text = " ".join("".join(words.choices("abcdefghijklmnop", k=5)) for _ in range(20 * number))
    inputs = {"text": "${workflow.input.text}"}
    return Workload(
        name="w0",
        tasks=[{"name": f"w0_t{n}", "taskReferenceName": f"t{n}", "type": "SIMPLE", "inputParameters": inputs} for n in range(3)],
        task_definitions=[{"name": f"w0_t{n}", "retryCount": 0, "responseTimeoutSeconds": 600} for n in range(3)],
        input={"text": text},
        outputs={"n": "${t2.output.n}"},
        seed=number,
        failing=0.0,
    )


def _line(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True)


def main() -> int:
    name = sys.argv[1]
    targets = [folder / f"{name}.jsonl" for folder in (JOURNALS, STORED)]
    if any(target.exists() for target in targets):
        sys.exit(f"{name} is there already: what earlier commits wrote is never changed, take another name")
    for target, lines in zip(targets, (journals(), stored()), strict=True):
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n")
        print(f'    "{target.relative_to(FOLDER)}": "{hashlib.sha256(target.read_bytes()).hexdigest()}",  # goes into written.py')
    return 0


if __name__ == "__main__":
    sys.exit(main())
