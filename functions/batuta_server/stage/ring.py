"""The ring of token keys: what signs now, and what older messages were signed with. ``aws/key_ring.py`` reads it."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from itertools import pairwise

from batuta_server.aws.key_ring import VERIFIES_FOR_MS

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """``from_ms``: when it was made. It verifies from then on, and signs from two minutes later."""

    key: str  # base64url
    from_ms: int


@dataclass(frozen=True, slots=True)
class Ring:
    """The newest first. ``generation`` is that of the newest key; 0: there is none."""

    keys: tuple[Key, ...] = ()
    generation: int = 0

    @classmethod
    def from_text(cls, text: str) -> Ring:
        value = json.loads(text)
        return cls(tuple(Key(item["key"], item["from_ms"]) for item in value["keys"]), value.get("generation", 1))

    def to_text(self) -> str:
        keys = [{"key": key.key, "from_ms": key.from_ms} for key in self.keys]
        return json.dumps({"keys": keys, "generation": self.generation}, separators=(",", ":"))


def turn(ring: Ring, generation: int, now_ms: int) -> Ring:
    """With a fresh key where ``generation`` has grown, and without those that signed their last too long ago.

    The ring says which generation it is of, so a repeated request makes no second key. A smaller generation, as when a
    deployment is rolled back, changes nothing: what the new key has signed is out there.
    """
    if generation <= ring.generation:
        return ring
    fresh = Key(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode(), now_ms)
    return Ring((fresh, *_still_needed((fresh, *ring.keys), now_ms)), generation)


def _still_needed(keys: tuple[Key, ...], now_ms: int) -> list[Key]:
    """Those after the first whose successor was made less than ``VERIFIES_FOR_MS`` ago: how old a key itself is does not
    matter, it may have signed for years until a minute ago."""
    return [key for successor, key in pairwise(keys) if now_ms - successor.from_ms < VERIFIES_FOR_MS]
