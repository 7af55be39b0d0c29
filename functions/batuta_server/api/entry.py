"""What Lambda imports: the API function of one stage, built while the environment starts."""

from batuta_server import bootstrap
from batuta_server.api.handler import make_handler
from batuta_server.settings import Settings

SETTINGS = Settings.from_env()
ABOUT = {"stage": SETTINGS.stage, "region": SETTINGS.region}
handle = make_handler(bootstrap.make_ports(SETTINGS), ABOUT, SETTINGS.namespaces, takes_header=False)
