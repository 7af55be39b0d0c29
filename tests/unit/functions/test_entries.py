"""What Lambda imports: five functions made from the environment alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.functions.api.caller import event

from batuta_server.settings import HttpSettings, Settings

SETTINGS = Settings(
    stage="test", region="eu-west-1", bucket="b", token_keys=(b"sixteen bytes or more",), is_local=True, endpoint_url="http://127.0.0.1:9"
)
CODE = """
import json, sys
from batuta_server.api.entry import handle as api
from batuta_server.decider.entry import handle as decider
from batuta_server.timers.entry import handle as timers
from batuta_server.http.entry import handle as http
from batuta_server.events.entry import handle as events
records = json.loads(sys.argv[2])
answers = [api(json.loads(sys.argv[1]), None), *(function(records, None) for function in (decider, timers, http, events))]
print(json.dumps(answers), file=sys.stderr)
"""


def run(code: str, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BATUTA_"))}
    return subprocess.run([sys.executable, "-c", code, *arguments], env={**kept, **env}, capture_output=True, text=True, check=False)


def test_entries_answer_events() -> None:
    record = {"messageId": "m", "body": "strange", "receiptHandle": "r", "attributes": {"ApproximateReceiveCount": "1"}}
    records = {"Records": [{**record, "eventSourceARN": "arn:aws:sqs:eu-west-1:1:batuta-test--decider.fifo"}]}
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "BATUTA_ACCOUNT": "1", **SETTINGS.to_env()}
    done = run(CODE, json.dumps(event("GET", "/api/batuta")), json.dumps(records), env=env)
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stderr.splitlines()[-1])
    about = json.loads(answers[0]["body"])
    assert (about["stage"], about["region"], about["namespace"]) == ("test", "eu-west-1", "default")
    assert answers[1:] == [{"batchItemFailures": []}] * 4


@pytest.mark.parametrize("function", ["api", "decider", "timers", "events"])
def test_an_entry_without_its_settings_says_which_is_missing(function: str) -> None:
    env = SETTINGS.to_env()
    del env["BATUTA_BUCKET"]
    done = run(f"import batuta_server.{function}.entry", env=env)
    assert done.returncode != 0
    assert "the environment variable BATUTA_BUCKET is not set" in done.stderr


def test_the_http_function_needs_its_stage_and_no_keys() -> None:
    settings = HttpSettings(stage="test", region="eu-west-1", endpoint_url="http://127.0.0.1:9")
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert run("import batuta_server.http.entry", env={**env, **settings.to_env()}).returncode == 0
    done = run("import batuta_server.http.entry", env=env)
    assert "the environment variable BATUTA_STAGE is not set" in done.stderr
