"""The language of row filters: comparisons of columns with numbers, texts and one another, joined by and, or, not.

```
either     = both { ("or" | "||") both }
both       = one { ("and" | "&&") one }
one        = ("not" | "!") one | "(" either ")" | value ("==" "=" "!=" "<>" "<" "<=" ">" ">=") value
value      = column | number | 'text' | "text"
```
It is parsed into this module's dataclasses and never evaluated as code.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from trading.errors import InvalidArgument

LONGEST = 4_096
DEEPEST = 64
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>==|!=|<>|<=|>=|&&|\|\||[=<>!()]))",
    re.ASCII,
)
_COMPARISONS = {"=": "==", "==": "==", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEXT_COLUMNS = frozenset({"symbol", "venue", "interval", "trade_id"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column's value."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a text."""

    value: int | float | str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`; the operator is one of == != < <= > >=."""

    left: Column | Literal
    operator: str
    right: Column | Literal


@dataclass(frozen=True, slots=True)
class Not:
    """Rows that the inner filter does not keep."""

    inner: "Filter"


@dataclass(frozen=True, slots=True)
class Every:
    """Rows that all parts keep."""

    parts: tuple["Filter", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Rows that at least one part keeps."""

    parts: tuple["Filter", ...]


Filter = Comparison | Not | Every | Some


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_filter(text: str, columns: Collection[str]) -> Filter | None:
    """The filter that a text says, None for an empty one; raises InvalidArgument with the place of the mistake."""
    if len(text) > LONGEST:
        raise InvalidArgument(f"Expected a filter of at most {LONGEST} characters.", field="filter")
    if not text.strip():
        return None
    return _Parser(list(_tokens(text)), columns).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _mistake("a column, a value or an operator", text[at : at + 12].strip(), at)
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()
    yield _Token("end", "the end", end)


def _mistake(expected: str, was: str, at: int) -> InvalidArgument:
    return InvalidArgument(f"Expected {expected}, was {was} at character {at + 1}.", field="filter", position=at + 1)


class _Parser:
    def __init__(self, tokens: list[_Token], columns: Collection[str]) -> None:
        self._tokens, self._columns = tokens, columns
        self._next = self._depth = 0

    def whole(self) -> Filter:
        found = self._either()
        if self._peek.kind != "end":
            raise _mistake("and, or, or the end", self._peek.text, self._peek.at)
        return found

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *words: str) -> bool:
        """Whether the next token is one of these words or signs; it is then used up."""
        token = self._peek
        found = token.kind in ("word", "sign") and token.text.lower() in words
        self._next += found
        return found

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or", "||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take("and", "&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Filter:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _mistake(f"at most {DEEPEST} nested parts", "more", self._peek.at)
        found = self._nested()
        self._depth -= 1
        return found

    def _nested(self) -> Filter:
        if self._take("not", "!"):
            return Not(self._one())
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                raise _mistake("a closing parenthesis", self._peek.text, self._peek.at)
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        at = self._peek.at
        left = self._value()
        sign = self._peek
        if sign.kind != "sign" or sign.text not in _COMPARISONS:
            raise _mistake("a comparison", sign.text, sign.at)
        self._next += 1
        right = self._value()
        if _is_text(left) != _is_text(right):
            raise _mistake("a text beside a text and a number beside a number", sign.text, at)
        return Comparison(left, _COMPARISONS[sign.text], right)

    def _value(self) -> Column | Literal:
        token = self._peek
        self._next += token.kind != "end"
        match token.kind:
            case "number":
                return Literal(_number(token))
            case "text":
                return Literal(token.text[1:-1])
            case "word" if token.text in self._columns:
                return Column(token.text)
        raise _mistake(f"one of {', '.join(self._columns)}, a number or a text", token.text, token.at)


def _number(token: _Token) -> int | float:
    text = token.text
    number = int(text) if text.lstrip("+-").isdigit() and len(text) <= 19 else float(text)
    if number in (float("inf"), float("-inf")):
        raise _mistake("a number within the range of float64", text, token.at)
    return number


def _is_text(value: Column | Literal) -> bool:
    if isinstance(value, Column):
        return value.name in _TEXT_COLUMNS
    return isinstance(value.value, str)
