"""The sandbox function: a script in, its value or its error out. The port's other side is ``aws/scripts.py``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from batuta_core.decider.known import Language, Script

if TYPE_CHECKING:
    from batuta_core.engine.ports import Scripts


def make_handler(scripts: Scripts) -> Callable[[Mapping[str, Any], Any], dict[str, Any]]:
    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        script = Script(Language(event["language"]), event["source"], json.dumps(event["input"]), event["nowMs"], event["seed"])
        (result,) = scripts.run([script])
        if result.error is not None:
            return {"isDone": True, "error": result.error, "isLate": result.is_late}
        return {"isDone": True, **_value(result.value)}

    return handler


def _value(value: Any) -> dict[str, Any]:
    """As JSON in a text where it holds half a pair of UTF-16: Lambda's runtime for Python cannot send those."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return {"json": json.dumps(value)}
    return {"value": value}
