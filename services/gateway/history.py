"""Daily returns of the fleet's own history, aligned by day, for the optimiser and for risk."""

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from services.gateway.backends import Backends
from trading.clock import DAY_NS
from trading.errors import FailedPrecondition
from trading.money import to_float

_CALENDAR_DAYS_PER_SESSION = 1.6
_SPARE_DAYS = 14
_PAGE = 10_000
_CONCURRENT_READS = 16
Closes = dict[int, float]


async def daily_returns(fleet: Backends, symbols: Sequence[str], days: int) -> npt.NDArray[np.float64]:
    """The newest `days` simple returns of each symbol, days × symbols, over the days that all of them traded.

    Raises FailedPrecondition INSUFFICIENT_HISTORY when there are fewer, UnknownSymbol for no symbol of ours.
    """
    end_ns = fleet.clock.now_ns()
    start_ns = end_ns - int(days * _CALENDAR_DAYS_PER_SESSION + _SPARE_DAYS) * DAY_NS
    slots = asyncio.Semaphore(_CONCURRENT_READS)
    closes = await asyncio.gather(*(_closes(fleet, symbol, start_ns, end_ns, slots) for symbol in symbols))
    common = sorted(set.intersection(*(set(column) for column in closes)))[-days - 1 :]
    if len(common) <= days:
        shortest = min(range(len(symbols)), key=lambda index: len(closes[index]))
        raise FailedPrecondition(
            f"Expected {days} common daily returns, was {max(len(common) - 1, 0)}.",
            reason="INSUFFICIENT_HISTORY",
            constraint="window_days",
            wanted=days,
            available=max(len(common) - 1, 0),
            shortest=symbols[shortest],
        )
    prices = np.array([[column[day] for column in closes] for day in common])
    returns: npt.NDArray[np.float64] = prices[1:] / prices[:-1] - 1.0
    return returns


async def _closes(fleet: Backends, symbol: str, start_ns: int, end_ns: int, slots: asyncio.Semaphore) -> Closes:
    closes: Closes = {}
    cursor = ""
    while True:
        request = rpc.ListBarsRequest(
            symbols=[symbol],
            start_time_ns=start_ns,
            end_time_ns=end_ns,
            interval="1d",
            page_size=_PAGE,
            cursor=cursor,
        )
        async with slots:
            answer = await fleet.market_data.ListBars(request)
        closes.update((bar.timestamp_ns // DAY_NS, to_float(bar.close_nanos)) for bar in answer.bars if bar.close_nanos)
        cursor = answer.next_cursor
        if not cursor:
            return closes
