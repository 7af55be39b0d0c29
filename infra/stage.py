"""A whole stage as one construct, for the stack here or for any other CDK app."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra import bundle
from infra.access import Access
from infra.alarms import Alarms
from infra.api import Api
from infra.dashboard import Dashboard
from infra.functions import Functions
from infra.keys import Keys, publish_url
from infra.names import Arns
from infra.parameters import StageParameters
from infra.payloads import Payloads
from infra.queues import Queues
from infra.schedule import tick
from infra.tables import Tables


class BatutaStage(Construct):
    """One deployment of Batuta. Several may be in an account and region, each under its own ``parameters.stage``.

    ``asset`` and ``sandbox_asset`` are folders that ``bundle.build`` made; by default they are made now. Attach
    ``access.worker``, ``access.client`` or ``access.operator`` (managed policies) to whoever uses it; ``url`` is the API's.
    """

    def __init__(
        self, scope: Construct, id_: str, parameters: StageParameters, asset: Path | None = None, sandbox_asset: Path | None = None
    ) -> None:
        super().__init__(scope, id_)
        self.parameters = parameters
        code = lambda_.Code.from_asset(str(asset or bundle.build(parameters.arch)))
        sandbox = lambda_.Code.from_asset(str(sandbox_asset or bundle.build(parameters.arch, contents=bundle.SANDBOX)))
        arns = Arns(self, parameters)
        self.tables = Tables(self, "Tables", parameters)
        self.queues = Queues(self, "Queues", parameters)
        self.payloads = Payloads(self, "Payloads", parameters, arns)
        keys = Keys(self, "Keys", parameters, arns, code)
        keys.resource.node.add_dependency(self.payloads)  # which it empties
        self.functions = Functions(self, "Functions", parameters, arns, code, sandbox, self.queues)
        for function in self.functions.all:
            function.node.add_dependency(keys.resource, self.tables)
        self.api = Api(self, "Api", parameters, self.functions.api)
        self.url = self.api.url
        publish_url(self, parameters.stage, self.url)
        tick(self, parameters.stage, [self.functions.timers, self.functions.decider])
        self.alarms = Alarms(self, "Alarms", parameters, self.api, self.functions, self.queues)
        if parameters.dashboard:
            Dashboard(self, "Dashboard", parameters, self.api, self.functions, self.queues, self.tables)
        self.access = Access(self, "Access", parameters, arns, self.api, self.alarms)
