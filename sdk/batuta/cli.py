"""``batuta``: a server for development, a worker, and the daily questions about workflows and tasks."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from batuta.client import Client
from batuta_core.model.error import BatutaError
from batuta_core.model.execution import WorkflowStatus

DEV_PORT = 8080  # Conductor's, so that its clients and examples find the server
DEV_URL = f"http://127.0.0.1:{DEV_PORT}"
LIST_SIZE = 20


class CommandFailed(Exception):
    """Ends the command with exit status 1 and this text."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        result: int = options.run(options) or 0
        return result
    except BatutaError as error:
        print(_explained(error), file=sys.stderr)
    except (CommandFailed, ValueError) as error:
        print(f"batuta: {error}", file=sys.stderr)
    return 1


def _explained(error: BatutaError) -> str:
    lines = [f"batuta: {error.message}"]
    lines += [f"  {problem.path or '(body)'}: {problem.message}" for problem in error.problems]
    return "\n".join([*lines, error.remedy])


# --- programs


def dev(options: argparse.Namespace) -> int:
    """The server is another program, so it takes this process's place: signals, exit status and Ctrl-C are then its own, and
    nothing is left behind when the process is killed."""
    if importlib.util.find_spec("batuta_server") is None:
        raise CommandFailed("the server is not installed: pip install 'batuta[dev]'")
    command = [sys.executable, "-m", "batuta_server.local", "--port", str(options.port)]
    command += ["--state", str(options.state)] if options.state else []
    command += [word for cidr in options.http_allow for word in ("--http-allow", cidr)]
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606 - no shell is wanted
    return subprocess.run(command, check=False).returncode  # noqa: S603 - Windows cannot replace a process


def worker(options: argparse.Namespace) -> None:
    """``module:name``; the name of the Worker in the module is ``worker`` unless it is said."""
    from batuta.worker.console import LINE
    from batuta.worker.worker import Worker

    module_name, _, name = options.target.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name or "worker")
    except ModuleNotFoundError as error:
        raise CommandFailed(f"{module_name} cannot be imported: {error}") from error
    except AttributeError as error:
        raise CommandFailed(f"{error}; say which it is: {module_name}:my_worker") from error
    if not isinstance(found, Worker):
        raise CommandFailed(f"{options.target} is a {type(found).__name__}, not a Worker")
    logging.basicConfig(level=logging.INFO, format=LINE)  # the functions' own lines, too
    found.run()


# --- workflows


def workflow_register(options: argparse.Namespace) -> None:
    definitions = _definitions_in(options.file)
    with _client(options) as client:
        client.register_workflows(definitions)
    print("\n".join(f"registered {item.get('name')} version {item.get('version', 1)}" for item in definitions))


def workflow_start(options: argparse.Namespace) -> int:
    with _client(options) as client:
        workflow_id = client.start(
            options.name,
            _json_argument(options.input),
            version=options.version,
            correlation_id=options.correlation_id,
            idempotency_key=options.idempotency_key,
        )
        print(workflow_id, flush=True)
        if not options.wait:
            return 0
        execution = client.wait(workflow_id, options.timeout)
    _print_json(dict(execution.data))
    return 0 if execution.status is WorkflowStatus.COMPLETED else 1


def workflow_get(options: argparse.Namespace) -> None:
    with _client(options) as client:
        execution = client.get(options.id)
    if options.json:
        _print_json(dict(execution.data))
        return
    print(f"{execution.workflow_id}  {execution.name} {execution.version}  {execution.status}  {execution.reason or ''}".rstrip())
    rows = [
        (task.ref, task.task_type, str(task.attempt), str(task.status), _seconds(task.started_ms, task.ended_ms), task.reason or "")
        for task in execution.tasks
    ]
    _print_table(("task", "type", "attempt", "status", "took", "reason"), rows)
    if execution.status.is_terminal:
        print(f"output {json.dumps(execution.output, ensure_ascii=False)}")


def workflow_list(options: argparse.Namespace) -> None:
    status = WorkflowStatus(options.status.upper()) if options.status else None
    with _client(options) as client:
        page = client.executions(options.name, status, start=options.start, size=options.size)
    rows = [(item.workflow_id, item.name, str(item.version), str(item.status), _moment(item.started_ms)) for item in page.items]
    _print_table(("id", "workflow", "version", "status", "started"), rows)
    if page.total > options.start + len(rows):
        print(f"{page.total} in all: --start {options.start + len(rows)} shows more")


