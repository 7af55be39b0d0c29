"""A whole emulated AWS for tests: IAM enforced, functions really run, everything on 127.0.0.1.

``Cloud`` is ministack 1.5.33 as a child process, in an environment of its own with boto3 and the Python of Lambda's runtime, since it
runs functions on its own interpreter. It ends with its parent, whatever ends that, and its folder goes with it. ``Deployment`` is one
stage in it, brought there and away by CDK's command line as a user would; what the emulator cannot do (docs/explanation/deploying.md,
"On an emulator") is made up for here. Nothing in here goes to an endpoint that is not loopback.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aws_cdk as cdk
import boto3
import pytest
from botocore.config import Config

from batuta_server import layout
from batuta_server.local.emulator import ACCOUNT, REGION, answers, base_environment, free_port
from infra.bundle import PYTHON, find_python
from tests.shared import REPOSITORY, not_tested

STAGE = "e2e"
CDK = REPOSITORY / "node_modules" / ".bin" / "cdk"

_START_MAX_S = 60
_STOP_MAX_S = 20
_COMMAND_MAX_S = 180  # cdk deploy takes 10 s on an idle machine
_BOOTSTRAP_BUCKET = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
_REQUIREMENTS = REPOSITORY / "requirements" / "cloud.txt"
_CONTEXT = {"arch": "x86_64", "retain": "false"}  # the emulator runs functions on this CPU; a stage goes without a trace


class CloudFailed(Exception):
    """The emulator or CDK did not do what was asked. The message holds what they printed."""


@dataclass(frozen=True, slots=True)
class Key:
    """Credentials. The account's own, 000000000000, may do anything."""

    id: str = ACCOUNT
    secret: str = "test"


ROOT = Key()


def check_loopback(url: str) -> str:
    """Whatever is configured on this machine: tests never reach a real account."""
    if urlsplit(url).hostname not in ("127.0.0.1", "localhost"):
        raise CloudFailed(f"{url} is not loopback; these tests run on an emulator on this machine and nowhere else")
    return url


# --- the emulator


class Cloud:
    """One running emulator, with IAM enforced. ``folder`` is gone when it is."""

    def __init__(self) -> None:
        python = ensure_environment()
        self.folder = Path(tempfile.mkdtemp(prefix="batuta-e2e-"))
        self.port = free_port()
        self.endpoint = check_loopback(f"http://127.0.0.1:{self.port}")
        self.log = self.folder / "emulator.log"
        temporary = self.folder / "tmp"
        temporary.mkdir()
        launcher = resources.files("batuta_server.local").joinpath("emulator_main.py")
        keeper = Path(__file__).with_name("cloud_main.py")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), str(keeper), "keep", str(self.folder), str(launcher)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(self.port, temporary),
                start_new_session=True,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + _START_MAX_S
        while not answers(self.port):
            if self._process.poll() is not None or time.monotonic() > end:
                printed = self.printed()
                self.stop()
                raise CloudFailed(f"the emulator does not start:\n{printed}")
            time.sleep(0.05)

    def printed(self) -> str:
        try:
            return self.log.read_bytes()[-8000:].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def stop(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self, service: str, key: Key = ROOT) -> Any:
        config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 2})
        session = boto3.session.Session(key.id, key.secret, region_name=REGION)
        return session.client(service, endpoint_url=check_loopback(self.endpoint), config=config)

    def environment(self, key: Key = ROOT, **more: str) -> dict[str, str]:
        """Of a child process that knows these credentials and nothing else of AWS or Batuta."""
        strange = ("AWS_", "BATUTA_", "CDK_", "NODE_OPTIONS")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        return {
            **kept,
            "AWS_ENDPOINT_URL": check_loopback(self.endpoint),
            "AWS_ACCESS_KEY_ID": key.id,
            "AWS_SECRET_ACCESS_KEY": key.secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "TMPDIR": str(self.folder / "tmp"),
            **more,
        }

    def key_with(self, *policies: str) -> Key:
        """The access key of a fresh IAM user to whom these managed policies are attached, and nothing else."""
        iam = self.client("iam")
        name = f"user-{uuid.uuid4().hex[:12]}"
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=policy)
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Key(made["AccessKeyId"], made["SecretAccessKey"])

    def run(self, *command: str, timeout_s: float = _COMMAND_MAX_S) -> str:
        """What it printed. Raises CloudFailed when it fails."""
        environment = self.environment(CDK_DISABLE_CLI_TELEMETRY="1", CDK_HOME=str(self.folder / "cdk-home"), CI="true")
        try:
            done = subprocess.run(
                command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise CloudFailed(f"{' '.join(command)} took longer than {timeout_s} s:\n{error.output!r}") from error
        if done.returncode:
            raise CloudFailed(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-8000:]}\nThe emulator:\n{self.printed()}")
        return done.stdout + done.stderr


