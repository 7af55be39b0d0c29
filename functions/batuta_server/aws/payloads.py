"""Large payloads in S3, below their execution's prefix. Rare, so boto3 does it, loaded when the first one comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from batuta_core.engine.ports import Uploaded
from batuta_core.model import ids
from batuta_core.model.error import BatutaError, ResourceMissing, Unavailable, WorkflowNotFound
from batuta_core.model.names import ExecutionId
from batuta_core.model.payload import PayloadRef
from batuta_server.aws.presign import object_url, presigned_url
from batuta_server.aws.transport import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, Transport

_TRIES = 3
_URL_LIFE_S = 300  # a request must have begun by then; how long it takes is another matter
_BEGINNING = "bytes=0-31"
_COPY_MAX_S = 20  # S3 copies some 100 MB a second; the API function lives for 30 s
_DELETE_MAX = 1000  # quota of DeleteObjects


class S3Payloads:
    """An object per payload: ``ns/wf/<hash of its content>``."""

    def __init__(self, transport: Transport, bucket: str) -> None:
        self._transport = transport
        self._bucket = bucket
        self._client: Any = None

    def put(self, execution: ExecutionId, raw: bytes) -> PayloadRef:
        key = ids.short_hash(raw)
        self._call("put_object", Key=_prefix(execution) + key, Body=raw)
        return PayloadRef(key, len(raw))

    def get(self, execution: ExecutionId, ref: PayloadRef) -> bytes:
        """Raises WorkflowNotFound when it is gone: payloads go with their execution only."""
        raw: bytes = self._call("get_object", _read_body, Key=_prefix(execution) + ref.key)
        return raw

    def purge(self, execution: ExecutionId) -> None:
        while True:
            page = self._call("list_objects_v2", Prefix=_prefix(execution), MaxKeys=_DELETE_MAX)
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if not keys:
                return
            failed = self._call("delete_objects", Delete={"Objects": keys, "Quiet": True}).get("Errors")
            if failed:
                raise Unavailable(f"{self._bucket}: {len(failed)} payloads of {execution} could not be deleted: {failed[0].get('Code')}")

    def copy(self, source: ExecutionId, ref: PayloadRef, target: ExecutionId) -> None:
        origin = {"Bucket": self._bucket, "Key": _prefix(source) + ref.key}
        self._call("copy_object", CopySource=origin, Key=_prefix(target) + ref.key)

    def url(self, path: str, *, is_write: bool) -> str:
        transport, method = self._transport, "PUT" if is_write else "GET"
        where = object_url(transport.endpoints["s3"], self._bucket, path)
        return presigned_url(transport.credentials, transport.region, where, method, _URL_LIFE_S, time.time())

    def peek(self, path: str) -> Uploaded | None:
        try:
            found: Uploaded = self._call("get_object", _read_beginning, Key=path, Range=_BEGINNING)
        except WorkflowNotFound:
            return None
        except _Refused as error:
            if error.s3_code != "InvalidRange":
                raise
            return Uploaded(0, "", b"")
        return found

    def adopt(self, path: str, version: str, execution: ExecutionId, ref: PayloadRef) -> bool:
        origin = {"Bucket": self._bucket, "Key": path}
        try:
            self._call("copy_object", CopySource=origin, CopySourceIfMatch=version, Key=_prefix(execution) + ref.key)
        except WorkflowNotFound:
            return False
        except _Refused as error:
            if error.s3_code != "PreconditionFailed":
                raise
            return False
        return True

    def _call(self, operation: str, read: Callable[[Mapping[str, Any]], Any] = lambda answer: answer, /, **request: Any) -> Any:
        """``read`` takes what is wanted from the answer while errors are still dealt with here."""
        from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError

        client = self._copier if operation == "copy_object" else self._client or self._connect()
        began = time.monotonic()
        try:
            answer = read(getattr(client, operation)(Bucket=self._bucket, **request))
        except ClientError as error:
            raise _translated(error.response, f"{operation} on {self._bucket}") from error
        except (ConnectionError, HTTPClientError) as error:
            raise Unavailable(f"{operation} on {self._bucket}: {error}") from error
        except BotoCoreError as error:
            raise BatutaError(f"{operation} on {self._bucket}: {error}") from error
        if self._transport.on_call is not None:
            shown = answer if isinstance(answer, Mapping) else {"Body": answer}
            self._transport.on_call("s3", operation, request, shown, (time.monotonic() - began) * 1000)
        return answer

    def _connect(self) -> Any:
        self._client = s3_client(self._transport)
        return self._client

    @cached_property
    def _copier(self) -> Any:
        return s3_client(self._transport, read_timeout_s=_COPY_MAX_S, tries=1)


def s3_client(transport: Transport, *, read_timeout_s: float = READ_TIMEOUT_S, tries: int = _TRIES) -> Any:
    """boto3's, bounded in time like our own transport, and deaf to proxies that the environment may name."""
    import boto3
    from botocore.config import Config

    credentials = transport.credentials
    return boto3.session.Session().client(  # of its own: the default session is not for threads
        "s3",
        region_name=transport.region,
        endpoint_url=transport.endpoints["s3"],
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            retries={"mode": "standard", "total_max_attempts": tries},
            s3={"addressing_style": "path"} if transport.endpoints["s3"].startswith("http://") else None,
            proxies={},
        ),
    )


def _prefix(execution: ExecutionId) -> str:
    return f"{execution.namespace}/{execution.workflow_id}/"


def _read_beginning(answer: Mapping[str, Any]) -> Uploaded:
    size_bytes = int(answer["ContentRange"].rpartition("/")[2])
    return Uploaded(size_bytes, answer["ETag"], answer["Body"].read())


class _Refused(BatutaError):
    """S3 will not do it, for the reason that its code says."""

    def __init__(self, message: str, s3_code: str) -> None:
        super().__init__(message)
        self.s3_code = s3_code


def _read_body(answer: Mapping[str, Any]) -> bytes:
    raw: bytes = answer["Body"].read()
    return raw


def _translated(response: Mapping[str, Any], doing: str) -> BatutaError:
    code = response.get("Error", {}).get("Code", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = f"{doing}: {code}"
    if code == "NoSuchKey":
        return WorkflowNotFound(f"{message}: the execution was removed")
    if code == "NoSuchBucket":
        return ResourceMissing(message)
    return Unavailable(message) if status >= 500 or code == "SlowDown" else _Refused(message, code)
