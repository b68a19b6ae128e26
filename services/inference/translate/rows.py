"""Rows of market data from the wire."""

from collections.abc import Sequence

import numpy as np

from neuraltrader.inference.v1 import inference_pb2 as pb
from services.inference.domain.rows import Rows


def rows_of(messages: Sequence[pb.MarketDataRow]) -> Rows:
    """Read rows into columns; nothing is judged here."""
    return Rows(
        symbol=[row.symbol for row in messages],
        price=np.array([row.price for row in messages], np.float64),
        volume=np.array([row.volume for row in messages], np.float64),
        bid=np.array([row.bid for row in messages], np.float64),
        ask=np.array([row.ask for row in messages], np.float64),
        spread=np.array([row.spread for row in messages], np.float64),
        spread_given=np.array([row.HasField("spread") for row in messages], np.bool_),
        timestamp_ns=np.array([row.timestamp_ns for row in messages], np.int64),
    )
