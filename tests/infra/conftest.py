"""Templates, synthesized once per session. Nothing is built for them: a small folder stands in for the asset."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from infra.parameters import StageParameters, TaskType
from infra.stack import BatutaStack
from tests.infra.reading import Reading


@pytest.fixture(scope="session")
def asset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asset")
    (folder / "code.py").write_text("")
    return folder


def synthesize(asset: Path, parameters: StageParameters) -> Template:
    app = cdk.App(analytics_reporting=False)
    return Template.from_stack(BatutaStack(app, f"batuta-{parameters.stage}", parameters, asset, asset))


@pytest.fixture(scope="session")
def plain(asset: Path) -> Reading:
    """With no parameter given."""
    return Reading(synthesize(asset, StageParameters()))


@pytest.fixture(scope="session")
def full(asset: Path) -> Reading:
    """With everything that can be chosen."""
    return Reading(
        synthesize(
            asset,
            StageParameters(
                stage="test",
                namespaces=("default", "shop"),
                task_types=(TaskType("shop", "charge card/€"), TaskType("default", "mail")),
                retention_s=86400,
                log_retention_days=30,
                retain=False,
                api_reserved_concurrency=20,
                decider_reserved_concurrency=60,
                timers_reserved_concurrency=10,
                http_reserved_concurrency=30,
                events_reserved_concurrency=40,
                event_sinks=("sqs:orders.fifo", "sns:alerts", "eventbridge:default"),
                event_sources=("shop/orders-in",),
                http_allowed=("10.1.0.0/16", "fd12::/16"),
                alarm_email="ops@example.com",
                dashboard=True,
            ),
        )
    )
