"""What a task's function may raise to say how its call ends. Any other exception is a failed attempt."""

from __future__ import annotations

import math
from typing import Any


class RetryLater(Exception):
    """Not now. Without ``delay_s`` the attempt has failed and the task's retry policy rules, its limit included.

    With ``delay_s`` the same attempt is called again after that many seconds (rounded up). That uses up no retry: only a
    time-out of the task ends it, so look at ``TaskContext.call`` where there is none.
    """

    def __init__(self, reason: str = "", *, delay_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_s = None if delay_s is None else _whole_seconds(delay_s)


class Fatal(Exception):
    """The task has failed for good: no retry will mend it. ``output`` is kept beside the reason."""

    def __init__(self, reason: str, output: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output


class InProgress(Exception):
    """The work goes on elsewhere: call the function again in ``callback_after_s`` seconds (rounded up).

    ``output`` is what the task shows until then. May be returned instead of raised.
    """

    def __init__(self, callback_after_s: float, output: Any = None) -> None:
        super().__init__(f"called again in {callback_after_s} s")
        self.callback_after_s = _whole_seconds(callback_after_s)
        self.output = output

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.callback_after_s, self.output)


def _whole_seconds(seconds: float) -> int:
    if not 0 <= seconds < math.inf:
        raise ValueError(f"a delay must be a number of seconds, 0 or more, not {seconds!r}")
    return math.ceil(seconds)
