"""The servers that the adapters are judged on: started when first asked for, stopped at the end, on loopback only."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from batuta_server.local.emulator import Emulator, home
from tests.shared import SHARED

_START_WITHIN_S = 60


class Missing(Exception):
    """This machine cannot run that server; the message says what it lacks."""


class Server:
    """``urls``: the endpoint per service; a service that is not among them is not there."""

    name = ""
    urls: dict[str, str]

    def stop(self) -> None: ...


class Ministack(Server):
    """The emulator that development runs on, a child process in an environment of its own."""

    name = "ministack"

    def __init__(self) -> None:
        self._emulator = Emulator()
        self._emulator.wait_until_ready()
        self.urls = dict.fromkeys(("dynamodb", "sqs", "s3"), self._emulator.endpoint)

    def stop(self) -> None:
        self._emulator.stop()


class Moto(Server):
    """In this process, behind a socket so that the transport's own bytes reach it. Not for threads."""

    name = "moto"

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.urls = dict.fromkeys(("dynamodb", "sqs", "s3"), f"http://{host}:{port}")

    def stop(self) -> None:
        self._server.stop()


class Jvm(Server):
    """AWS's own DynamoDB Local, and ElasticMQ: judges of independent make. One pair per machine, on their fixed ports; the
    last test process that uses a pair which a test process started stops it."""

    name = "jvm"
    _dynamodb_port, _sqs_port = 8000, 9324

    def __init__(self) -> None:
        script = SHARED / "emulator" / "jvm" / "start.sh"
        if not script.is_file():
            raise Missing(f"no {script} (BATUTA_SHARED)")
        for program in ("java", "mvn"):
            if shutil.which(program) is None:
                raise Missing(f"no {program} on the PATH")
        self._folder = home() / "jvm"  # kept: the jars take half a minute to fetch
        self._users = self._folder / "users"
        self._users.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / "lock"):
            if not self._is_up(0.2):
                _stop_all(self._folder)
                self._start(script)
            (self._users / str(os.getpid())).touch()
        self.urls = {"dynamodb": f"http://127.0.0.1:{self._dynamodb_port}", "sqs": f"http://127.0.0.1:{self._sqs_port}"}

    def _start(self, script: Path) -> None:
        log = self._folder / "start.log"
        with log.open("wb") as out:  # the servers inherit it, so no pipe
            code = subprocess.run([str(script), str(self._folder)], stdout=out, stderr=out, timeout=600, check=False).returncode
        if code:
            raise Missing(f"start.sh failed: {log.read_text(errors='replace')[-300:]}")
        if not self._is_up(_START_WITHIN_S):
            _stop_all(self._folder)
            raise Missing(f"no answer on ports {self._dynamodb_port} and {self._sqs_port} within {_START_WITHIN_S} s")

    def _is_up(self, within_s: float) -> bool:
        return all(_is_answering(port, within_s) for port in (self._dynamodb_port, self._sqs_port))

    def stop(self) -> None:
        with _locked(self._folder / "lock"):
            (self._users / str(os.getpid())).unlink(missing_ok=True)
            if not any(_is_alive(int(user.name)) for user in self._users.iterdir()):
                _stop_all(self._folder)


def _stop_all(folder: Path) -> None:
    """Those that a test process has started; servers that were there before have no file here."""
    for file in folder.glob("*.pid"):
        pid = int(file.read_text())
        command = subprocess.run(["ps", "-ww", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False).stdout
        if "dynamodbv2.local" in command or "org.elasticmq" in command:  # and not another program that got the number since
            os.kill(pid, signal.SIGTERM)
        file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_answering(port: int, within_s: float) -> bool:
    end = time.monotonic() + within_s
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return True
        except (OSError, http.client.HTTPException):
            if time.monotonic() > end:
                return False
        finally:
            connection.close()
        time.sleep(0.05)
