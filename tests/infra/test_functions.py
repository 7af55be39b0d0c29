"""What must not change by accident about the functions: what they may, what they are told, what feeds them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batuta_server import layout
from batuta_server.http.call import CALL_MAX_S
from batuta_server.sandbox import limits
from batuta_server.settings import EventsSettings, HttpSettings, Settings
from infra.functions import HTTP_TIMEOUT_S
from tests.infra.reading import Reading


@pytest.mark.parametrize("what", ["api", "decider", "timers", "http", "events", "stage", "sandbox"])
def test_a_function(plain: Reading, what: str) -> None:
    made = plain.one("AWS::Lambda::Function", FunctionName=f"batuta-prod--{what}")
    assert made["Handler"] == f"batuta_server.{what}.entry.handle"
    assert (made["Runtime"], made["Architectures"]) == ("python3.13", ["arm64"])
    assert made["RecursiveLoop"] == "Allow"
    assert made["LoggingConfig"]["LogFormat"] == "JSON"
    assert "ReservedConcurrentExecutions" not in made
    assert plain.one("AWS::Logs::LogGroup", LogGroupName=f"/batuta/prod/{what}")["RetentionInDays"] == 14


def test_the_sandbox_is_told_nothing(plain: Reading) -> None:
    made = plain.one("AWS::Lambda::Function", FunctionName="batuta-prod--sandbox")
    assert "Environment" not in made
    assert made["MemorySize"] * 2**20 >= 2 * limits.PROCESS_MAX_BYTES  # beside the process there is the function, and what it holds
    assert made["Timeout"] > 2 * limits.TIME_S


def test_functions_read_their_settings(full: Reading) -> None:
    for what in ("api", "decider", "timers"):
        variables = full.one("AWS::Lambda::Function", FunctionName=f"batuta-test--{what}")["Environment"]["Variables"]
        settings = Settings.from_env({name: full.text(value) for name, value in variables.items()})
        assert settings.stage == "test"
        assert settings.bucket == layout.bucket_name("test", "{AccountId}", "{Region}")
        assert settings.token_keys_parameter == "/batuta/test/token-keys"
        assert settings.namespaces == ("default", "shop")
        assert settings.retention_s == 86400
        assert settings.sandbox_function == "batuta-test--sandbox"
        assert set(settings.to_env()) == set(variables)


def test_reserved_concurrency_where_it_is_asked_for(full: Reading) -> None:
    reserved = {item["FunctionName"]: item.get("ReservedConcurrentExecutions") for item in full.of_type("AWS::Lambda::Function").values()}
    assert reserved == {
        "batuta-test--api": 20,
        "batuta-test--decider": 60,
        "batuta-test--timers": 10,
        "batuta-test--http": 30,
        "batuta-test--events": 40,
        "batuta-test--sandbox": None,
        "batuta-test--stage": None,
    }


def invoked(reading: Reading, what: str) -> Any:
    """How a function is invoked asynchronously."""
    configs = reading.of_type("AWS::Lambda::EventInvokeConfig").values()
    return next(config for config in configs if reading.arn(config["FunctionName"]["Ref"]).endswith(f"--{what}"))


def test_events_are_published_again_and_what_was_given_up_is_a_dead_letter(plain: Reading) -> None:
    config = invoked(plain, "events")
    assert config["MaximumRetryAttempts"] == layout.EVENTS_QUEUE.max_receives - 1 == 2  # Lambda's most
    assert plain.text(config["DestinationConfig"]["OnFailure"]["Destination"]).endswith("/batuta-prod--task-dead-letters")


def test_the_events_function_reaches_the_sinks_that_the_stage_names_and_no_other(plain: Reading, full: Reading) -> None:
    ours = set(plain.function_grants("events"))
    outside = {what: may for what, may in full.function_grants("events").items() if what not in ours}
    arn = "arn:{Partition}:%s:{Region}:{AccountId}:%s"
    assert outside == {
        arn % ("sqs", "orders.fifo"): frozenset({"sqs:GetQueueUrl", "sqs:SendMessage"}),
        arn % ("sns", "alerts"): frozenset({"sns:Publish"}),
        arn % ("events", "event-bus/default"): frozenset({"events:PutEvents"}),
        arn % ("sqs", "orders-in"): frozenset({"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}),
    }
    assert not [what for what in ours if what.startswith("arn:")]


def test_the_events_function_is_told_of_sinks_and_sources(full: Reading) -> None:
    variables = full.one("AWS::Lambda::Function", FunctionName="batuta-test--events")["Environment"]["Variables"]
    told = {name: full.text(value) for name, value in variables.items()}
    found = EventsSettings.from_env(told)
    assert found.sinks == ("sqs:orders.fifo", "sns:alerts", "eventbridge:default")
    assert found.namespaces() == {"orders-in": "shop"}
    assert found.account == "{AccountId}"
    assert set(told) == {*Settings.from_env(told).to_env(), *found.to_env()}


def test_lambda_polls_the_sources_of_events_and_nothing_where_there_are_none(plain: Reading, full: Reading) -> None:
    def sources(reading: Reading) -> list[str]:
        found = reading.of_type("AWS::Lambda::EventSourceMapping").values()
        return sorted(str(reading.text(item["EventSourceArn"])).rpartition(":")[2].rpartition("/")[2] for item in found)

    assert sources(plain) == ["batuta-prod--decider.fifo", "batuta-prod--timers"]
    assert sources(full) == ["batuta-test--decider.fifo", "batuta-test--timers", "orders-in"]


def test_the_http_function_is_run_once_and_what_it_did_not_live_to_say_is_a_dead_letter(plain: Reading) -> None:
    made = plain.one("AWS::Lambda::Function", FunctionName="batuta-prod--http")
    assert "DeadLetterConfig" not in made
    config = invoked(plain, "http")
    assert config["MaximumRetryAttempts"] == 0
    assert plain.text(config["DestinationConfig"]["OnFailure"]["Destination"]).endswith("/batuta-prod--task-dead-letters")
    assert made["Timeout"] == HTTP_TIMEOUT_S > CALL_MAX_S
    assert layout.HTTP_QUEUE.visibility_s > HTTP_TIMEOUT_S  # on a laptop


def test_the_http_function_knows_neither_keys_nor_data(plain: Reading, full: Reading) -> None:
    for reading, allowed in ((plain, ()), (full, ("10.1.0.0/16", "fd12::/16"))):
        made = next(item for item in reading.of_type("AWS::Lambda::Function").values() if item["FunctionName"].endswith("--http"))
        variables = made["Environment"]["Variables"]
        assert set(variables) <= {"BATUTA_STAGE", "BATUTA_REGION", "BATUTA_HTTP_ALLOWED"}
        assert HttpSettings.from_env({name: reading.text(value) for name, value in variables.items()}).allowed == allowed
        assert set(reading.function_grants("http")) == {"queue decider.fifo", "queue task-dead-letters", "its log"}


def test_nothing_polls_for_http_tasks(plain: Reading) -> None:
    """An event source would cost $0.26 a month, idle: the function is invoked instead."""
    assert not [item for item in plain.of_type("AWS::SQS::Queue").values() if item["QueueName"].endswith(("--http", "--events"))]


def test_no_secret_is_in_a_template(plain: Reading, full: Reading) -> None:
    for reading in (plain, full):
        assert 'BATUTA_TOKEN_KEYS"' not in json.dumps(reading.json)
        assert [item["Type"] for item in reading.of_type("AWS::SSM::Parameter").values()] == ["String"]  # the URL


def test_the_keys_are_there_before_the_functions_and_go_before_what_they_empty(plain: Reading) -> None:
    (custom,) = (id_ for id_, item in plain.resources.items() if item["Type"] == "Custom::BatutaStage")
    bucket = next(iter(plain.of_type("AWS::S3::Bucket")))
    assert bucket in plain.resources[custom]["DependsOn"]
    for id_, function in plain.of_type("AWS::Lambda::Function").items():
        if not function["FunctionName"].endswith("--stage"):
            assert custom in plain.resources[id_]["DependsOn"]


def test_the_bucket_is_emptied_only_when_nothing_is_retained(plain: Reading, full: Reading) -> None:
    assert "Bucket" not in plain.one("Custom::BatutaStage")
    assert plain.one("Custom::BatutaStage")["Retain"] == "true"
    assert full.text(full.one("Custom::BatutaStage")["Bucket"]).startswith("batuta-test-payloads-")