def workflow_terminate(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.terminate(options.id, options.reason)
    print(f"terminated {options.id}")


def workflow_pause(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.pause(options.id)
    print(f"paused {options.id}")


def workflow_resume(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.resume(options.id)
    print(f"resumed {options.id}")


def workflow_retry(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.retry(options.id)
    print(f"retried {options.id}")


def workflow_restart(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.restart(options.id, is_latest=options.latest)
    print(f"restarted {options.id}")


def workflow_rerun(options: argparse.Namespace) -> None:
    task_input, workflow_input = (None if text is None else _json_argument(text) for text in (options.task_input, options.input))
    with _client(options) as client:
        client.rerun(options.id, from_task_id=options.task, task_input=task_input, workflow_input=workflow_input)
    print(f"runs again {options.id}")


def workflow_skip(options: argparse.Namespace) -> None:
    with _client(options) as client:
        client.skip_task(options.id, options.ref)
    print(f"will skip {options.ref} of {options.id}")


# --- tasks


def task_register(options: argparse.Namespace) -> None:
    definitions = _definitions_in(options.file)
    with _client(options) as client:
        client.register_tasks(definitions)
    print("\n".join(f"registered {item.get('name')}" for item in definitions))


def task_list(options: argparse.Namespace) -> None:
    with _client(options) as client:
        found = client.task_definitions()
    rows = [(item["name"], f"{item['retryLogic']} {item['retryCount']}", str(item["timeoutSeconds"])) for item in found]
    _print_table(("task type", "retries", "timeout s"), sorted(rows))


def task_get(options: argparse.Namespace) -> None:
    with _client(options) as client:
        _print_json(dict(client.task(options.id).data))


def task_log(options: argparse.Namespace) -> None:
    with _client(options) as client:
        for line in client.task_log(options.id):
            print(f"{_moment(line.at_ms)}  {line.text}")


# --- journals


def export(options: argparse.Namespace) -> None:
    from batuta import journals

    target: Path = options.output or Path(f"{options.id}.json")
    with _client(options) as client:
        exported = journals.fetch(client, options.id)
    try:
        journals.write(exported, target)
    except OSError as error:
        raise CommandFailed(f"{target} cannot be written: {error.strerror}") from error
    if target != journals.STDOUT:
        print(f"wrote {len(exported.records)} records to {target}")


def replay(options: argparse.Namespace) -> int:
    from batuta import journals
    from batuta.sandbox import NoEvaluator

    try:
        exported = journals.read(options.file)
        numbers = [record.seq for record in exported.records]
        if options.break_at and options.break_at not in numbers:
            raise CommandFailed(f"there is no record {options.break_at}: they have the numbers {numbers[0]} to {numbers[-1]}")
        difference = journals.decide_again(exported, options.break_at)
    except OSError as error:
        raise CommandFailed(f"{options.file} cannot be read: {error.strerror}") from error
    except NoEvaluator as error:
        raise CommandFailed(str(error)) from error
    if difference is None:
        print(f"{exported.execution.workflow_id}: {len(numbers)} records, each comes out as it is")
        return 0
    events = ", ".join(str(event.to_dict()["e"]) for event in difference.expected.events)
    print(f"{exported.execution.workflow_id}: record {difference.expected.seq} of {len(numbers)} ({events}) comes out otherwise")
    print("\n".join(f"  {line}" for line in difference.lines()))
    return 1


# --- inside


def _client(options: argparse.Namespace) -> Client:
    is_said = options.url or options.stage or os.environ.get("BATUTA_URL") or os.environ.get("BATUTA_STAGE")
    return Client(options.url if is_said else DEV_URL, stage=options.stage, namespace=options.namespace)


def _definitions_in(path: Path) -> list[dict[str, Any]]:
    """A file holds one definition, or a list of them."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CommandFailed(f"{path} is no JSON: {error}") from error
    definitions = found if isinstance(found, list) else [found]
    if not all(isinstance(item, dict) for item in definitions):
        raise CommandFailed(f"{path} holds something that is no definition")
    return definitions


def _json_argument(text: str) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise CommandFailed(f"--input is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandFailed('--input must be an object: {"order_id": "A-1"}')
    return found


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (names, *rows)) for column in range(len(names))]
    for row in (names, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if at_ms else ""


def _seconds(from_ms: int, to_ms: int) -> str:
    return f"{(to_ms - from_ms) / 1000:.2f} s" if from_ms and to_ms else ""


# --- the commands


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batuta", description="Durable workflows in your own AWS account.")
    commands = parser.add_subparsers(required=True, metavar="command")

    command = _command(commands, "dev", dev, "a server on this machine, until Ctrl-C")
    command.add_argument("--port", type=int, default=DEV_PORT, help=f"{DEV_PORT} unless told otherwise; 0 takes a free one")
    command.add_argument("--state", type=Path, help="a folder that keeps everything over clean restarts")
    command.add_argument(
        "--http-allow",
        action="append",
        default=[],
        metavar="CIDR",
        help="a range that HTTP tasks may call although it is not public, 127.0.0.0/8 for this machine; may be repeated",
    )

    command = _command(commands, "worker", worker, "run a Worker that a module holds")
    command.add_argument("target", help="module:name, as in shop.tasks:worker")

    command = _asking(commands, "export", export, "write an execution's journal to a file, for replay")
    command.add_argument("id", help="of the execution")
    command.add_argument("-o", "--output", type=Path, help="ID.json unless told otherwise; - prints it")

    command = _command(commands, "replay", replay, "decide an exported execution again, record by record; exit status 1 at a difference")
    command.add_argument("file", type=Path, help="what export wrote; - reads it from the input")
    command.add_argument(
        "--break-at", type=int, default=0, metavar="RECORD", help="stop in the debugger right before that record is decided"
    )

    workflows = commands.add_parser("workflow", help="workflow definitions and executions").add_subparsers(required=True, metavar="command")
    command = _asking(workflows, "register", workflow_register, "store the definitions in a JSON file")
    command.add_argument("file", type=Path)
    command = _asking(workflows, "start", workflow_start, "start an execution and print its id")
    command.add_argument("name")
    command.add_argument("--input", default="{}", help="a JSON object")
    command.add_argument("--version", type=int, help="the latest unless told otherwise")
    command.add_argument("--correlation-id")
    command.add_argument("--idempotency-key", help="a second start with the same key starts nothing")
    command.add_argument("--wait", action="store_true", help="until it has ended; exit status 1 unless it completed")
    command.add_argument("--timeout", type=float, default=60.0, help="seconds to wait (60)")
    command = _asking(workflows, "get", workflow_get, "show an execution and its tasks")
    command.add_argument("id")
    command.add_argument("--json", action="store_true", help="all of it")
    command = _asking(workflows, "list", workflow_list, "list executions")
    command.add_argument("--name", help="of this workflow")
    command.add_argument("--status", help="RUNNING, COMPLETED, FAILED, ...")
    command.add_argument("--start", type=int, default=0, help="how many to leave out")
    command.add_argument("--size", type=int, default=LIST_SIZE)
    command = _asking(workflows, "terminate", workflow_terminate, "end an execution")
    command.add_argument("id")
    command.add_argument("--reason")
    command = _asking(workflows, "pause", workflow_pause, "schedule nothing more until resume")
    command.add_argument("id")
    command = _asking(workflows, "resume", workflow_resume, "end a pause")
    command.add_argument("id")
    command = _asking(workflows, "retry", workflow_retry, "another attempt for the tasks that failed")
    command.add_argument("id")
    command = _asking(workflows, "restart", workflow_restart, "begin again from the first task")
    command.add_argument("id")
    command.add_argument("--latest", action="store_true", help="under the latest definition of its name")
    command = _asking(workflows, "rerun", workflow_rerun, "run again from a task, or from the first one")
    command.add_argument("id")
    command.add_argument("--task", help="the id of the task to begin at")
    command.add_argument("--task-input", help="a JSON object, in place of that task's input")
    command.add_argument("--input", help="a JSON object, in place of the execution's input")
    command = _asking(workflows, "skip", workflow_skip, "step over a task that is still ahead")
    command.add_argument("id")
    command.add_argument("ref", help="its reference name")

    tasks = commands.add_parser("task", help="task definitions and tasks").add_subparsers(required=True, metavar="command")
    command = _asking(tasks, "register", task_register, "store the definitions in a JSON file")
    command.add_argument("file", type=Path)
    _asking(tasks, "list", task_list, "list task definitions")
    command = _asking(tasks, "get", task_get, "show a task of an execution")
    command.add_argument("id")
    command = _asking(tasks, "log", task_log, "show a task's log")
    command.add_argument("id")
    return parser


def _command(group: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = group.add_parser(name, help=text, description=text)
    command.set_defaults(run=run)
    return command


def _asking(group: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
    """A command that asks the server."""
    command = _command(group, name, run, text)
    command.add_argument("--url", help=f"the server; else --stage, $BATUTA_URL, $BATUTA_STAGE, {DEV_URL}")
    command.add_argument("--stage", help="a stage deployed to your AWS account")
    command.add_argument("--namespace", help="else $BATUTA_NAMESPACE, else default")
    return command


if __name__ == "__main__":
    sys.exit(main())
