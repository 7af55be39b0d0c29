"""Writes journals as this commit makes them: ``python -m tests.upgrade.write NAME``, once per change of what records hold.

They come from the simulator, seed by seed; one is kept when a kind of event or command in it is still rare among those kept. Never
write over what an earlier commit wrote: it stands for executions that were under way when somebody upgraded.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from batuta_core.engine.replay import Export, export
from batuta_core.model.error import WorkflowNotFound
from tests.simulation.schedule import run_seed

JOURNALS = Path(__file__).parent / "journals"
_SEEDS = 400
_EACH = 3  # of every kind
_BYTES_MAX = 60_000


def kinds(exported: Export) -> set[str]:
    """What an execution shows of the language of records."""
    found = {f"status {exported.records[-1].head.status.value}"}
    for record in exported.records:
        found |= {f"event {event.to_dict()['e']}" for event in record.events}
        found |= {f"command {command.to_dict()['c']}" for command in record.commands}
        found |= {f"change {name}" for change in record.changes for name in change.to_dict()}
    return found


def main() -> int:
    target = JOURNALS / f"{sys.argv[1]}.jsonl"
    if target.exists():
        sys.exit(f"{target} is there already: journals of earlier commits are never changed, take another name")
    counts: Counter[str] = Counter()
    lines = []
    for seed in range(_SEEDS):
        run = run_seed(seed)
        for execution in run.watcher.records:
            try:
                exported = export(run.world.plain, execution)
            except WorkflowNotFound:
                continue  # removed
            text = json.dumps(exported.to_dict(), separators=(",", ":"), ensure_ascii=True)
            shown = kinds(exported)
            if len(text) < _BYTES_MAX and any(counts[kind] < _EACH for kind in shown):
                counts.update(shown)
                lines.append(text)
    target.write_text("\n".join(lines) + "\n")
    print(f"{target}: {len(lines)} executions; {dict(sorted(counts.items()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
