from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.sdk.stub import StubServer

from batuta import http


@pytest.fixture
def stub() -> Iterator[StubServer]:
    with StubServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "BATUTA_URL",
        "BATUTA_STAGE",
        "BATUTA_NAMESPACE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:1")  # no test asks an account where a stage is


@pytest.fixture(autouse=True)
def _short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RETRY_FIRST_S", 0.001)
    monkeypatch.setattr(http, "RETRY_MAX_S", 0.002)
