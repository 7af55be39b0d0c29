"""How every benchmark here ends: a table on the screen, the figures as JSON in ``benchmarks/out/``."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "out"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with equal keys as text."""
    if not rows:
        return ""
    columns = list(rows[0])
    cells = [columns, *[[_shown(row.get(column)) for column in columns] for row in rows]]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Writes ``benchmarks/out/<name>.json`` with what it was measured on."""
    OUT.mkdir(exist_ok=True)
    about = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({**figures, "measured": about}, indent=1) + "\n")
    print(f"\nwritten: {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return path


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
