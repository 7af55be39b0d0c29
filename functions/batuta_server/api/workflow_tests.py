"""Route of tests with mocks: /workflow/test. What plays them is loaded when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batuta_core.engine.ports import Ports
from batuta_server.api.definitions import naming_all_workflow_faults
from batuta_server.api.javascript import syntax_error
from batuta_server.api.request import current, json_response, note
from batuta_server.api.resolver import Resolver
from batuta_server.api.response import Response
from batuta_server.api.schema import WorkflowTestBody, read_body

if TYPE_CHECKING:
    from batuta_core.simulator.mocked import Mocks


def add_routes(app: Resolver, ports: Ports) -> None:
    @app.route("/api/workflow/test", "POST")
    def test_workflow() -> Response:
        from batuta_core.simulator.mocked import play

        request = current()
        body = read_body(WorkflowTestBody, request.json())
        wanted = body.to_request(request.namespace)
        with naming_all_workflow_faults(ports, {} if wanted.definition is None else {"workflowDef": wanted.definition}):
            found = play(wanted, _mocks(body), ports, syntax_error)
        note(workflow_id=found["workflowId"])
        return json_response(found)


def _mocks(body: WorkflowTestBody) -> Mocks:
    from batuta_core.simulator.mocked import Mocks

    return Mocks(
        of_ref={ref: [mock.to_report() for mock in mocks] for ref, mocks in (body.mocks or {}).items()},
        children={ref: _mocks(child) for ref, child in (body.children or {}).items()},
    )
