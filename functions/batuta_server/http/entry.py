"""What Lambda imports: the http function of one stage, built while the environment starts."""

from batuta_core.model.names import resource_name
from batuta_server.aws.queues import SqsQueues
from batuta_server.aws.signature import Credentials
from batuta_server.aws.transport import Transport
from batuta_server.http.egress import Egress
from batuta_server.http.handler import make_handler
from batuta_server.settings import HttpSettings
from batuta_server.telemetry import PowertoolsLog

SETTINGS = HttpSettings.from_env()
handle = make_handler(
    SqsQueues(Transport(SETTINGS.region, Credentials.from_env(), {"sqs": SETTINGS.sqs_url}), SETTINGS.stage),
    resource_name(SETTINGS.stage, "decider.fifo"),
    Egress(SETTINGS.allowed),
    PowertoolsLog(SETTINGS.stage),
)
