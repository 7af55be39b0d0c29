"""JSON of strangers, read strictly: what we could not answer or store again is refused."""

from __future__ import annotations

import json
import math
from typing import Any


def strict_json(text: str) -> Any:
    """No NaN, no Infinity, no number that would become it. Raises ValueError, or RecursionError for what is nested very deeply."""
    return _DECODER.decode(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    found = float(text)
    if math.isinf(found):  # it would be answered as Infinity, which is no JSON
        raise ValueError(f"{text[:64]} is too large for a number of 64 bits")
    return found


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)  # made once: that takes as long as a message
