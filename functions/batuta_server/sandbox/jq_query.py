"""One jq expression. The binding has no limits of its own: the process that this runs in has."""

from __future__ import annotations

import re
from typing import Any

import jq

from batuta_server.sandbox.failure import ScriptFailed

_CLOCK = re.compile(r"\b(?:now|localtime|gmtime|strflocaltime)\b")


def run(query: str, given: str, now_ms: int) -> str:
    """The JSON list of all that ``query`` gives out. ``given`` is JSON. Raises ScriptFailed."""
    # As text, since values in Python would be rounded: jq keeps a number that it does not count with.
    # Two line breaks: a backslash at the end of a comment lets it go on in the next line.
    program = f"{query}\n\n| tojson"
    if _CLOCK.search(query):
        program = f"def now: {now_ms / 1000!r} + 0;\n{program}"
    try:
        texts = _compiled(program, query).input_text(given).all()
    except ValueError as error:
        raise ScriptFailed(_message(str(error))) from None
    except MemoryError:
        raise ScriptFailed("the jq expression ran out of memory", is_worn=True) from None
    return f"[{','.join(texts)}]"


def _compiled(program: str, query: str) -> Any:
    try:
        return jq.compile(program)
    except ValueError:
        jq.compile(query)  # whose error names the user's lines
        raise


def _message(text: str) -> str:
    """Without what jq's command line adds."""
    return text.removeprefix("jq: error: ").partition("\njq: ")[0]
