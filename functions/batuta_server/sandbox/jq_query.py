"""One jq expression. The binding has no limits of its own: the process that this runs in has."""

from __future__ import annotations

import re

import jq

from batuta_server.sandbox.failure import ScriptFailed

_CLOCK = re.compile(r"\b(?:now|localtime|gmtime|strflocaltime)\b")


def run(query: str, given: str, now_ms: int) -> str:
    """The JSON list of all that ``query`` gives out. ``given`` is JSON. Raises ScriptFailed."""
    try:
        program = jq.compile(query)  # first as it is, so that an error names the user's lines
        if _CLOCK.search(query):
            program = jq.compile(f"def now: {now_ms / 1000!r} + 0;\n{query}")
        # Its own text, since values in Python would be rounded: jq keeps a number that it does not count with. A line each.
        text: str = program.input_text(given).text()
    except ValueError as error:
        raise ScriptFailed(_message(str(error))) from None
    except MemoryError:
        raise ScriptFailed("the jq expression ran out of memory", is_worn=True) from None
    return "[" + ",".join(text.split("\n")) + "]" if text else "[]"


def _message(text: str) -> str:
    """Without what jq's command line adds."""
    return text.removeprefix("jq: error: ").partition("\njq: ")[0]
