"""A deployed stage as its clients meet it: where its API is, and requests signed with the caller's AWS credentials.

boto3 is imported when the first request is signed or the first stage looked up: who talks to a local server needs neither.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from batuta.http import Request
from batuta_core.model.error import BatutaError, ResourceMissing, Unavailable
from batuta_core.model.names import check_stage

if TYPE_CHECKING:
    from botocore.credentials import Credentials


_API_HOST = re.compile(r"[a-z0-9]+\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_EMULATED_PATH = "/_aws/execute-api/"  # how an emulator tells APIs apart that share a port
_SERVICE = "execute-api"
_TRIES = 3


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def environment_region() -> str | None:
    """$AWS_REGION as well, which Lambda and most other SDKs go by: boto3 reads $AWS_DEFAULT_REGION only."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def url_parameter(stage: str) -> str:
    """The parameter in SSM that the deployment writes the API's URL to."""
    return f"/batuta/{check_stage(stage)}/url"


def stage_url(stage: str, *, region: str | None = None, endpoint: str | None = None) -> str:
    """The URL of a stage's API, as its deployment published it. ``endpoint`` is where SSM is, else as boto3 finds it. Raises
    ResourceMissing when there is no such stage, Unavailable when AWS does not say."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    name = url_parameter(stage)
    try:
        config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": _TRIES})
        session = boto3.session.Session(region_name=region or environment_region())
        client = session.client("ssm", endpoint_url=endpoint, config=config)
        with contextlib.closing(client):
            value: str = client.get_parameter(Name=name)["Parameter"]["Value"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "ParameterNotFound":
            where = client.meta.region_name
            raise ResourceMissing(f"there is no stage {stage} in {where}: the parameter {name} does not exist", stage=stage) from error
        raise Unavailable(f"{name}: {error}", stage=stage) from error
    except BotoCoreError as error:
        raise Unavailable(f"{name}: {error}", stage=stage) from error
    return value.rstrip("/").removesuffix("/api")


def is_deployed(url: str) -> bool:
    """Whether requests to it are to be signed: it is an API Gateway's own address, or $BATUTA_AUTH is ``sigv4``, for one behind a
    name of your own."""
    return (
        bool(_API_HOST.fullmatch(urlsplit(url).hostname or ""))
        or urlsplit(url).path.startswith(_EMULATED_PATH)
        or os.environ.get("BATUTA_AUTH", "") == "sigv4"
    )


class SigV4:
    """Signs requests to API Gateway (Signature Version 4) for the URL's region; ``region`` is for URLs that name none, else it is
    as boto3 finds it. Raises Unavailable while there are no valid credentials."""

    def __init__(self, region: str | None = None) -> None:
        self._region = region
        self._lock = threading.Lock()
        self._session: Any = None

    def __call__(self, request: Request, url: str) -> Mapping[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import BotoCoreError

        found = _API_HOST.fullmatch(urlsplit(url).hostname or "")
        signed = AWSRequest(method=request.method, url=url, data=request.body or b"")
        try:
            region = found["region"] if found else self._region or self._default_region()
            SigV4Auth(self._credentials().get_frozen_credentials(), _SERVICE, region).add_auth(signed)
        except BotoCoreError as error:  # a login that has expired, a profile that is not there
            raise Unavailable(f"a request cannot be signed: {error}") from error
        return {name: value for name, value in signed.headers.items() if name.lower() != "host"}

    def _credentials(self) -> Credentials:
        """boto3's, which renew themselves."""
        credentials: Credentials | None = self._shared_session().get_credentials()
        if credentials is None:
            raise BatutaError("no AWS credentials to sign with: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return credentials

    def _default_region(self) -> str:
        region: str | None = environment_region() or self._shared_session().region_name
        if region is None:
            raise BatutaError("no AWS region to sign for: set AWS_REGION")
        return region

    def _shared_session(self) -> Any:
        with self._lock:
            if self._session is None:
                import boto3

                self._session = boto3.session.Session()
            return self._session
