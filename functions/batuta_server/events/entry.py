"""What Lambda imports: the events function of one stage, built while the environment starts."""

from batuta_server import bootstrap
from batuta_server.aws.signature import Credentials
from batuta_server.aws.sinks import AwsSinks
from batuta_server.events.handler import make_handler
from batuta_server.settings import EventsSettings, Settings

SETTINGS = Settings.from_env()
EVENTS = EventsSettings.from_env()
CREDENTIALS = Credentials.from_env()
handle = make_handler(
    bootstrap.make_ports(SETTINGS, bootstrap.connect(SETTINGS, CREDENTIALS)),
    AwsSinks(EVENTS.sinks, SETTINGS.region, EVENTS.account, CREDENTIALS, SETTINGS.endpoint_url),
    EVENTS.namespaces(),
)
