"""Run one command among many: its error is its answer, and nobody else's concern."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from trading.errors import Kind, TradingError

AnswerT = TypeVar("AnswerT")


async def attempt(command: Callable[[], Awaitable[AnswerT]]) -> AnswerT | TradingError:
    """What the command gives, or the error that ended it."""
    try:
        return await command()
    except TradingError as error:
        return error
    except Exception:  # the boundary of one command: the others of its stream go on
        structlog.get_logger().exception("command.surprise")
        return TradingError(Kind.INTERNAL, "INTERNAL", "An internal error was logged.")
