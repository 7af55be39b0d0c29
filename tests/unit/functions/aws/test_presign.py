"""Signed URLs are those that botocore makes: no emulator looks at a signature, S3 does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from batuta_server.aws.presign import object_url, presigned_url
from batuta_server.aws.signature import Credentials

EPOCH_S = 1_763_000_000
KEY = "shop/8e2f7a52-0000-4000-8000-000000000001/Ab-_9"


@pytest.mark.parametrize("token", ["", "a/token+with=signs"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("endpoint", ["https://s3.eu-west-1.amazonaws.com", "http://127.0.0.1:4566"])
def test_signature_is_botocores(monkeypatch: pytest.MonkeyPatch, token: str, method: str, endpoint: str) -> None:
    url = object_url(endpoint, "batuta-dev-payloads-1-eu-west-1", KEY)
    ours = presigned_url(Credentials("AKID", "secret", token), "eu-west-1", url, method, 300, EPOCH_S)
    moment = datetime.fromtimestamp(EPOCH_S, UTC).replace(tzinfo=None)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: moment)
    request: Any = AWSRequest(method=method, url=url)
    S3SigV4QueryAuth(BotoCredentials("AKID", "secret", token or None), "s3", "eu-west-1", expires=300).add_auth(request)
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(request.url).query)
    assert ours.partition("?")[0] == url


def test_on_aws_the_bucket_is_in_the_hosts_name() -> None:
    assert object_url("https://s3.eu-west-1.amazonaws.com", "b", "k/1") == "https://b.s3.eu-west-1.amazonaws.com/k/1"
    assert object_url("http://127.0.0.1:4566/", "b", "k/1") == "http://127.0.0.1:4566/b/k/1"
