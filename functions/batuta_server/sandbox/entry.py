"""What Lambda imports: the sandbox function. Its role may do nothing, and its environment holds nothing of the stage's."""

from batuta_server.sandbox.handler import make_handler
from batuta_server.sandbox.runner import Sandbox

handle = make_handler(Sandbox())
