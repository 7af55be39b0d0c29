"""CDK's entry: reads the parameters, makes the stack of one stage, synthesizes. No calls to AWS here."""

import sys

import aws_cdk as cdk

from infra.parameters import ParameterError, StageParameters
from infra.stack import BatutaStack


def main() -> None:
    app = cdk.App()
    try:
        parameters = StageParameters.from_context(app.node.try_get_context)
    except ParameterError as error:
        sys.exit(str(error))
    BatutaStack(app, f"batuta-{parameters.stage}", parameters)
    app.synth()


main()
