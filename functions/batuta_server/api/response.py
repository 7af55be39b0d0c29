"""An answer of a route, and what Lambda makes of it (HTTP API, payload format 2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Response:
    """``body`` is text; without a ``content_type`` none is named."""

    def __init__(self, status: int, body: str, content_type: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        if content_type:
            self.headers["Content-Type"] = content_type

    def to_dict(self) -> dict[str, Any]:
        return {"statusCode": self.status, "headers": self.headers, "body": self.body, "isBase64Encoded": False}
