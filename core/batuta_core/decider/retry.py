"""The wait before the next attempt."""

from __future__ import annotations

import zlib
from typing import assert_never

from batuta_core.model.definition import RetryLogic, RetryPolicy

_DOUBLINGS_MAX = 40  # 40 doublings of 1 ms pass 30 years
_DELAY_MAX_S = 2_147_483_647  # Conductor computes in 32-bit seconds and answers an overflow with the largest


def delay_s(policy: RetryPolicy, failures: int) -> int:
    """Wait after the ``failures``-th failure (1 is the first), in whole seconds, as Conductor 3.32 computes it (recorded).

    Exponential doubles; the scale factor counts for linear only. The cap holds for all three.
    """
    match policy.logic:
        case RetryLogic.FIXED:
            wait_ms = policy.delay_ms
        case RetryLogic.LINEAR_BACKOFF:
            wait_ms = policy.delay_ms * policy.backoff_scale * failures
        case RetryLogic.EXPONENTIAL_BACKOFF:
            wait_ms = policy.delay_ms << min(failures - 1, _DOUBLINGS_MAX)
        case _:
            assert_never(policy.logic)
    if policy.max_delay_ms:
        wait_ms = min(wait_ms, policy.max_delay_ms)
    return min(wait_ms // 1000, _DELAY_MAX_S)


def jitter_ms(policy: RetryPolicy, task_id: str, failures: int) -> int:
    """What is added to the wait: a hash, not a draw, so that a repeated event decides the same; tasks that fail together spread."""
    return zlib.crc32(f"{task_id}:{failures}".encode()) % (policy.jitter_ms + 1)
