"""``batuta export`` and ``batuta replay`` against the API function."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.functions.api.caller import Api, simple, workflow
from tests.unit.sdk.stub import Answer, Asked, StubServer

from batuta import cli
from batuta.sandbox import SANDBOX, NoEvaluator, SandboxProgram
from batuta_core.decider.known import Language, Script
from batuta_core.engine import export as exports


@pytest.fixture
def api(stub: StubServer) -> Api:
    api = Api()

    def answer(asked: Asked) -> Answer:
        found = api(asked.method, asked.target, asked.body or None)
        return Answer(found.status, found.text.encode(), {name.lower(): value for name, value in found.headers.items()})

    stub.answer = answer
    return api


def ended(api: Api, *more: Any, text: str = "t") -> str:
    api.register(workflow("order", simple("pack"), *more))
    workflow_id = api.start(input={"half": "\ud800"})
    api.complete("pack", n=2, text=text)
    return workflow_id


def run(stub: StubServer, *arguments: str) -> int:
    return cli.main([*arguments, "--url", stub.url])


def test_an_execution_is_exported_in_pages_and_decided_again(
    api: Api, stub: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE_MAX_BYTES", 1)
    workflow_id = ended(api, simple("next"), text="x" * 40_000)
    api.complete("next")
    file = tmp_path / "e.json"
    assert run(stub, "export", workflow_id, "-o", str(file)) == 0
    count = len(json.loads(file.read_text())["records"])
    assert sum(target.partition("?")[0].endswith("/journal") for target in stub.targets()) == count > 2
    assert sum("/journal/payloads/" in target for target in stub.targets()) >= 1
    assert cli.main(["replay", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"wrote {count} records to {file}",
        f"{workflow_id}: {count} records, each comes out as it is",
    ]


def test_the_first_difference_is_shown(api: Api, stub: StubServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "e.json"
    workflow_id = ended(api)
    run(stub, "export", workflow_id, "--output", str(file))
    data = json.loads(file.read_text())
    data["records"][-1]["head"]["st"] = "FAILED"
    file.write_text(json.dumps(data))
    capsys.readouterr()
    assert cli.main(["replay", str(file)]) == 1
    last = data["records"][-1]["seq"]
    assert capsys.readouterr().out.splitlines() == [
        f"{workflow_id}: record {last} of {last} (task_updated) comes out otherwise",
        '  head.st: "FAILED" in the journal, "COMPLETED" now',
    ]


def test_the_debugger_stops_at_the_record(api: Api, stub: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "e.json"
    run(stub, "export", ended(api), "-o", str(file))
    stopped: list[int] = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append(sys._getframe(1).f_locals["expected"].seq))
    assert cli.main(["replay", str(file), "--break-at", "2"]) == 0
    assert stopped == [2]


def test_scripts_are_run_again_as_the_server_runs_them() -> None:
    (found,) = SANDBOX.run([Script(Language.JAVASCRIPT, "$.n * 2", '{"n":4}', 0, "t")])
    assert found.value == 8


def test_without_the_server_a_script_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(NoEvaluator, match="batuta_server"):
        SandboxProgram().run([Script(Language.JAVASCRIPT, "1", "{}", 0, "t")])


def test_what_cannot_be_replayed_is_said(stub: StubServer, api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "e.json"
    assert cli.main(["replay", str(file)]) == 1
    file.write_text("{")
    assert cli.main(["replay", str(file)]) == 1
    file.write_text("{}")
    assert cli.main(["replay", str(file)]) == 1
    run(stub, "export", ended(api), "-o", str(file))
    assert cli.main(["replay", str(file), "--break-at", "99"]) == 1
    assert run(stub, "export", "00000000-0000-4000-8000-000000000009", "-o", str(tmp_path / "none.json")) == 1
    error = capsys.readouterr().err
    for words in ("cannot be read", "is no JSON", "not an exported execution", "there is no record 99", "No such workflow"):
        assert words in error
    assert not (tmp_path / "none.json").exists()


def test_it_goes_through_pipes(api: Api, stub: StubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(stub, "export", ended(api), "-o", "-")
    text = capsys.readouterr().out

    class Input:
        def read(self) -> str:
            return text

    monkeypatch.setattr(sys, "stdin", Input())
    assert cli.main(["replay", "-"]) == 0
