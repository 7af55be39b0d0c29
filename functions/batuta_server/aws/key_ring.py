"""The stage's token keys: a SecureString in SSM's parameter store, which only the stage's functions may read.

Its value is JSON: ``{"keys": [{"key": <base64url>, "from_ms": <when it was made>}, ...]}``, the newest first. A deployment that
rotates adds a key in front and drops those that are older than any message (``batuta_server.stage``).

A function that has never heard of a key must not refuse what another signs with it. So nobody signs with a key in its first
two minutes, and who meets an unknown tag reads the ring again, unless it did within the last one.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from batuta_core.model.error import BatutaError
from batuta_server.aws.errors import AwsError, to_batuta
from batuta_server.aws.transport import Transport

SIGN_AFTER_MS = 120_000
READ_AGAIN_AFTER_S = 60.0  # less than the above: whoever read the ring before a key was made may do so again before it is used


class KeyRing:
    """For any number of threads: the worst of a race is one more read."""

    def __init__(self, transport: Transport, parameter: str) -> None:
        self._transport = transport
        self._parameter = parameter
        self._keys: tuple[bytes, ...] = ()
        self._read_at = 0.0

    def keys(self) -> tuple[bytes, ...]:
        """Those that verify; the first one signs. Raises Unavailable when the parameter store does not answer."""
        if not self._keys or time.monotonic() - self._read_at >= READ_AGAIN_AFTER_S:
            self._keys = in_order(self._read(), time.time_ns() // 1_000_000)
            self._read_at = time.monotonic()
        return self._keys

    def _read(self) -> str:
        try:
            answer = self._transport.call("ssm", "GetParameter", {"Name": self._parameter, "WithDecryption": True})
        except AwsError as error:
            raise to_batuta(error, f"GetParameter {self._parameter}") from error
        value: str = answer["Parameter"]["Value"]
        return value


def in_order(value: str, now_ms: int) -> tuple[bytes, ...]:
    """The keys in a ring's value, the one to sign with first. Raises BatutaError, which never quotes the value."""
    try:
        entries: list[dict[str, Any]] = json.loads(value)["keys"]
        ring = [(int(entry["from_ms"]), base64.b64decode(entry["key"], altchars=b"-_", validate=True)) for entry in entries]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise BatutaError("the parameter with the token keys does not hold a ring of keys: deploy the stack again") from None
    if not ring:
        raise BatutaError("the parameter with the token keys holds no key: deploy the stack again")
    ring.sort(reverse=True)
    known_to_all = [entry for entry in ring if now_ms - entry[0] >= SIGN_AFTER_MS] or ring[-1:]
    return (known_to_all[0][1], *(key for from_ms, key in ring if (from_ms, key) != known_to_all[0]))
