"""AWS list prices in us-east-1, without free tier or volume discounts: the one place where they are written.

Read on 2026-11-21. ``page`` is the pricing page that states the price, by its own title.
"""

from __future__ import annotations

from dataclasses import dataclass

READ_ON = "2026-11-21"
REGION = "us-east-1"
MILLION = 1_000_000

_DYNAMODB = "Amazon DynamoDB pricing, on-demand capacity"
_SQS = "Amazon SQS pricing"
_LAMBDA = "AWS Lambda pricing"
_CLOUDWATCH = "Amazon CloudWatch pricing"
_S3 = "Amazon S3 pricing"


@dataclass(frozen=True, slots=True)
class Price:
    usd: float
    per: int  # so many ``unit`` cost ``usd``
    unit: str
    page: str

    def of(self, amount: float) -> float:
        return self.usd * amount / self.per


WRITE_UNIT = Price(0.625, MILLION, "write request units, 1 KB each", _DYNAMODB)
READ_UNIT = Price(0.125, MILLION, "read request units, 4 KB strongly consistent each", _DYNAMODB)
TABLE_STORAGE = Price(0.25, 1, "GB-month", _DYNAMODB)  # the first 25 GB are free
TABLE_BACKUP = Price(0.20, 1, "GB-month of point-in-time recovery", _DYNAMODB)

SQS_STANDARD = Price(0.40, MILLION, "requests of 64 KB", _SQS)
SQS_FIFO = Price(0.50, MILLION, "requests of 64 KB", _SQS)
SQS_CHUNK_BYTES = 64 * 1024

LAMBDA_REQUEST = Price(0.20, MILLION, "requests", _LAMBDA)
LAMBDA_GB_S = Price(0.0000133334, 1, "GB-s on arm64, rounded up to 1 ms", _LAMBDA)  # initialization too, since 2025-08
LAMBDA_CPU_MB = 1769  # "At 1,769 MB, a function has the equivalent of one vCPU" (Lambda developer guide, memory)

HTTP_API = Price(1.00, MILLION, "requests of 512 KB", "Amazon API Gateway pricing, HTTP APIs")
HTTP_API_CHUNK_BYTES = 512 * 1024

LOG_INGESTION = Price(0.50, 10**9, "bytes", _CLOUDWATCH + ", logs, collect (standard class)")
LOG_STORAGE = Price(0.03, 10**9, "byte-months, compressed", _CLOUDWATCH + ", logs, store")
LOG_EVENT_BYTES = 26  # added to each event ("PutLogEvents", CloudWatch Logs API)
ALARM = Price(0.10, 1, "standard-resolution alarm metrics a month", _CLOUDWATCH)
DASHBOARD = Price(3.00, 1, "dashboards a month", _CLOUDWATCH)
METRIC = Price(0.30, 1, "custom metrics a month, by the hour in which they are sent", _CLOUDWATCH)

S3_PUT = Price(0.005, 1000, "PUT and LIST requests", _S3)
S3_GET = Price(0.0004, 1000, "GET requests", _S3)
S3_STORAGE = Price(0.023, 1, "GB-month", _S3)

IN_OTHER_LINES = Price(0.0, MILLION, "counted here, billed elsewhere", "none")
EVENTBRIDGE_RULE = Price(0.0, MILLION, "events of schedules and of AWS's own on the default bus", "Amazon EventBridge pricing")
SSM_PARAMETER = Price(0.0, 1, "standard parameters, standard throughput", "AWS Systems Manager pricing, Parameter Store")
KMS_REQUEST = Price(0.03, 10_000, "requests (SecureString parameters are decrypted by KMS)", "AWS Key Management Service pricing")
