"""Proofs that a message is what it claims to be: HMACs, since a right to send to a queue is no right to complete a task."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence

from batuta_core.model.names import ExecutionId
from batuta_core.model.place import TaskPlace

_TOKEN_BYTES = 16  # 128 bits: nobody guesses one before the execution ends


class Signer:
    """Signs with the first of its keys and accepts all of them: an old key stays in the list for longer than the longest
    message lives (14 days), so that rotation refuses nothing."""

    def __init__(self, keys: Sequence[bytes] | Callable[[], Sequence[bytes]], renew: Callable[[], Sequence[bytes]] | None = None) -> None:
        """``keys`` that change with time are asked for at each use. ``renew`` fetches them anew; it is asked when a tag is none of
        ours, and may raise."""
        self._keys = keys if callable(keys) else _checked(keys)
        self._renew = renew
        self._known()

    def task_token(self, execution: ExecutionId, place: TaskPlace, attempt: int) -> str:
        """What a worker must show to report on this attempt."""
        return _tag_of(self._known()[0], _task_text(execution, place, attempt))

    def is_task_token(self, token: str, execution: ExecutionId, place: TaskPlace, attempt: int) -> bool:
        return self._is_tag(token, _task_text(execution, place, attempt))

    def signature(self, text: str) -> str:
        """What our own functions put on the messages that they send to each other."""
        return _tag_of(self._known()[0], "message\x00" + text)

    def is_signature(self, signature: str, text: str) -> bool:
        return self._is_tag(signature, "message\x00" + text)

    def _known(self) -> tuple[bytes, ...]:
        return _checked(self._keys()) if callable(self._keys) else self._keys

    def _is_tag(self, tag: str, text: str) -> bool:
        known = self._known()
        if _is_tag_of(known, tag, text):
            return True
        newer = _checked(self._renew()) if self._renew is not None else known
        if newer == known:
            return False
        if not callable(self._keys):
            self._keys = newer
        return _is_tag_of(newer, tag, text)


def _is_tag_of(keys: Sequence[bytes], tag: str, text: str) -> bool:
    return any(hmac.compare_digest(tag.encode("utf-8", "replace"), _tag_of(key, text).encode()) for key in keys)


def _tag_of(key: bytes, text: str) -> str:
    digest = hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_TOKEN_BYTES]).decode().rstrip("=")


def _checked(keys: Sequence[bytes]) -> tuple[bytes, ...]:
    if not keys or not all(len(key) >= 16 for key in keys):
        raise ValueError("a signer needs at least one key of 16 bytes or more")
    return tuple(keys)


def _task_text(execution: ExecutionId, place: TaskPlace, attempt: int) -> str:
    rerun = f"\x00{place.rerun}" if place.rerun else ""
    return f"task\x00{execution}\x00{place.record}\x00{place.nth}\x00{attempt}{rerun}"
