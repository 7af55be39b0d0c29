"""The token keys, and the clearing away of what was made at run time: both by a small function that CloudFormation calls.

CloudFormation cannot make a SecureString, and a key that it made would lie in the template. So it tells the ``stage`` function
to make one; only that function and those that use the keys can read them.
"""

from __future__ import annotations

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra import policies
from infra.functions import make_function
from infra.names import Arns, token_keys_parameter, url_parameter
from infra.parameters import StageParameters

_STAGE_MEMORY_MB = 256  # boto3 takes 100
# It deletes some 30 queues a second: 5,000 task queues and more in this time.
_STAGE_TIMEOUT_S = 300
_CLOUDFORMATION_WAITS_S = _STAGE_TIMEOUT_S + 60  # instead of its hour, should the function die without an answer


class Keys(Construct):
    """``resource`` must come before what reads the keys, and after what the stage function empties."""

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters, arns: Arns, code: lambda_.Code) -> None:
        super().__init__(scope, id_)
        self.function = make_function(
            self,
            "stage",
            parameters,
            code,
            statements=policies.stage(arns, retain=parameters.retain),
            memory_mb=_STAGE_MEMORY_MB,
            timeout_s=_STAGE_TIMEOUT_S,
            settings={},
        )
        properties = {
            "Stage": parameters.stage,
            "Parameter": token_keys_parameter(parameters.stage),
            "Generation": str(parameters.token_key_generation),
            "Retain": "true" if parameters.retain else "false",
        }
        if not parameters.retain:
            properties["Bucket"] = arns.bucket_name
        self.resource = CustomResource(
            self,
            "TokenKeys",
            service_token=self.function.function_arn,
            resource_type="Custom::BatutaStage",
            service_timeout=Duration.seconds(_CLOUDFORMATION_WAITS_S),
            properties=properties,
        )


def publish_url(scope: Construct, stage: str, url: str) -> ssm.StringParameter:
    """Where workers and clients that know the stage find its API. Standard parameters are free."""
    return ssm.StringParameter(
        scope, "Url", parameter_name=url_parameter(stage), string_value=url, description=f"Batuta {stage}: the API's URL"
    )
