"""Single words and optional fields, whatever the message."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from neuraltrader.execution.v1 import execution_pb2 as pb
from trading.errors import InvalidArgument
from trading.order import OrderStatus

WordT = TypeVar("WordT", bound=StrEnum)
STATUS_VALUES = {status: pb.OrderStatus.Value(f"ORDER_STATUS_{status}") for status in OrderStatus}


def word(words: Mapping[Any, WordT], value: int, field: str) -> WordT:
    found = words.get(value)
    if found is None:
        expected = ", ".join(dict.fromkeys(word.value for word in words.values()))
        raise InvalidArgument(f"Expected one of {expected}.", field=field, value=value)
    return found


@cache
def value(enum: Any, prefix: str, word: str) -> Any:
    return enum.Value(f"{prefix}_{word}")


def optional(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None
