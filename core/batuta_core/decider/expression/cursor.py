"""A place in the text of a path: what is there, what matches there, and where the bracket there is closed."""

from __future__ import annotations

import re

STRING = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
_ENDS = {"(": ")", "[": "]", "{": "}"}


class InvalidPath(ValueError):
    """The text is no path; the message says why."""


class Cursor:
    """Goes over one path from left to right; ``at`` is the next character."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self) -> None:
        while self.here() == " ":
            self.at += 1

    def take(self, token: str) -> bool:
        self.skip()
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        self.skip()
        return True

    def match(self, pattern: re.Pattern[str], expected: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if not found:
            raise self.wrong(expected)
        self.at = found.end()
        return found

    def wrong(self, expected: str) -> InvalidPath:
        return InvalidPath(f"expected {expected} at {self.at}, found {self.text[self.at : self.at + 10]!r}")

    def pieces(self) -> list[str]:
        """What stands between the brackets that open here, parted at its commas."""
        inside = self.enclosed()[1:-1]
        parts, level, start, at = [], 0, 0, 0
        while at < len(inside):
            quoted = STRING.match(inside, at)
            if quoted:
                at = quoted.end()
                continue
            level += (inside[at] in "([{") - (inside[at] in ")]}")
            if inside[at] == "," and level == 0:
                parts.append(inside[start:at])
                start = at + 1
            at += 1
        return [part.strip() for part in (*parts, inside[start:])]

    def enclosed(self) -> str:
        """The text up to the bracket that closes the one here."""
        start, expected = self.at, []
        while self.at < len(self.text):
            quoted = STRING.match(self.text, self.at)
            if quoted:
                self.at = quoted.end()
                continue
            char = self.here()
            self.at += 1
            if char in _ENDS:
                expected.append(_ENDS[char])
            elif char in ")]}" and expected.pop() != char:
                break
            if not expected:
                return self.text[start : self.at]
        raise InvalidPath(f"the bracket at {start} is not closed")
