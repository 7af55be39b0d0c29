"""Puts together what Lambda runs, without Docker: wheels for its platform, our two packages, compiled.

The same inputs give the same bytes, so that CDK uploads, and Lambda restarts, only what changed. Installed by uv where it is at
hand, else by pip; compiled where a Python of the runtime's version is, else Lambda compiles at every cold start (80 ms more).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.parameters import ARM64, X86_64

PYTHON = "3.13"  # the runtime's
ASSET_MAX_MB = 20  # unzipped; a cold start reads it

_ROOT = Path(__file__).resolve().parents[1]
_REQUIREMENTS = _ROOT / "requirements"
_PACKAGES = (_ROOT / "core" / "batuta_core", _ROOT / "functions" / "batuta_server")
_PROJECTS = (_ROOT / "core" / "pyproject.toml", _ROOT / "functions" / "pyproject.toml")
# glibc 2.34 is Amazon Linux 2023's. Some wheels are there for manylinux_2_28 only, and installers then take an old version quietly.
_PLATFORMS = {ARM64: "aarch64-manylinux_2_28", X86_64: "x86_64-manylinux_2_28"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in an asset: the packages of ``requirements/<name>.txt``, and ours but for some."""

    name: str
    ours_left_out: tuple[str, ...]


# Without the local server. The simulator plays the tests of POST /workflow/test.
LAMBDA = Contents("lambda", ("batuta_server/local",))
# The engines for users' scripts are half of what an asset may hold, and all the other functions start better without them. What runs
# strangers' code has little else beside it.
SANDBOX = Contents(
    "sandbox",
    (
        *LAMBDA.ours_left_out,
        "batuta_core/simulator",
        *(f"batuta_server/{what}" for what in ("api", "aws", "decider", "events", "http", "stage", "timers")),
        *(f"batuta_server/{what}.py" for what in ("bootstrap", "facts", "incoming", "layout", "settings", "telemetry")),
    ),
)

# Of others: what says when and how it was installed, what only type checkers and tests read.
_FILES_LEFT_OUT = frozenset({"RECORD", "REQUESTED", "INSTALLER", "direct_url.json", "uv_cache.json", ".lock"})
_SUFFIXES_LEFT_OUT = (".pyi", ".pyc", ".typed")
_FOLDERS_LEFT_OUT = frozenset({"__pycache__", "bin", "tests", "test"})
# Powertools' parts that load libraries of their own, which are not there, or that nothing here loads.
_UNUSED = (
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/data_classes",
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/idempotency",
    "aws_lambda_powertools/utilities/parameters",
)
_MTIME_S = 315532800  # 1980-01-01, the first moment that a zip file knows


class BundleError(Exception):
    """The asset could not be built. The message holds what the installer or compiler said."""


def build(arch: str, target: Path | None = None, contents: Contents = LAMBDA) -> Path:
    """The folder to give to Lambda; what is there from the same inputs is left as it is. Raises BundleError."""
    target = target or _ROOT / "build" / f"{contents.name}-{arch}"
    compiler = find_python()
    stamp = target.with_name(f"{target.name}.inputs")
    inputs = _hash_of_inputs(arch, compiler, contents)
    if target.is_dir() and stamp.is_file() and stamp.read_text() == inputs:
        return target
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _install(arch, target, _requirements(contents))
    _strip(target)
    for package in _PACKAGES:
        shutil.copytree(package, target / package.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in contents.ours_left_out:
        shutil.rmtree(target / path) if (target / path).is_dir() else (target / path).unlink()
    for project in _PROJECTS:
        _describe(project, target)
    if compiler:
        _compile(compiler, target)
    else:
        warnings.warn(f"no Python {PYTHON} is found: the functions are deployed without compiled code and start slower", stacklevel=2)
    _forget_times(target)
    size = size_mb(target)
    if size > ASSET_MAX_MB:
        raise BundleError(f"the asset has {size:.1f} MB, the limit is {ASSET_MAX_MB}: see what `du -d2 {target}` shows, and leave it out")
    stamp.write_text(inputs)
    return target


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _requirements(contents: Contents) -> Path:
    return _REQUIREMENTS / f"{contents.name}.txt"


def _hash_of_inputs(arch: str, compiler: str | None, contents: Contents) -> str:
    digest = hashlib.sha256(f"{arch} {compiler} {contents}".encode())
    sources = [path for package in _PACKAGES for path in sorted(package.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    for path in (Path(__file__), _requirements(contents), *_PROJECTS, *sources):
        digest.update(f"{path.relative_to(_ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()


# --- third-party code


def _install(arch: str, target: Path, requirements: Path) -> None:
    uv = _uv()
    if uv:
        command = [uv, "pip", "install", "-q", "--python-platform", _PLATFORMS[arch], "--python-version", PYTHON, "--link-mode", "copy"]
    else:
        command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", "--implementation", "cp"]
        command += ["--python-version", PYTHON]
        machine, _, newest = _PLATFORMS[arch].partition("-")
        for platform in (newest, "manylinux_2_17", "manylinux2014"):
            command += ["--platform", f"{platform}_{machine}"]
    _run([*command, "--target", str(target), "--only-binary", ":all:", "--require-hashes", "-r", str(requirements)])


def _uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv")


def _strip(target: Path) -> None:
    for path in _UNUSED:
        shutil.rmtree(target / path, ignore_errors=True)
    for folder, folders, files in os.walk(target, topdown=False):
        for name in files:
            if name in _FILES_LEFT_OUT or name.endswith(_SUFFIXES_LEFT_OUT):
                Path(folder, name).unlink()
        for name in folders:
            if name in _FOLDERS_LEFT_OUT:
                shutil.rmtree(Path(folder, name))


# --- ours


def _describe(project: Path, target: Path) -> None:
    """The version, where importlib.metadata looks for it."""
    said = tomllib.loads(project.read_text())["project"]
    folder = target / f"{re.sub('[-.]+', '_', said['name'])}-{said['version']}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {said['name']}\nVersion: {said['version']}\n")


def find_python() -> str | None:
    """A Python of the runtime's version: compiled files are of one version's own make."""
    return next((found for found in _pythons() if _version(found) == PYTHON), None)


def _pythons() -> Iterator[str]:
    yield sys.executable
    yield from filter(None, [shutil.which(f"python{PYTHON}")])
    yield from map(str, sorted(Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/python3")))
    uv = _uv()
    if uv:
        found = subprocess.run([uv, "python", "find", PYTHON, "--no-python-downloads"], capture_output=True, text=True, check=False)  # noqa: S603
        yield from found.stdout.split()


def _version(python: str) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    except OSError:
        return ""


def _compile(python: str, target: Path) -> None:
    """Never checked against the sources: in a zip their times are lost, and /var/task cannot be written to. In one process and
    with hashes that are not random, for equal bytes."""
    command = [python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(target), "-p", "/var/task", str(target)]
    _run(command, PYTHONHASHSEED="0", PYTHONDONTWRITEBYTECODE="")


def _forget_times(target: Path) -> None:
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_MTIME_S, _MTIME_S))


def _run(command: Sequence[str], **environment: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})  # noqa: S603
    if done.returncode:
        raise BundleError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
