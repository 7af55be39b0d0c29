"""Signature Version 4 for one POST, as DynamoDB, SQS, SSM and Lambda want it.

Follows "Create a signed AWS API request" of the IAM User Guide. The signing key depends on the day only, so it is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "application/x-amz-json-1.0"
_CONTENT_TYPES = {"ssm": "application/x-amz-json-1.1", "lambda": "application/json"}
_INVOKE_PATH = "/2015-03-31/functions/{}/invocations"  # of Lambda's API, which is one of paths
_UNANSWERED = "x-amz-invocation-type:Event\n", "X-Amz-Invocation-Type: Event\r\n"


@dataclass(frozen=True, slots=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Credentials:
        """Those that Lambda gives. They outlive the function's environment, so they are read once."""
        missing = [name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if not env.get(name)]
        if missing:
            raise RuntimeError(f"no AWS credentials: {', '.join(missing)} is not set")
        return cls(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env.get("AWS_SESSION_TOKEN", ""))


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """``day`` as ``YYYYMMDD``, UTC."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class SigningKeys:
    """Signs the calls to one service at one host."""

    def __init__(self, credentials: Credentials, region: str, service: str, host: str, path: str) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        self._host = host
        self._path = path
        self._content_type = _CONTENT_TYPES.get(service, CONTENT_TYPE)
        self._key_of_day: tuple[str, bytes] = ("", b"")
        token = credentials.session_token
        self._is_rest = service == "lambda"
        self._token_line = f"x-amz-security-token:{token}\n" if token else ""
        self._token_header = f"X-Amz-Security-Token: {token}\r\n" if token else ""

    def request(self, target: str, body: bytes, epoch_s: float, *, is_answered: bool = True) -> bytes:
        """The whole HTTP request for ``target`` (X-Amz-Target; a function's name for Lambda), signed for that moment.
        ``is_answered``: by the function; else by Lambda, once it has the event."""
        path, type_line, type_header = self._path, "", ""
        target_line, target_header = f"x-amz-target:{target}\n", f"X-Amz-Target: {target}\r\n"
        if self._is_rest:
            path, target_line, target_header = f"{self._path.rstrip('/')}{_INVOKE_PATH.format(target)}", "", ""
            if not is_answered:
                type_line, type_header = _UNANSWERED
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))
        authorization = self._authorization(path, type_line + self._token_line + target_line, hashlib.sha256(body).hexdigest(), stamp)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {self._content_type}\r\nContent-Length: {len(body)}\r\n"
            f"Accept-Encoding: identity\r\n{type_header}{target_header}X-Amz-Date: {stamp}\r\n{self._token_header}"
            f"Authorization: {authorization}\r\n\r\n"
        )
        return head.encode("ascii") + body

    def _authorization(self, path: str, lines: str, body_hash: str, stamp: str) -> str:
        """``lines``: the headers that not all requests have, as they are signed."""
        signed = ";".join(line.partition(":")[0] for line in ("content-type", "host", "x-amz-date", *lines.splitlines()))
        canonical = (
            f"POST\n{path}\n\ncontent-type:{self._content_type}\nhost:{self._host}\nx-amz-date:{stamp}\n{lines}\n{signed}\n{body_hash}"
        )
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(stamp[:8]), text.encode(), "sha256").hex()
        return f"AWS4-HMAC-SHA256 Credential={self._credentials.access_key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"

    def _key(self, day: str) -> bytes:
        kept = self._key_of_day  # read and replaced whole: threads need no lock
        if kept[0] != day:
            self._key_of_day = kept = (day, signing_key(self._credentials.secret_access_key, day, self._region, self._service))
        return kept[1]
