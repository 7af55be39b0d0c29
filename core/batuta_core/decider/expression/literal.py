"""Values written out in a path: texts in quotes and JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from batuta_core.decider.expression.cursor import STRING, InvalidPath
from batuta_core.decider.expression.reading import Reading
from batuta_core.model.frozen import dataclass

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_UNESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written out in a filter or as an argument."""

    literal: Any

    def evaluate(self, item: Any, reading: Reading) -> Any:
        return self.literal


def unescaped(text: str) -> str:
    """What stood between quotes, without its backslashes."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _UNESCAPES.get(found[1], found[1]), text)
    return str(json.loads(json.dumps(plain)))  # joins the two halves of a character beyond U+FFFF


def json_value(text: str) -> Any:
    """JSON in which texts may stand in single quotes, too."""
    try:
        plain = STRING.sub(lambda found: json.dumps(unescaped(found[0][1:-1])), text)
        return json.loads(plain, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        raise InvalidPath(f"{text[:20]!r} is no JSON") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
