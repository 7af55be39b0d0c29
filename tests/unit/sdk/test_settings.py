"""Where the server and its queues are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batuta import NoAnswer, SettingsError
from batuta.results import ServerInfo
from batuta.settings import Connection, namespace_from, optional_url, resolve, url_from
from batuta_core.model.error import InvalidInput

LOCAL = ServerInfo(stage="dev", region="us-east-1", endpoint="http://127.0.0.1:4566", account="123456789012", version="1")
CLOUD = ServerInfo(stage="prod", region="eu-west-1", endpoint=None, account=None, version="1")


def says(info: ServerInfo) -> Callable[[str], ServerInfo]:
    return lambda url: info


def is_silent(url: str) -> ServerInfo:
    raise NoAnswer(f"cannot connect to {url}")


def is_not_asked(url: str) -> ServerInfo:
    raise AssertionError(f"{url} was asked")


def test_a_local_server_tells_everything() -> None:
    assert resolve(url="http://localhost:8080", ask=says(LOCAL)) == Connection(
        url="http://localhost:8080", stage="dev", endpoint="http://127.0.0.1:4566", region="us-east-1", local_account="123456789012"
    )


def test_a_server_in_the_cloud_tells_stage_and_region() -> None:
    assert resolve(url="https://api.example.com/", ask=says(CLOUD)) == Connection(
        url="https://api.example.com", stage="prod", endpoint=None, region="eu-west-1", local_account=None
    )


def test_arguments_win_over_the_environment_and_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATUTA_STAGE", "env")
    monkeypatch.setenv("AWS_REGION", "env-region")
    monkeypatch.setenv("BATUTA_URL", "https://env.example.com")
    found = resolve(url="https://arg.example.com", stage="arg", region="arg-region", ask=says(CLOUD))
    assert (found.url, found.stage, found.region) == ("https://arg.example.com", "arg", "arg-region")
    found = resolve(ask=says(CLOUD))
    assert (found.url, found.stage, found.region) == ("https://env.example.com", "env", "env-region")


def test_without_a_url_the_stage_is_enough() -> None:
    assert resolve(stage="prod", ask=is_not_asked) == Connection(url=None, stage="prod", endpoint=None, region=None, local_account=None)
    with pytest.raises(SettingsError, match="no stage is known: pass stage='prod' or set BATUTA_STAGE"):
        resolve(ask=is_not_asked)


def test_when_all_is_known_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    found = resolve(url="http://localhost:8080", stage="dev", ask=is_not_asked)
    assert (found.endpoint, found.region, found.is_local, found.local_account) == ("http://localhost:4566", "us-east-1", True, None)


def test_a_silent_server_can_be_done_without_only_if_the_stage_is_set_and_it_is_no_local_one() -> None:
    assert resolve(url="https://api.example.com", stage="prod", ask=is_silent).stage == "prod"
    with pytest.raises(NoAnswer):
        resolve(url="https://api.example.com", ask=is_silent)
    with pytest.raises(NoAnswer):  # else AWS would be taken for its queues
        resolve(url="http://127.0.0.1:8080", stage="dev", ask=is_silent)


@pytest.mark.parametrize("endpoint", ["https://sqs.eu-west-1.amazonaws.com", "http://192.168.0.7:4566"])
def test_a_worker_of_a_local_server_never_uses_queues_elsewhere(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)
    with pytest.raises(SettingsError, match="the server is a local one"):
        resolve(url="http://127.0.0.1:8080", ask=says(LOCAL))


def test_a_local_server_whose_own_endpoint_is_elsewhere_is_not_believed() -> None:
    with pytest.raises(SettingsError, match="the server is a local one"):
        resolve(url="http://127.0.0.1:8080", ask=says(_elsewhere()))


def _elsewhere() -> ServerInfo:
    return ServerInfo(stage="dev", region=None, endpoint="http://10.0.0.1:4566", account=None, version="1")


def test_urls_and_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert optional_url("http://x/api") == "http://x"
    assert optional_url("http://x/api/") == "http://x"
    assert optional_url(None) is None
    with pytest.raises(SettingsError, match="set BATUTA_URL"):
        url_from(None)
    assert namespace_from(None) == "default"
    monkeypatch.setenv("BATUTA_NAMESPACE", "shop")
    assert namespace_from(None) == "shop"
    assert namespace_from("arg") == "arg"
    with pytest.raises(InvalidInput):
        namespace_from("Not A Namespace")


def test_a_stage_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput):
        resolve(stage="Prod Stage", ask=is_not_asked)
