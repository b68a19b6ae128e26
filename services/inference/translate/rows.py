"""Rows of market data from the wire, and scores to it."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.inference.domain.rows import MOST_ROWS, Rows, no_spread
from services.inference.ports import Tables
from trading.errors import InvalidArgument

_NUMBERS = ("price", "volume", "bid", "ask")
_LENGTH_DELIMITED = 2
Column = npt.NDArray[np.generic]


def size_of(request: rpc.PredictRequest) -> int:
    """About how many rows a request has, before it is read."""
    return max(len(request.market_data), len(request.columns.price), len(request.arrow_ipc) // 32)


def rows_of(request: rpc.PredictRequest, tables: Tables) -> Rows:
    """Read rows into columns, whichever way they came; raises InvalidArgument when the columns do not fit together."""
    forms = bool(request.market_data), request.HasField("columns"), bool(request.arrow_ipc)
    if sum(forms) > 1:
        raise InvalidArgument("Expected one of rows, columns and Arrow, was more of them.", field="market_data")
    if request.arrow_ipc:
        return tables.rows(request.arrow_ipc)
    return _of_columns(request.columns) if request.HasField("columns") else _of_rows(request.market_data)


def _of_rows(messages: Sequence[pb.MarketDataRow]) -> Rows:
    _limit(len(messages))
    symbols, symbol = numbered([row.symbol for row in messages])
    return Rows(
        symbols=symbols,
        symbol=symbol,
        price=np.array([row.price for row in messages], np.float64),
        volume=np.array([row.volume for row in messages], np.float64),
        bid=np.array([row.bid for row in messages], np.float64),
        ask=np.array([row.ask for row in messages], np.float64),
        spread=np.array([row.spread for row in messages], np.float64),
        spread_given=np.array([row.HasField("spread") for row in messages], np.bool_),
        timestamp_ns=np.array([row.timestamp_ns for row in messages], np.int64),
    )


def _of_columns(columns: pb.MarketDataColumns) -> Rows:
    _limit(len(columns.price))
    numbers = {name: np.array(getattr(columns, name), np.float64) for name in _NUMBERS}
    time_ns = np.array(columns.timestamp_ns, np.int64)
    symbols, symbol = _symbols_of(columns)
    lengths = {"symbol": len(symbol), "timestamp_ns": len(time_ns)} | {name: len(numbers[name]) for name in numbers}
    if columns.spread:
        lengths["spread"] = len(columns.spread)
    if len(set(lengths.values())) > 1:
        raise InvalidArgument(f"Expected columns of one length, was {lengths}.", field="columns")
    if columns.spread:
        spread = np.array(columns.spread, np.float64)
        given = ~np.isnan(spread)
    else:
        spread, given = no_spread(len(time_ns))
    return Rows(
        symbols=symbols,
        symbol=symbol,
        spread=spread,
        spread_given=given,
        timestamp_ns=time_ns,
        columnar=True,
        **numbers,
    )


def _symbols_of(columns: pb.MarketDataColumns) -> tuple[Sequence[str], npt.NDArray[np.integer]]:
    if not columns.symbol_index:
        return numbered(columns.symbol)
    symbols, index = list(columns.symbol), np.array(columns.symbol_index, np.uint32)
    if index.max() >= len(symbols):
        raise InvalidArgument(
            f"Expected indices below {len(symbols)}, was {index.max()}.", field=f"symbol_index[{index.argmax()}]"
        )
    return symbols, index


def numbered(spellings: Iterable[str]) -> tuple[Sequence[str], npt.NDArray[np.integer]]:
    """Each spelling once, and which of them each row's is."""
    known: dict[str, int] = {}
    numbers = [known.setdefault(spelling, len(known)) for spelling in spellings]
    return list(known), np.array(numbers, np.intp)


def _limit(count: int) -> None:
    if count > MOST_ROWS:
        raise InvalidArgument(f"Expected at most {MOST_ROWS} rows, was {count}.", field="market_data")


def scores_wire(predictions: Column, confidence: Column, warm: Column, rest: rpc.PredictResponse) -> bytes:
    """The response with its long fields; as bytes, because a message would copy each number thrice."""
    fields = rpc.PredictResponse
    return b"".join(
        (
            _packed(fields.PREDICTIONS_FIELD_NUMBER, predictions),
            _packed(fields.CONFIDENCE_FIELD_NUMBER, confidence),
            _packed(fields.WARM_FIELD_NUMBER, warm),
            rest.SerializeToString(),
        )
    )


def _packed(field: int, values: Column) -> bytes:
    """A repeated field of doubles or booleans, whose wire form is that of the array."""
    body = values.tobytes()
    return b"".join((_varint(field << 3 | _LENGTH_DELIMITED), _varint(len(body)), body)) if body else b""


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
