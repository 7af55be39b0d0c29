"""The front door: an HTTP API that lets nobody through without a signature."""

from __future__ import annotations

import json

from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from batuta_core.model.names import resource_name
from infra.logs import make_log_group
from infra.parameters import StageParameters

_ANY = [apigatewayv2.HttpMethod.ANY]
_GET = [apigatewayv2.HttpMethod.GET]

# One route per prefix: the API function knows the paths below, answers 404 and 405 as Conductor does, and a hundred routes would
# be a hundred resources. IAM policies match the path of the request, not the route, so they are as fine as one likes.
ROUTES = (
    ("/api/{proxy+}", _ANY),
    ("/ns/{namespace}/api/{proxy+}", _ANY),
    ("/health", _GET),
)

_ACCESS_LOG = {
    "at": "$context.requestTime",
    "request": "$context.requestId",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "bytes": "$context.responseLength",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "error": "$context.error.message",
    "integration_error": "$context.integrationErrorMessage",
}


class Api(Construct):
    """Conductor's paths under ``/api``, those of a namespace under ``/ns/<namespace>/api``."""

    def __init__(self, scope: Construct, id_: str, parameters: StageParameters, function: lambda_.Function) -> None:
        super().__init__(scope, id_)
        authorizer = authorizers.HttpIamAuthorizer()
        self.http = apigatewayv2.HttpApi(
            self,
            "Http",
            api_name=resource_name(parameters.stage, "api"),
            description=f"Batuta {parameters.stage}",
            create_default_stage=False,
            default_authorizer=authorizer,
        )
        integration = integrations.HttpLambdaIntegration(
            "Function",
            function,
            payload_format_version=apigatewayv2.PayloadFormatVersion.VERSION_2_0,
        )
        for path, methods in ROUTES:
            self.http.add_routes(path=path, methods=methods, integration=integration, authorizer=authorizer)
        log = make_log_group(self, "AccessLog", "access", parameters)
        stage = apigatewayv2.HttpStage(
            self,
            "Stage",
            http_api=self.http,
            stage_name="$default",  # no prefix: the URL is the server's root
            auto_deploy=True,
            throttle=apigatewayv2.ThrottleSettings(rate_limit=parameters.api_rate, burst_limit=parameters.api_burst),
        )
        resource = stage.node.default_child
        assert isinstance(resource, apigatewayv2.CfnStage)
        resource.access_log_settings = apigatewayv2.CfnStage.AccessLogSettingsProperty(
            destination_arn=log.log_group_arn, format=json.dumps(_ACCESS_LOG, separators=(",", ":"))
        )
        self.url = self.http.api_endpoint

    def arn(self, method: str, path: str) -> str:
        """For policies: who may call ``method`` on ``path``, in which ``*`` and ``?`` are patterns."""
        return self.http.arn_for_execute_api(method, path, "$default")
