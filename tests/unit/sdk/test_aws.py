"""Requests to a deployed stage are signed; where it is, its deployment has said."""

from __future__ import annotations

import re

import pytest
from tests.unit.sdk.stub import Answer, Asked, StubServer

from batuta import Client
from batuta.aws import SigV4, is_deployed, stage_url, url_parameter
from batuta.http import Request
from batuta_core.model.error import InvalidInput, ResourceMissing, Unavailable

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


def test_the_urls_own_region_comes_before_what_is_told_and_that_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("GET", "/api/version")
    assert "/eu-west-1/" in SigV4("ap-south-1")(request, f"{REAL}/api/version")["Authorization"]
    monkeypatch.setenv("AWS_REGION", "us-west-1")  # which boto3 does not read
    assert "/us-west-1/" in SigV4()(request, "https://batuta.example.com/api/version")["Authorization"]


def test_credentials_that_cannot_be_had_are_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(Unavailable, match="cannot be signed: The config profile"):
        SigV4()(Request("GET", "/x"), f"{REAL}/x")


# --- where a stage is


def parameter_store(stub: StubServer, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", stub.url)

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("x-amz-target") != "AmazonSSM.GetParameter":
            return Answer(body={"stage": "prod", "version": "1"})
        if asked.body["Name"] != "/batuta/prod/url":
            return Answer(400, {"__type": "ParameterNotFound"})
        return Answer(body={"Parameter": {"Value": value}}, headers={"Content-Type": "application/x-amz-json-1.1"})

    stub.answer = answer


def test_a_stage_has_published_its_url(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter_store(stub, monkeypatch, f"{REAL}/api/")
    assert stage_url("prod") == REAL
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    with pytest.raises(ResourceMissing, match="there is no stage other in eu-north-1: the parameter /batuta/other/url"):
        stage_url("other")


def test_a_client_looks_for_its_stage_at_the_first_call_and_once(stub: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter_store(stub, monkeypatch, stub.url)
    monkeypatch.setenv("BATUTA_URL", "http://127.0.0.1:1")  # the stage was said, this was not
    with Client(stage="prod") as client:
        assert stub.asked == []
        assert [client.server_info().stage for _ in range(2)] == ["prod", "prod"]
    assert stub.targets() == ["POST /", "GET /api/batuta", "GET /api/batuta"]


def test_a_test_of_an_application_may_use_a_stage(monkeypatch: pytest.MonkeyPatch, stub: StubServer) -> None:
    """pytest around us means nothing: end-to-end tests ask real stages."""
    monkeypatch.setenv("PYTEST_VERSION", "8")
    parameter_store(stub, monkeypatch, stub.url)
    assert stage_url("prod") == stub.url


def test_a_stages_parameter_has_its_name_and_nothing_else() -> None:
    assert url_parameter("prod-eu") == "/batuta/prod-eu/url"
    with pytest.raises(InvalidInput):
        url_parameter("../other")
