"""One emulated cloud, and one stage deployed in it, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batuta import Client
from tests.e2e.cloud import Cloud, Deployment, Key
from tests.e2e.stand import Workers

ONE_TYPE = "one_type"  # its workers get a policy of their own

SINK, SOURCE = "users-sink", "users-source"  # queues outside of the stage


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    found = Cloud()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def assembly(cloud: Cloud) -> Path:
    for name in (SINK, SOURCE):
        cloud.client("sqs").create_queue(QueueName=name)  # the user's own, which are there before the stage
    return Deployment(cloud).synth(
        task_types=f"default/{ONE_TYPE}",
        http_allowed="127.0.0.1/32",
        event_sinks=f"sqs:{SINK}",
        event_sources=f"default/{SOURCE}",
    )


@pytest.fixture(scope="session")
def stage(cloud: Cloud, assembly: Path) -> Deployment:
    """Deployed, and left for the emulator's end."""
    found = Deployment(cloud)
    found.bootstrap(assembly)
    found.deploy(assembly)
    return found


@dataclass(frozen=True)
class Keys:
    worker: Key
    client: Key
    operator: Key


@pytest.fixture(scope="session")
def keys(stage: Deployment) -> Keys:
    return Keys(stage.worker_key(), stage.client_key(), stage.operator_key())


@pytest.fixture
def client(stage: Deployment, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """As a program that has the client policy and the stage's name."""
    for name, value in stage.cloud.environment(keys.client).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    with Client(stage=stage.stage) as found:
        yield found


@pytest.fixture
def workers(cloud: Cloud) -> Iterator[Workers]:
    found = Workers(cloud)
    yield found
    found.stop()
