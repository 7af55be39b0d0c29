"""Requests to a deployed stage are signed; where it is, its deployment has said."""

from __future__ import annotations

import re

import pytest

from batuta import Client
from batuta.aws import SigV4, is_deployed, stage_url, url_parameter
from batuta.http import Request
from batuta_core.model.error import InvalidInput, Unavailable

REAL = "https://a1b2c3.execute-api.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (REAL, True),
        ("https://a1.execute-api.cn-north-1.amazonaws.com.cn", True),
        ("http://127.0.0.1:4566/_aws/execute-api/a1/$default", True),
        ("http://127.0.0.1:8080", False),
        ("https://execute-api.example.com", False),
        ("https://a1.execute-api.eu-west-1.amazonaws.com.evil.example", False),
    ],
)
def test_an_api_gateway_is_known_by_its_address(url: str, expected: bool) -> None:
    assert is_deployed(url) is expected


def test_a_name_of_ones_own_is_signed_for_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_deployed("https://batuta.example.com")
    monkeypatch.setenv("BATUTA_AUTH", "sigv4")
    assert is_deployed("https://batuta.example.com")


def test_the_signature_is_for_the_urls_region_and_hides_the_secret() -> None:
    headers = SigV4()(Request("GET", "/api/version"), f"{REAL}/api/version")
    scope = r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/execute-api/aws4_request"
    assert re.fullmatch(scope + ", SignedHeaders=[a-z;-]*host[a-z;-]*, Signature=[0-9a-f]{64}", headers["Authorization"])
    assert headers["X-Amz-Security-Token"] == "session"
    assert "secret" not in str(headers)


def test_elsewhere_the_region_is_boto3s_or_the_one_that_is_told() -> None:
    request, url = Request("GET", "/api/version"), "https://batuta.example.com/api/version"
    assert "/us-east-2/execute-api/" in SigV4()(request, url)["Authorization"]
    assert "/ap-south-1/execute-api/" in SigV4("ap-south-1")(request, url)["Authorization"]


def test_the_body_is_part_of_what_is_signed() -> None:
    sign, url = SigV4(), f"{REAL}/api/workflow"
    signatures = {sign(Request("POST", "/api/workflow", body), url)["Authorization"].rpartition("=")[2] for body in (b"1", b"2", None)}
    assert len(signatures) == 3


def test_no_test_asks_the_real_aws_where_a_stage_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(Unavailable, match="a test asks no real AWS"):
        stage_url("prod")
    with pytest.raises(Unavailable, match="a test asks no real AWS"):
        Client(stage="prod")


def test_a_stages_parameter_has_its_name_and_nothing_else() -> None:
    assert url_parameter("prod-eu") == "/batuta/prod-eu/url"
    with pytest.raises(InvalidInput):
        url_parameter("../other")
