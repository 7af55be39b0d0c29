"""The expressions of a text in the eyes of Conductor's registration."""

from __future__ import annotations

import re

from batuta_core.decider.expression.cursor import InvalidPath
from batuta_core.decider.expression.path_parser import compile_path
from batuta_core.model.frozen import dataclass

_REGISTRATION_SPLIT = re.compile(r"(?=(?<!\$)\$\{)|(?<=\})")
# Conductor also lets pass the variables of its own process. We have none, but a definition with ${HOME} was
# accepted there and is accepted here: a bare name in capitals.
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Token:
    """One ``${...}`` of a text, in the eyes of Conductor's registration, which looks at the innermost ones only."""

    text: str  # between the braces
    is_valid: bool  # it is a JSONPath; else "key: K input parameter value: <text> is not valid"
    root: str | None  # the task that must be in the definition, or `workflow`; None: nothing to look up


def tokens(value: str) -> list[Token]:
    """The expressions of one text value of a task's inputParameters. An escaped ``$${`` is none, nor is an unclosed one."""
    if "${" not in value:
        return []
    pieces = (piece[2:-1] for piece in _REGISTRATION_SPLIT.split(value) if piece.startswith("${") and piece.endswith("}"))
    return [Token(text, _is_path(text), None if _ENVIRONMENT.fullmatch(text) else text.partition(".")[0]) for text in pieces]


def _is_path(text: str) -> bool:
    try:
        compile_path(text)
    except InvalidPath:
        return False
    return True
