"""Where the server and its queues are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batuta import BatutaError, NoAnswer, SettingsError, Unavailable
from batuta.results import ServerInfo
from batuta.settings import Connection, namespace_from, optional_url, resolve, server_of
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
    assert resolve(stage="prod", ask=is_not_asked, find_url=None) == Connection(
        url=None, stage="prod", endpoint=None, region=None, local_account=None
    )
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
    assert namespace_from(None) == "default"
    monkeypatch.setenv("BATUTA_NAMESPACE", "shop")
    assert namespace_from(None) == "shop"
    assert namespace_from("arg") == "arg"
    with pytest.raises(InvalidInput):
        namespace_from("Not A Namespace")


def test_a_stage_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput):
        resolve(stage="Prod Stage", ask=is_not_asked)


def test_a_clients_server_is_what_it_was_told_then_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="set BATUTA_URL"):
        server_of(None, None)
    monkeypatch.setenv("BATUTA_STAGE", "env")
    assert server_of(None, None) == (None, "env")
    monkeypatch.setenv("BATUTA_URL", "http://env/api")
    assert server_of(None, None) == ("http://env", "")
    assert server_of(None, "prod") == (None, "prod")
    assert server_of("http://arg/api/", "prod") == ("http://arg", "")
    with pytest.raises(InvalidInput):
        server_of(None, "../other")


# --- the URL of a deployed stage


class Finder:
    def __init__(self, error: BatutaError | None = None) -> None:
        self.error = error
        self.asked: list[tuple[str, str | None, str | None]] = []

    def __call__(self, stage: str, *, region: str | None, endpoint: str | None) -> str:
        self.asked.append((stage, region, endpoint))
        if self.error is not None:
            raise self.error
        return "https://a1.execute-api.eu-west-1.amazonaws.com"


def test_a_worker_finds_the_url_of_its_stage() -> None:
    finder = Finder()
    found = resolve(stage="prod", region="eu-west-1", ask=says(CLOUD), find_url=finder)
    assert (found.url, finder.asked) == ("https://a1.execute-api.eu-west-1.amazonaws.com", [("prod", "eu-west-1", None)])


def test_a_stage_whose_url_is_not_to_be_found_has_its_queues() -> None:
    found = resolve(stage="prod", ask=is_not_asked, find_url=Finder(Unavailable("not allowed")))
    assert (found.url, found.stage) == (None, "prod")


@pytest.mark.parametrize(("endpoint", "expected"), [("http://127.0.0.1:4566", "http://127.0.0.1:4566"), ("https://vpce-1.sqs.eu", None)])
def test_only_an_emulator_is_asked_for_the_url_where_its_queues_are(endpoint: str, expected: str | None) -> None:
    finder = Finder()
    resolve(stage="prod", endpoint=endpoint, ask=says(CLOUD), find_url=finder)
    assert finder.asked == [("prod", None, expected)]
