"""Workflows under test, without a server: ``batuta.testing.run(definition, input=..., workers=[...], answers={...})``."""

from batuta.sandbox import NoEvaluator
from batuta.testing.answers import HOLD, SILENCE, HttpAnswer, Unanswered
from batuta.testing.execution import Run, run

__all__ = ["HOLD", "SILENCE", "HttpAnswer", "NoEvaluator", "Run", "Unanswered", "run"]
