"""What Lambda imports: the sandbox function. Its role may do nothing, and its environment holds nothing of the stage's."""

from batuta_server.sandbox.handler import make_handler
from batuta_server.sandbox.runner import Sandbox

SANDBOX = Sandbox()
SANDBOX.begin()  # while the environment starts, which has a whole CPU
handle = make_handler(SANDBOX)
