"""What each entry may load, in modules. Raised on purpose only: every module is paid for at each cold start.

CPython 3.11, 2026-11: the API loads 452, the decider 345, the timers 332, the events 354, http 245.
"""

# Other Pythons' standard libraries differ by a few modules.
MODULES = {
    "batuta_server.api.entry": 455,
    "batuta_server.decider.entry": 348,
    "batuta_server.timers.entry": 336,
    "batuta_server.http.entry": 250,
    "batuta_server.events.entry": 357,
}

# boto3 costs 115 ms of a cold start, and only payloads beyond the claim check's size need it: it is imported at first use.
NEVER = frozenset({"boto3", "s3transfer", "urllib3", "tree_sitter", "waitress", "moto", "aws_xray_sdk", "batuta"})
FORBIDDEN = {
    "batuta_server.api.entry": NEVER
    | {
        "asyncio",
        "aws_lambda_powertools.event_handler",
        "batuta_core.simulator",
        "batuta_core.engine.export",
        "batuta_core.engine.handlers",
        "batuta_core.engine.search_tasks",
    },
    "batuta_server.decider.entry": NEVER
    | {"pydantic", "asyncio", "aws_lambda_powertools.event_handler", "aws_lambda_powertools.utilities.batch"},
    "batuta_server.timers.entry": NEVER
    | {"pydantic", "asyncio", "aws_lambda_powertools.event_handler", "aws_lambda_powertools.utilities.batch"},
    "batuta_server.events.entry": NEVER
    | {"pydantic", "asyncio", "aws_lambda_powertools.event_handler", "aws_lambda_powertools.utilities.batch"},
    # No part of the engine but the ports' shapes; and no DynamoDB.
    "batuta_server.http.entry": NEVER
    | {
        "pydantic",
        "asyncio",
        "aws_lambda_powertools.event_handler",
        "aws_lambda_powertools.utilities.batch",
        "batuta_core.engine.advance",
        "batuta_core.decider.decide",
        "batuta_server.bootstrap",
        "batuta_server.aws.dynamodb",
    },
}
