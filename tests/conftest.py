"""What was left out for want of something outside of the repository is said in red at the end of the run."""

from __future__ import annotations

import pytest

from tests.shared import NOT_TESTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", ()) if isinstance(report.longrepr, tuple)}
    for reason in sorted(reason for reason in reasons if NOT_TESTED in reason):
        terminalreporter.write_line(reason.removeprefix("Skipped: "), red=True, bold=True)
