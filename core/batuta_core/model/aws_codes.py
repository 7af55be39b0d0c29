"""Codes of refusals by AWS that mean "not now". Server and worker both read them in the answers to batches: there SQS calls a
throttled entry the sender's fault, too."""

from __future__ import annotations

# Codes after which the same call may be made again: those of botocore's standard retry mode (botocore/retries/standard.py,
# 1.44), and DynamoDB's and SQS's own.
_RETRIABLE = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "ThrottlingError",  # in the reasons of a cancelled transaction
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "TransactionConflictException",  # a single write met a transaction
        "TransactionConflict",
        "RequestLimitExceeded",
        "LimitExceededException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
        "RequestTimeout",
        "RequestTimeoutException",
        "KmsThrottled",
        "OverLimit",  # SQS: too many messages in flight
        "ServiceUnavailable",
        "InternalFailure",
        "InternalError",
        "InternalServerError",
    }
)


def is_retriable(code: str) -> bool:
    """Whether a refusal by that code says: not now."""
    return code in _RETRIABLE
