"""What of a definition did not come back as it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def lost_paths(sent: Any, back: Any, path: str) -> Iterator[str]:
    """Where what came back differs from what was sent. More may come back; what is empty, zero or null may stay away."""
    if isinstance(sent, dict) and isinstance(back, dict):
        for key, value in sent.items():
            if key in back:
                yield from lost_paths(value, back[key], f"{path}.{key}")
            elif value not in (None, [], {}, "", 0, False):
                yield f"{path}.{key}"
    elif isinstance(sent, list) and isinstance(back, list):
        if len(sent) != len(back):
            yield f"{path}.length"
        for index, (one, other) in enumerate(zip(sent, back, strict=False)):
            yield from lost_paths(one, other, f"{path}[{index}]")
    elif is_number(sent) and is_number(back):
        if sent != back:
            yield path
    elif type(sent) is not type(back) or sent != back:
        yield path


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
