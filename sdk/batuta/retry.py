"""Retry policies, as the ``task`` decorator takes them: what the task definition says about further attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    """``limit`` counts the attempts after the first. ``max_s`` caps every wait (0: no cap); up to ``jitter_ms`` is added."""

    limit: int
    max_s: int = 0
    jitter_ms: int = 0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ValueError(f"{type(self).__name__}.{name} must be a whole number of 0 or more, not {value!r}")

    def _to_definition(self, logic: str, delay_s: int) -> dict[str, Any]:
        found: dict[str, Any] = {"retryLogic": logic, "retryCount": self.limit, "retryDelaySeconds": delay_s}
        if self.max_s:
            found["maxRetryDelaySeconds"] = self.max_s
        if self.jitter_ms:
            found["backoffJitterMs"] = self.jitter_ms
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed(_Policy):
    """Waits ``delay_s`` before each further attempt. ``Fixed(limit=0)``: no further attempt."""

    delay_s: int = 0

    def to_definition(self) -> dict[str, Any]:
        return self._to_definition("FIXED", self.delay_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(_Policy):
    """Waits ``step_s``, then twice, then three times that."""

    step_s: int

    def to_definition(self) -> dict[str, Any]:
        return self._to_definition("LINEAR_BACKOFF", self.step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(_Policy):
    """Waits ``first_s``, then twice that, then four times."""

    first_s: int

    def to_definition(self) -> dict[str, Any]:
        return self._to_definition("EXPONENTIAL_BACKOFF", self.first_s)


RetryPolicy = Fixed | Linear | Exponential
