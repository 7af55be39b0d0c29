"""Whether a text is JavaScript, without running it: a parser alone, loaded when the first script is registered."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

SCRIPT_MAX_BYTES = 256 * 1024

_local = threading.local()  # a parser keeps state while it parses


def syntax_error(source: str) -> str | None:
    """Where and what is wrong; None for a script that parses. Conductor allows ``return`` at the top, as in a function."""
    raw = source.encode("utf-8", "replace")
    if len(raw) > SCRIPT_MAX_BYTES:
        return f"the script has {len(raw)} bytes, the limit is {SCRIPT_MAX_BYTES}"
    root = _parser().parse(raw).root_node
    if not root.has_error:
        return None
    fault = _first_fault(root)
    what = f"{fault.type} is missing" if fault.is_missing else "unexpected text"
    return f"SyntaxError: line {fault.start_point[0] + 1}, column {fault.start_point[1] + 1}: {what}"


def _parser() -> Parser:
    if not hasattr(_local, "parser"):
        import tree_sitter_javascript
        from tree_sitter import Language, Parser

        _local.parser = Parser(Language(tree_sitter_javascript.language()))
    parser: Parser = _local.parser
    return parser


def _first_fault(root: Node) -> Node:
    pending = [root]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            return node
        pending.extend(child for child in reversed(node.children) if child.has_error or child.is_missing)
    return root
