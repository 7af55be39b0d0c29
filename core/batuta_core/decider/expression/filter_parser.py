"""The text of a filter, ``[?(...)]``, becomes a condition."""

from __future__ import annotations

import re

from batuta_core.decider.expression.compare import OPERATORS
from batuta_core.decider.expression.cursor import STRING, Cursor, InvalidPath
from batuta_core.decider.expression.literal import Literal, json_value, unescaped
from batuta_core.decider.expression.path import JsonPath
from batuta_core.decider.expression.reading import Condition, Operand
from batuta_core.decider.expression.text import number_in

MAX_NESTING = 16  # of filters, their brackets and functions in one path

_BEGINNING = re.compile(r" *\? *(?=\()")
_END = re.compile(r" *\]")
_OPERATOR = re.compile(r" *([<>=~!]+|[^ ]+)")
_WORD = re.compile(r"true|false|null")
_WORDS = {"true": True, "false": False, "null": None}
_NUMBER_RUN = re.compile(r"[-0-9.eE]*")


class FilterParser(Cursor):
    """Reads the filters of a path; the paths inside them are left to the class that reads whole paths."""

    depth: int  # how deep in filters, brackets and functions ``at`` is

    def inner(self, text: str) -> JsonPath:
        """Compiles a path that stands at this depth."""
        raise NotImplementedError

    def filter(self) -> Condition:
        self.match(_BEGINNING, "'?('")
        condition = self.any_of()
        self.match(_END, "']' behind the filter")
        return condition

    def any_of(self) -> Condition:
        terms = [self.all_of()]
        while self.take("||"):
            terms.append(self.all_of())
        return terms[0] if len(terms) == 1 else lambda item, reading: any(term(item, reading) for term in terms)

    def all_of(self) -> Condition:
        terms = [self.term()]
        while self.take("&&"):
            terms.append(self.term())
        return terms[0] if len(terms) == 1 else lambda item, reading: all(term(item, reading) for term in terms)

    def term(self) -> Condition:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise InvalidPath(f"filters and functions nest deeper than {MAX_NESTING}")
        is_negated = self.take("!")
        if is_negated and self.here() not in ("$", "@"):
            inner = self.term()
            condition: Condition = lambda item, reading: not inner(item, reading)  # noqa: E731
        elif self.take("("):
            condition = self.any_of()
            if not self.take(")"):
                raise self.wrong("')'")
        else:
            condition = self.comparison(is_negated)
        self.depth -= 1
        return condition

    def comparison(self, is_negated: bool) -> Condition:
        left = self.operand()
        found = _OPERATOR.match(self.text, self.at)
        compare = OPERATORS.get(found[1].upper()) if found else None
        if found and found[1] == "=~":
            raise InvalidPath("regular expressions (=~) are left out")
        if found and compare:
            self.at = found.end()
            right = self.operand()
            return lambda item, reading: compare(left.evaluate(item, reading), right.evaluate(item, reading), reading.budget)
        if not isinstance(left, JsonPath):
            raise self.wrong("a comparison")
        return lambda item, reading: left.is_there(item, reading) is not is_negated

    def operand(self) -> Operand:
        self.skip()
        if self.here() in ("$", "@"):
            return self.inner(self.path_text())
        if self.here() in ("'", '"'):
            return Literal(unescaped(self.match(STRING, "a text with its closing quote")[0][1:-1]))
        if self.here() in ("[", "{"):
            return Literal(json_value(self.enclosed()))
        word = _WORD.match(self.text, self.at)
        if word:
            self.at = word.end()
            return Literal(_WORDS[word[0]])
        number = number_in(self.match(_NUMBER_RUN, "a number")[0])
        if number is None:
            raise self.wrong("a value")
        return Literal(number)

    def path_text(self) -> str:
        """The path that begins here inside a filter: up to a blank, an operator or the end of a bracket."""
        start = self.at
        while self.here() and self.here() not in " <>=~!)" and self.text[self.at : self.at + 2] not in ("&&", "||"):
            if self.here() in ("[", "("):
                self.enclosed()
            else:
                self.at += 1
        return self.text[start : self.at]
