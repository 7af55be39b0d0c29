"""What Lambda imports: the timers function of one stage, built while the environment starts."""

from batuta_server import bootstrap
from batuta_server.settings import Settings
from batuta_server.timers.handler import make_handler

SETTINGS = Settings.from_env()
handle = make_handler(bootstrap.make_ports(SETTINGS))
