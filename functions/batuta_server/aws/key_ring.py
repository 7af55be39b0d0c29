"""The stage's token keys: a SecureString in SSM's parameter store, which only the stage's functions may read.

Its value is JSON: ``{"keys": [{"key": <base64url>, "from_ms": <when it was made>}, ...]}``, the newest first. A deployment that
rotates adds a key in front (``batuta_server.stage``). A key that has a successor verifies for ``VERIFIES_FOR_MS`` longer, whatever
the parameter still holds.

A function that has never heard of a key must not refuse what another signs with it. So nobody signs with a key in its first
two minutes, and who meets an unknown tag reads the ring again, unless it did within the last one. A warm environment reads it again
every hour, too, or it would sign with an old key for as long as it lives.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from batuta_core.model.error import BatutaError
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport

SIGN_AFTER_MS = 120_000
# A key that signs no more verifies for longer than the longest message lives: SQS keeps one for 14 days, in a dead letter queue
# for as long again at most.
VERIFIES_FOR_MS = 30 * 24 * 3600 * 1000
READ_EVERY_S = 3600.0  # a request to KMS an hour and environment: $0.004 a month for two that tick
TRY_AGAIN_AFTER_S = 600.0  # such a reading: one that is not answered takes a request some 12 s
READ_AGAIN_AFTER_S = 60.0  # less than the above: whoever read the ring before a key was made may do so again before it is used


class Made(NamedTuple):
    """A key, and when it was made."""

    from_ms: int
    key: bytes


class KeyRing:
    """For any number of threads: the worst of a race is one more read."""

    def __init__(self, transport: Transport, parameter: str) -> None:
        self._transport = transport
        self._parameter = parameter
        self._ring: Sequence[Made] = ()
        self._read_at = 0.0

    def known(self) -> tuple[bytes, ...]:
        """Those that verify now, as far as is known here; the first one signs. Raises Unavailable when the parameter store has
        never answered."""
        age_s = time.monotonic() - self._read_at
        if not self._ring:
            self._read_again()
        elif age_s >= READ_EVERY_S:
            try:
                self._read_again()
            except BatutaError:  # those that are known still hold, and an unknown tag has them read at any time
                self._read_at = time.monotonic() - READ_EVERY_S + TRY_AGAIN_AFTER_S
        return usable(self._ring, _now_ms())

    def newest(self) -> tuple[bytes, ...]:
        """As ``known``, read again unless that was within the last minute. Raises Unavailable when the parameter store does not
        answer."""
        if not self._ring or time.monotonic() - self._read_at >= READ_AGAIN_AFTER_S:
            self._read_again()
        return usable(self._ring, _now_ms())

    def _read_again(self) -> None:
        self._ring = parsed(self._read())
        self._read_at = time.monotonic()

    def _read(self) -> str:
        try:
            answer = self._transport.call("ssm", "GetParameter", {"Name": self._parameter, "WithDecryption": True})
        except AwsError as error:
            raise to_batuta(error, f"GetParameter {self._parameter}") from error
        value: str = answer["Parameter"]["Value"]
        return value


def parsed(value: str) -> Sequence[Made]:
    """The parameter's value, the newest key first. Raises BatutaError, which never quotes the value."""
    try:
        entries: list[dict[str, Any]] = json.loads(value)["keys"]
        ring = [Made(int(entry["from_ms"]), base64.b64decode(entry["key"], altchars=b"-_", validate=True)) for entry in entries]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise BatutaError("the parameter with the token keys does not hold a ring of keys: deploy the stack again") from None
    if not ring:
        raise BatutaError("the parameter with the token keys holds no key: deploy the stack again")
    return sorted(ring, reverse=True)


def usable(ring: Sequence[Made], now_ms: int) -> tuple[bytes, ...]:
    """Those that verify now, the one to sign with first."""
    valid = [ring[0], *(made for successor, made in pairwise(ring) if now_ms - successor.from_ms < VERIFIES_FOR_MS)]
    signing = next((made for made in valid if now_ms - made.from_ms >= SIGN_AFTER_MS), valid[-1])
    return (signing.key, *(made.key for made in valid if made is not signing))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
