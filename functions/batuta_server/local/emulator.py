"""The emulator of AWS beneath a local server: a child process in an environment of its own.

Its environment is made on first use, since it pins a botocore that clashes with ours. The child ends when its parent
does, whatever ends that: it reads its standard input, which the operating system closes. With a state folder it then
saves what it holds.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

from batuta_server.local.state import StateFolder

ACCOUNT = "000000000000"  # the emulator takes a 12-digit access key as the account's number
SECRET = "test"  # noqa: S105 - the emulator's own, with which it checks signed URLs
REGION = "us-east-1"
_START_MAX_S = 30
_STOP_MAX_S = 20  # it writes all that it holds to disk
_ENVIRONMENT = "emulator"


class EmulatorFailed(Exception):
    """It did not start; the message says what it printed."""


def home() -> Path:
    """Where things are kept that are made once: ``BATUTA_HOME``, else the user's cache."""
    return Path(os.environ.get("BATUTA_HOME") or Path.home() / ".cache" / "batuta")


def ensure_environment() -> Path:
    """The emulator's Python; installs it on first use, which takes some seconds and needs a package index."""
    requirements = resources.files("batuta_server.local").joinpath("emulator-requirements.txt")
    version = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home() / f"{_ENVIRONMENT}-{version}"
    python = folder / "bin" / "python"
    if not python.exists():
        home().mkdir(parents=True, exist_ok=True)
        with (home() / f"{_ENVIRONMENT}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once
            if not python.exists():
                print("Installing the emulator of AWS (once) ...", flush=True)
                with resources.as_file(requirements) as file:
                    _install(folder, file)
    return python


def _install(folder: Path, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="installing-"))
    try:
        target = draft / "env"
        _run([sys.executable, "-m", "venv", *([] if not _uv() else ["--without-pip"]), str(target)])
        python = str(target / "bin" / "python")
        install = (
            [*_uv(), "pip", "install", "-q", "--compile-bytecode", "--python", python] if _uv() else [python, "-m", "pip", "install", "-q"]
        )
        _run([*install, "--require-hashes", "-r", str(requirements)])
        target.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _uv() -> list[str]:
    """The quicker installer, where it is at hand."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    return [found] if found else []


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise EmulatorFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


class Emulator:
    """One running emulator. ``state`` is the folder in which it keeps what it holds over restarts."""

    def __init__(self, state: StateFolder | None = None, port: int = 0) -> None:
        self.port = port or free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._keeps_state = state is not None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this
        launcher = str(resources.files("batuta_server.local").joinpath("emulator_main.py"))
        self._process = subprocess.Popen(  # noqa: S603
            [str(ensure_environment()), launcher],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=_environment(self.port, state.path if state else None),
            pass_fds=(state.lock_fd,) if state else (),
            start_new_session=True,  # Ctrl-C in the terminal is for the server, which then stops this
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Raises EmulatorFailed."""
        end = time.monotonic() + _START_MAX_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise EmulatorFailed(f"the emulator ended with {self._process.returncode}:\n{self.printed()}")
            if answers(self.port):
                return
            time.sleep(0.02)
        printed = self.printed()  # stopping closes it
        self.stop()
        raise EmulatorFailed(f"the emulator did not answer within {_START_MAX_S} s:\n{printed}")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def printed(self) -> str:
        self._log.seek(0)
        return self._log.read()[-4000:].decode("utf-8", "replace")

    def stop(self) -> None:
        """Ends it, after it has saved its state if it keeps any."""
        if not self._keeps_state:
            self._process.kill()
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def base_environment(port: int) -> dict[str, str]:
    """Nothing of this machine's AWS settings; only loopback is served."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return {
        **kept,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }


def _environment(port: int, state: Path | None) -> dict[str, str]:
    kept = {} if state is None else {"PERSIST_STATE": "1", "STATE_DIR": str(state), "S3_PERSIST": "1", "S3_DATA_DIR": str(state / "s3")}
    return {**base_environment(port), **kept}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
