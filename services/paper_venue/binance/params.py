"""The parameters of one request, from a query string, a form body or a JSON object, read with Binance's refusals."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from services.paper_venue.binance.errors import BAD_PARAMETER, BAD_PRECISION, ILLEGAL_CHARS, ApiError, missing
from services.paper_venue.binance.texts import TimeUnit
from trading.errors import AmountOutOfRange, InvalidArgument
from trading.money import parse_nanos

WordT = TypeVar("WordT")
_DECIMAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_LONGEST_NUMBER = 19
_LATEST_NS = 2**63 - 1
_SYMBOLS = re.compile(r'"([A-Z0-9-_.]{1,20})"')


@dataclass(frozen=True, slots=True)
class Params:
    """Names and texts; `unit` is the unit of the times in the answer."""

    values: Mapping[str, str]
    unit: TimeUnit = TimeUnit.MILLISECOND

    @classmethod
    def of_http(cls, query: str, body: str, unit: TimeUnit) -> "Params":
        """A name in both the query and the body counts in the query."""
        pairs = dict(parse_qsl(body, keep_blank_values=True)) | dict(parse_qsl(query, keep_blank_values=True))
        return cls(pairs, unit)

    @classmethod
    def of_json(cls, values: Mapping[str, Any], unit: TimeUnit) -> "Params":
        """The parameters of the WebSocket API as the texts that are signed."""
        return cls({name: _text(value) for name, value in values.items() if value is not None}, unit)

    def get(self, name: str) -> str | None:
        """The text, or None when it is missing or empty."""
        return self.values.get(name) or None

    def text(self, name: str) -> str:
        """A mandatory text."""
        found = self.get(name)
        if found is None:
            raise missing(name)
        return found

    def whole(self, name: str, default: int | None = None, least: int = 1, most: int = 2**63 - 1) -> int:
        """A whole number; mandatory without a default."""
        found = self.get(name)
        if found is None:
            if default is None:
                raise missing(name)
            return default
        if not found.isascii() or not found.isdecimal():
            raise _illegal(name, "^[0-9]+$")
        if len(found) > _LONGEST_NUMBER or not least <= int(found) <= most:
            raise ApiError(BAD_PARAMETER, f"Data sent for parameter '{name}' is not valid.")
        return int(found)

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for; more than `most` means `most`."""
        return min(self.whole("limit", default), most)

    def time_ns(self, name: str) -> int | None:
        """A time in ms, or in µs when it is too big for ms; in ns (at most int64), None when it is missing."""
        if self.get(name) is None:
            return None
        stated = self.whole(name, least=0, most=10**17)
        return min(stated * (1_000 if stated >= 10**15 else 1_000_000), _LATEST_NS)

    def amount_of_ms(self, name: str, default: int, most: int) -> float:
        """A duration in ms with up to three decimals."""
        found = self.get(name)
        if found is None:
            return default
        if not _DECIMAL.fullmatch(found) or float(found) > most:
            raise ApiError(BAD_PARAMETER, f"Data sent for parameter '{name}' is not valid.")
        return float(found)

    def amount(self, name: str) -> int | None:
        """A decimal amount in nanos, None when it is missing."""
        found = self.get(name)
        if found is None:
            return None
        if not _DECIMAL.fullmatch(found):
            raise _illegal(name, r"^([0-9]{1,20})(\.[0-9]{1,20})?$")
        try:
            return int(parse_nanos(found, name))
        except AmountOutOfRange:
            raise ApiError(BAD_PRECISION, f"Parameter '{name}' has too much precision.") from None
        except InvalidArgument:
            raise ApiError(BAD_PARAMETER, f"Data sent for parameter '{name}' is not valid.") from None

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        found = self.get(name)
        return default if found is None else found.lower() == "true"

    def client_id(self, name: str) -> str | None:
        """A customer's name for an order."""
        found = self.get(name)
        if found is not None and not _CLIENT_ID.fullmatch(found):
            raise _illegal(name, r"^[\.A-Z\:/a-z0-9_-]{1,36}$")
        return found

    def word(self, name: str, words: Mapping[str, WordT], code: int, complaint: str) -> WordT:
        """One of some words; raises ApiError with `code` for any other."""
        found = words.get(self.text(name))
        if found is None:
            raise ApiError(code, complaint)
        return found

    def symbols(self) -> list[str] | None:
        """What `symbol` or `symbols` (a JSON list) names; None when neither is there."""
        one, many = self.get("symbol"), self.get("symbols")
        if one is not None and many is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if many is None:
            return None if one is None else [one]
        found = _SYMBOLS.findall(many)
        if not found:
            raise ApiError(ILLEGAL_CHARS, "Illegal characters found in parameter 'symbols'.")
        return list(dict.fromkeys(found))


def _illegal(name: str, pattern: str) -> ApiError:
    return ApiError(ILLEGAL_CHARS, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ",".join(f'"{each}"' for each in value) + "]"
    return str(value)
