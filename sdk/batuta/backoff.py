"""How long to wait before trying again: longer each time, and never all callers at once."""

from __future__ import annotations

import random

_DOUBLINGS_MAX = 30


def delay_s(failures: int, *, first_s: float, max_s: float) -> float:
    """Seconds to wait after the ``failures``-th failure in a row (1 is the first): doubled each time, up to half of it left out."""
    full_s = min(first_s * float(2 ** min(failures - 1, _DOUBLINGS_MAX)), max_s)
    return full_s * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads callers, it guards nothing
