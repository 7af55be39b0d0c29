"""What Lambda imports: the decider function of one stage, built while the environment starts."""

from batuta_server import bootstrap
from batuta_server.decider.handler import make_handler
from batuta_server.settings import Settings

SETTINGS = Settings.from_env()
handle = make_handler(bootstrap.make_ports(SETTINGS))
