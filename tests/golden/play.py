"""Plays the recordings of the real Conductor against a server: ``python -m tests.golden.play [--deployed] [GLOB ...]``.

All but those of ``expected_differences.txt`` (meant otherwise) and ``not_yet.txt``, against a local server. With ``--deployed`` the spine
of them, against a stage that is deployed for it on the emulator of AWS, with IAM enforced; a proxy signs what the driver asks for with an
operator's key.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from batuta_server.local.server import LocalServer
from tests.golden.wanted import GOLDEN, wanted
from tests.shared import IS_ALL_REQUIRED, NOT_TESTED

_MAX_S = 600
# A deployed stage decides in some 30 ms, one batch after another (the emulator's FIFO queues), so fewer scenarios at a time and more
# patience before it counts as being at rest.
_DEPLOYED = ("--jobs", "4", "--settle-ms", "800")


def main() -> int:
    if not GOLDEN.exists():
        if IS_ALL_REQUIRED:
            sys.exit(f"golden: {GOLDEN} is missing")
        print(f"golden: {NOT_TESTED}, no recordings at {GOLDEN}; set BATUTA_SHARED")
        return 0
    arguments = sys.argv[1:]
    is_deployed = "--deployed" in arguments
    globs = [argument for argument in arguments if argument != "--deployed"]
    chosen = [item for glob in globs for item in ("--only", glob)]
    try:
        with _deployed() if is_deployed else _local() as url, tempfile.TemporaryDirectory() as folder:
            if not chosen:
                chosen = ["--list", str(GOLDEN / "spine.txt" if is_deployed else _list_of_wanted(Path(folder)))]
            return play(url, [*chosen, *(_DEPLOYED if is_deployed else ())])
    except pytest.skip.Exception as missing:  # no node, say
        print(f"golden: {missing}")
        return 0


def _list_of_wanted(folder: Path) -> Path:
    found = folder / "wanted.txt"
    found.write_text("\n".join(wanted()), encoding="utf-8")
    return found


def play(url: str, chosen: Sequence[str]) -> int:
    command = [sys.executable, str(GOLDEN / "run.py"), "compare", "--server", f"{url}/api", "--expected", str(GOLDEN / "expected")]
    return subprocess.run([*command, "--handler-wait", "0", *chosen], check=False, timeout=_MAX_S).returncode


@contextmanager
def _local() -> Iterator[str]:
    server = LocalServer(0, http_allowed=("127.0.0.0/8",))  # the driver's echo server
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def _deployed() -> Iterator[str]:
    from tests.e2e.cloud import Cloud, Deployment  # they need CDK
    from tests.e2e.signing import SigningProxy

    cloud = Cloud()
    try:
        deployment = Deployment(cloud)
        assembly = deployment.synth(http_allowed="127.0.0.0/8")
        deployment.bootstrap(assembly)
        deployment.deploy(assembly)
        with SigningProxy(deployment.url, deployment.operator_key()) as proxy:
            yield proxy.url
    finally:
        cloud.stop()


if __name__ == "__main__":
    sys.exit(main())
