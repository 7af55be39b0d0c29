"""The settings' promises: round trip, what is missing is named, and nothing local ever reaches a real account."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from batuta_core.model.error import InvalidInput
from batuta_server.aws.provision import provision
from batuta_server.aws.signature import Credentials
from batuta_server.bootstrap import connect, make_ports
from batuta_server.settings import EventsSettings, HttpSettings, Settings, SettingsError

KEY = b"sixteen bytes or"
LOCAL = Settings(
    stage="test",
    region="eu-west-1",
    bucket="bucket",
    token_keys=(KEY, b"another key of many bytes"),
    is_local=True,
    endpoint_url="http://127.0.0.1:1",
)
AWS = replace(LOCAL, is_local=False, endpoint_url="")
CREDENTIALS = Credentials("a", "b")


@pytest.mark.parametrize(
    "settings",
    [LOCAL, AWS, replace(LOCAL, retention_s=60, service_urls={"sqs": "http://localhost:9324"}), replace(AWS, sandbox_function="f")],
)
def test_settings_survive_the_environment(settings: Settings) -> None:
    assert Settings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize("name", ["BATUTA_STAGE", "BATUTA_BUCKET", "BATUTA_TOKEN_KEYS"])
def test_missing_variable_is_named(name: str) -> None:
    env = AWS.to_env()
    del env[name]
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        Settings.from_env(env)


def test_region_is_lambdas_unless_it_is_given() -> None:
    env = AWS.to_env()
    del env["BATUTA_REGION"]
    with pytest.raises(SettingsError, match="AWS_REGION is not set"):
        Settings.from_env(env)
    assert Settings.from_env({**env, "AWS_REGION": "us-west-2"}).region == "us-west-2"


@pytest.mark.parametrize(("name", "value"), [("BATUTA_RETENTION_S", "1h"), ("BATUTA_TOKEN_KEYS", "c2hvcnQ="), ("BATUTA_TOKEN_KEYS", "ü")])
def test_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_env({**AWS.to_env(), name: value})


def test_wrong_stage_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Settings.from_env({**AWS.to_env(), "BATUTA_STAGE": "Not A Stage"})


def test_keys_are_not_shown() -> None:
    assert "sixteen" not in repr(LOCAL)


def test_endpoints_are_awss_unless_others_are_given() -> None:
    assert AWS.endpoint("dynamodb") == "https://dynamodb.eu-west-1.amazonaws.com"
    assert replace(AWS, region="cn-north-1").endpoint("sqs") == "https://sqs.cn-north-1.amazonaws.com.cn"
    both = replace(LOCAL, service_urls={"sqs": "http://localhost:9324"})
    assert (both.endpoint("sqs"), both.endpoint("s3")) == ("http://localhost:9324", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4566", "http://127.9.8.7", "http://localhost:1", "https://[::1]:8000", "http://user@localhost"]
)
def test_loopback_may_be_called(url: str) -> None:
    assert set(replace(LOCAL, endpoint_url=url).endpoints().values()) == {url}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://sqs.us-east-1.amazonaws.com",
        "http://10.0.0.1:4566",
        "http://0.0.0.0:4566",
        "http://169.254.169.254",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://127.0.0.1@example.com",
        "http://example.com#@127.0.0.1",
        "http://2130706433",
        "http://[::ffff:10.0.0.1]",
        "127.0.0.1:4566",
    ],
)
@pytest.mark.parametrize("service", ["dynamodb", "sqs", "s3"])
def test_anything_else_is_refused_by_name(service: str, url: str) -> None:
    settings = replace(LOCAL, service_urls={service: url}, endpoint_url="" if not url else LOCAL.endpoint_url)
    with pytest.raises(SettingsError, match="not loopback") as refused:
        connect(settings, CREDENTIALS)
    assert settings.endpoint("dynamodb" if not url else service) in str(refused.value)
    with pytest.raises(SettingsError):
        make_ports(settings)


def test_tests_are_local_whatever_the_settings_say() -> None:
    with pytest.raises(SettingsError, match=r"https://dynamodb\.eu-west-1\.amazonaws\.com"):
        connect(AWS, CREDENTIALS)


def test_elsewhere_aws_is_called() -> None:
    """Outside a test, that is: in a process that knows nothing of one. Nothing is sent."""
    code = (
        "from batuta_server.bootstrap import connect, make_ports; from batuta_server.settings import Settings\n"
        "settings = Settings.from_env(); make_ports(settings); print(connect(settings).endpoints['sqs'])"
    )
    env = {**AWS.to_env(), "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "https://sqs.eu-west-1.amazonaws.com"


def test_only_local_resources_are_made_by_hand() -> None:
    with pytest.raises(SettingsError, match="is_local"):
        provision(AWS, connect(LOCAL, CREDENTIALS))


def test_lambda_is_called_on_aws_and_where_a_function_is_named() -> None:
    assert "lambda" not in LOCAL.endpoints()
    assert replace(LOCAL, sandbox_function="batuta-test--sandbox").endpoints()["lambda"] == "http://127.0.0.1:1"
    assert replace(LOCAL, is_local=False).endpoints()["lambda"] == "http://127.0.0.1:1"  # of HTTP tasks


# --- the http function


HTTP = HttpSettings(stage="test", region="eu-west-1", allowed=("10.1.0.0/16", "fd12::/16"), endpoint_url="http://127.0.0.1:1")


@pytest.mark.parametrize("settings", [HTTP, HttpSettings(stage="a", region="b")])
def test_the_http_functions_settings_survive_the_environment(settings: HttpSettings) -> None:
    assert HttpSettings.from_env(settings.to_env()) == settings


@pytest.mark.parametrize("text", ["lan", "10.1.0.1/16", "10.0.0.0/8,x"])
def test_what_is_no_range_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="BATUTA_HTTP_ALLOWED"):
        HttpSettings.from_env({**HTTP.to_env(), "BATUTA_HTTP_ALLOWED": text})


def test_the_http_function_reports_to_its_endpoint_and_in_a_test_to_loopback_only() -> None:
    assert HTTP.sqs_url == "http://127.0.0.1:1"
    with pytest.raises(SettingsError, match="not loopback"):
        _ = replace(HTTP, endpoint_url="").sqs_url


# --- the events function


@pytest.mark.parametrize(
    "settings", [EventsSettings(account="1"), EventsSettings(account="1", sinks=("sqs:a", "sns:b"), sources=("shop/a", "default/b"))]
)
def test_the_events_functions_settings_survive_the_environment(settings: EventsSettings) -> None:
    assert EventsSettings.from_env(settings.to_env()) == settings


def test_each_source_has_its_namespace() -> None:
    assert EventsSettings(account="1", sources=("shop/a", "default/b")).namespaces() == {"a": "shop", "b": "default"}
    with pytest.raises(SettingsError, match="BATUTA_ACCOUNT"):
        EventsSettings.from_env({})