def ensure_environment() -> Path:
    """The emulator's Python; made on first use, below BATUTA_HOME."""
    if not CDK.exists() or shutil.which("node") is None:
        not_tested("the deployed stack", "CDK's command line is not installed: make node_modules/.bin/cdk (needs node 20 or newer)")
    python = find_python()
    if python is None:
        not_tested("the deployed stack", f"no Python {PYTHON} on this machine (the path, pyenv, uv), which functions run on")
    home = Path(os.environ.get("BATUTA_HOME") or REPOSITORY / ".batuta")
    version = hashlib.sha256(_REQUIREMENTS.read_bytes() + str(python).encode()).hexdigest()[:12]
    folder = home / f"cloud-{version}"
    found = folder / "bin" / "python"
    if not found.exists():
        home.mkdir(parents=True, exist_ok=True)
        with (home / "cloud.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two first starts at once
            if not found.exists():
                _install(folder, str(python))
    return found


def _install(folder: Path, python: str) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    shutil.rmtree(folder, ignore_errors=True)
    draft = folder.with_name(f"{folder.name}-draft")
    shutil.rmtree(draft, ignore_errors=True)
    for command in (
        [uv, "venv", "-q", "--python", python, str(draft)],
        [uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(draft), "--require-hashes", "-r", str(_REQUIREMENTS)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_MAX_S)
        if done.returncode:
            raise CloudFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    draft.rename(folder)


def _environment(port: int, temporary: Path) -> dict[str, str]:
    kept = {name: value for name, value in base_environment(port).items() if not name.startswith(("BATUTA_", "PYTEST"))}
    return {**kept, "AUTH": "true", "TMPDIR": str(temporary)}


# --- a stage in it


class Deployment:
    """One stage. ``deploy`` may be called again, with another assembly."""

    def __init__(self, cloud: Cloud, stage: str = STAGE) -> None:
        self.cloud = cloud
        self.stage = stage
        self.stack = f"batuta-{stage}"
        self.outputs: Mapping[str, str] = {}

    def synth(self, **context: str) -> Path:
        """By app.py, as CDK's command line runs it, but in this process: CDK takes seconds to begin. Gives the assembly, for ``deploy``
        and ``destroy``."""
        folder = self.cloud.folder / f"cdk-{self.stage}-{uuid.uuid4().hex[:6]}"
        usual = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
        said = {**usual, **_CONTEXT, "stage": self.stage, "endpoint_url": self.cloud.endpoint, **context}
        app = functools.partial(cdk.App, outdir=str(folder), context=said, analytics_reporting=False)
        with pytest.MonkeyPatch.context() as patch:  # the command line says it by the environment, which node has read by now
            patch.setattr(cdk, "App", app)
            runpy.run_path(str(REPOSITORY / "app.py"), run_name="__main__")
        return folder

    def bootstrap(self, assembly: Path) -> None:
        """Once per account. Its bucket demands TLS, which the emulator has not."""
        self.cloud.run(str(CDK), "bootstrap", "--no-notices", "--app", str(assembly), f"aws://{ACCOUNT}/{REGION}")
        self.free_bootstrap_bucket()

    def free_bootstrap_bucket(self) -> None:
        self.cloud.client("s3").delete_bucket_policy(Bucket=_BOOTSTRAP_BUCKET)

    def deploy(self, assembly: Path) -> None:
        told = self.cloud.folder / f"outputs-{self.stage}.json"
        command = [str(CDK), "deploy", "--no-notices", "--app", str(assembly), "--require-approval", "never"]
        self.cloud.run(*command, "--outputs-file", str(told), self.stack)
        self.read_outputs(told)

    def read_outputs(self, told: Path) -> None:
        """What ``cdk deploy --outputs-file`` has written."""
        self.outputs = json.loads(told.read_text())[self.stack]
        self._make_up_for_the_emulator()

    def destroy(self, assembly: Path) -> None:
        self.detach_policies()
        self.cloud.run(str(CDK), "destroy", "--no-notices", "--app", str(assembly), "--force", self.stack)

    def detach_policies(self) -> None:
        """As whoever attached them has to: IAM deletes no policy that is in use."""
        iam = self.cloud.client("iam")
        for output, arn in self.outputs.items():
            if "Policy" in output:
                for user in iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"]:
                    iam.detach_user_policy(UserName=user["UserName"], PolicyArn=arn)

    def _make_up_for_the_emulator(self) -> None:
        dynamodb = self.cloud.client("dynamodb")
        for table in layout.TABLES:  # its CloudFormation drops the setting
            if table.ttl:
                name = table.name(self.stage)
                if dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED":
                    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl})
        # No resolver knows the host of the API that the stack publishes; the emulator takes the API's id in the path, too.
        self.cloud.client("ssm").put_parameter(Name=f"/batuta/{self.stage}/url", Value=self.url, Type="String", Overwrite=True)

    @property
    def api_id(self) -> str:
        return (urlsplit(self.outputs["Url"]).hostname or "").partition(".")[0]

    @property
    def path(self) -> str:
        """Before the API's own paths."""
        return f"/_aws/execute-api/{self.api_id}/$default"

    @property
    def url(self) -> str:
        return f"{self.cloud.endpoint}{self.path}"

    def worker_key(self) -> Key:
        return self.cloud.key_with(self.outputs["WorkerPolicy"])

    def client_key(self) -> Key:
        return self.cloud.key_with(self.outputs["ClientPolicy"])

    def operator_key(self) -> Key:
        return self.cloud.key_with(self.outputs["OperatorPolicy"])
