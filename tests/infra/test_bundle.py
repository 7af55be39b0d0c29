"""The asset: what is in it, that the same inputs give the same bytes, and that it runs on nothing but itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from infra import bundle
from infra.parameters import ARM64, X86_64
from tests.shared import not_tested

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "000000000000",
    "AWS_SECRET_ACCESS_KEY": "local",
    "BATUTA_STAGE": "test",
    "BATUTA_REGION": "us-east-1",
    "BATUTA_BUCKET": "payloads",
    "BATUTA_TOKEN_KEYS": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    "BATUTA_ENDPOINT_URL": "http://127.0.0.1:9",
    "BATUTA_ACCOUNT": "000000000000",
}


def built(arch: str, folder: Path, contents: bundle.Contents = bundle.LAMBDA) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no Python of the runtime's version is, the asset is not compiled
        return bundle.build(arch, folder / "asset", contents)


@pytest.fixture(scope="module")
def arm64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ARM64, tmp_path_factory.mktemp("first"))


def contents(folder: Path) -> dict[str, tuple[str, int, float]]:
    """Of each file: a hash, its mode and time."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode, path.stat().st_mtime)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_inputs_give_the_same_bytes(arm64: Path, tmp_path: Path) -> None:
    assert contents(built(ARM64, tmp_path)) == contents(arm64)


def test_what_is_there_already_is_not_built_again(arm64: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_install", lambda *_: pytest.fail("built again"))
    assert bundle.build(ARM64, arm64) == arm64


def test_it_is_small_and_holds_what_functions_need_only(arm64: Path) -> None:
    files = contents(arm64)
    assert bundle.size_mb(arm64) <= bundle.ASSET_MAX_MB
    assert {name for name in files if "batuta_server/local" in name} == set()
    assert {name for name in files if name.endswith(("RECORD", ".pyi")) or name.startswith(("boto", "bin/"))} == set()
    assert "batuta_server-0.1.0.dist-info/METADATA" in files


def test_scripts_run_on_an_asset_of_their_own(tmp_path: Path) -> None:
    files = contents(built(ARM64, tmp_path, bundle.SANDBOX))
    assert bundle.size_mb(tmp_path / "asset") <= bundle.ASSET_MAX_MB
    assert {name.split("/")[0] for name in files if name.endswith(".so")} >= {"_quickjs.abi3.so"}
    assert any(name.startswith("jq.cpython-313-aarch64") for name in files)
    ours = {name.removeprefix("batuta_server/").split("/")[0] for name in files if name.startswith("batuta_server/")}
    assert ours - {"__pycache__"} == {"__init__.py", "py.typed", "sandbox"}
    assert not [name for name in files if name.startswith(("pydantic", "aws_lambda_powertools", "tree_sitter", "batuta_core/simulator"))]


def test_scripts_run_on_the_asset_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    python = bundle.find_python()
    if python is None or os.uname().machine != "x86_64":
        not_tested("that the sandbox's asset runs", f"it needs Python {bundle.PYTHON} on x86_64")
    asset = bundle.build(X86_64, tmp_path_factory.getbasetemp() / "x86_64-sandbox", bundle.SANDBOX)
    code = (
        "from batuta_server.sandbox.entry import handle\n"
        "ask = lambda language, source: handle({'language': language, 'source': source, 'input': {'a': 1}, 'nowMs': 7, 'seed': ''}, None)\n"
        "assert ask('javascript', '$.a + Date.now()') == {'isDone': True, 'value': 8}\n"
        "assert ask('jq', '.a') == {'isDone': True, 'value': [1]}\n"
    )
    environment = {"PYTHONPATH": str(asset)}
    done = subprocess.run([str(python), "-S", "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_compiled_libraries_are_of_the_platform(arm64: Path) -> None:
    libraries = list(arm64.rglob("*.so"))
    assert len(libraries) >= 3
    assert {path.read_bytes()[18] for path in libraries} == {183}  # ELF's e_machine for AArch64


def test_compiled_code_is_taken_without_a_look_at_the_sources(arm64: Path) -> None:
    compiled = list(arm64.rglob("*.pyc"))
    if not compiled:
        not_tested("compiled code in the asset", f"there is no Python {bundle.PYTHON}")
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\x01\x00\x00\x00"}  # PEP 552: a hash, unchecked
    assert not any(str(arm64).encode() in path.read_bytes() for path in compiled)


@pytest.mark.parametrize("what", ["api", "decider", "timers", "http", "events"])
def test_a_function_starts_on_the_asset_alone(what: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without site-packages, so that nothing of this machine's can stand in for what is missing."""
    python = bundle.find_python()
    if python is None or os.uname().machine != "x86_64":
        not_tested("that the asset runs", f"it needs Python {bundle.PYTHON} on x86_64")
    asset = tmp_path_factory.getbasetemp() / "x86_64"
    bundle_ = bundle.build(X86_64, asset)
    code = f"import batuta_server.{what}.entry as entry; from importlib.metadata import version; version('batuta-server'); entry.handle"
    if what == "api":
        code += "; import batuta_core.simulator.mocked"  # loaded with the first /workflow/test
    done = subprocess.run(
        [str(python), "-S", "-c", code], env={**ENVIRONMENT, "PYTHONPATH": str(bundle_)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_the_runtimes_python_it_is_deployed_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "find_python", lambda: None)
    with pytest.warns(UserWarning, match="no Python 3.13 is found"):
        folder = bundle.build(ARM64, tmp_path / "asset")
    assert not list(folder.rglob("*.pyc"))


def test_pip_does_where_uv_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arm64: Path) -> None:
    monkeypatch.setattr(bundle, "_uv", lambda: None)
    assert set(contents(built(ARM64, tmp_path))) == set(contents(arm64))


def test_what_the_installer_says_is_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lambda.txt").write_text("pydantic==0.0.1 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(bundle, "_REQUIREMENTS", tmp_path)
    monkeypatch.setattr(bundle, "_ROOT", tmp_path)
    monkeypatch.setattr(bundle, "_hash_of_inputs", lambda *_: "other")
    with pytest.raises(bundle.BundleError, match="pydantic"):
        bundle.build(ARM64, tmp_path / "asset")
    shutil.rmtree(tmp_path / "asset", ignore_errors=True)
