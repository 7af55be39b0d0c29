"""Runs a script, like an example's worker, as long as the standard input stays open: ``python -m tests.e2e.under SCRIPT``."""

import runpy
import sys

from tests.e2e.tasks import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
