"""The stack of one stage: the construct, and what it tells."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import CfnOutput, Stack, Tags
from constructs import Construct

from infra.parameters import StageParameters
from infra.stage import BatutaStage


class BatutaStack(Stack):
    def __init__(
        self, scope: Construct, id_: str, parameters: StageParameters, asset: Path | None = None, sandbox_asset: Path | None = None
    ) -> None:
        super().__init__(scope, id_, description=f"Batuta, durable workflows: stage {parameters.stage}")
        self.stage = BatutaStage(self, "Batuta", parameters, asset, sandbox_asset)
        Tags.of(self).add("batuta:stage", parameters.stage)
        access = self.stage.access
        self._tell("Url", self.stage.url, "The server's root: BATUTA_URL")
        self._tell("WorkerPolicy", access.worker.managed_policy_arn, "For workers of all task types")
        for place, (task_type, policy) in enumerate(access.workers.items(), start=1):
            self._tell(f"WorkerPolicy{place}", policy.managed_policy_arn, f"For workers of {task_type.namespace}/{task_type.name}")
        self._tell("ClientPolicy", access.client.managed_policy_arn, "For clients: start, see and steer executions")
        self._tell("OperatorPolicy", access.operator.managed_policy_arn, "For operators: all of the API, logs, queues' sizes")

    def _tell(self, name: str, value: str, description: str) -> None:
        CfnOutput(self, name, value=value, description=description)
