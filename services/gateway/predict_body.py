"""Rows of market data from JSON to the fleet's columns, and its answer to JSON; pure, so that any process can do it."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from neuraltrader.inference.v1 import inference_pb2 as pb
from neuraltrader.inference.v1 import inference_service_pb2 as rpc
from services.gateway.typed_body import no_json, said_of, shapes_of
from trading.errors import InvalidArgument
from trading.money import MAX_NANOS

MOST_ROWS = 100_000
_NUMBERS = ("price", "volume", "bid", "ask")
_PLACE = re.compile(r"(\w+)\[(\d+)\]")
_ABSENT = float("nan")

Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
Price = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Nanoseconds = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,19}$")] | Annotated[int, msgspec.Meta(ge=0, le=MAX_NANOS)]


class MarketDataRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One row of market data to score."""

    symbol: Symbol
    price: Price
    volume: NotNegative
    timestamp_ns: Nanoseconds
    bid: NotNegative
    ask: NotNegative
    spread: float | None = None


class PredictRows(msgspec.Struct, forbid_unknown_fields=True):
    """Rows to score."""

    market_data: Annotated[list[MarketDataRow], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]


class PredictColumns(msgspec.Struct, forbid_unknown_fields=True):
    """Rows to score, as columns of equal length."""

    symbol: Annotated[list[Symbol], msgspec.Meta(min_length=1, max_length=MOST_ROWS)]
    price: list[Price]
    volume: list[NotNegative]
    timestamp_ns: list[Nanoseconds]
    bid: list[NotNegative]
    ask: list[NotNegative]
    spread: list[float] | None = None


class Read(NamedTuple):
    """What became of a body: the columns in their wire form, or why there are none and what of the body is wrong."""

    columns: bytes = b""
    as_rows: bool = False
    malformed: str = ""
    wrong: str = ""
    field: str = ""


FORMS = (PredictRows.__name__, PredictColumns.__name__)
_ROWS = msgspec.json.Decoder(PredictRows)
_COLUMNS = msgspec.json.Decoder(PredictColumns)


def shapes() -> dict[str, Any]:
    """The JSON schemas of the bodies, by name."""
    return shapes_of(PredictRows, PredictColumns)


@no_json(lambda why: Read(malformed=why))
def read(body: bytes) -> Read:
    """Read rows or columns; nothing is raised."""
    try:
        return _read_rows(body)
    except msgspec.ValidationError as error:
        as_rows = _refused(error)
    if as_rows.field.startswith("market_data"):
        msgspec.json.decode(body)  # what comes after the wrong value may not even be JSON
        return as_rows
    try:
        return _read_columns(body)
    except msgspec.ValidationError as error:
        msgspec.json.decode(body)
        as_columns = _refused(error)
        return as_rows if "`market_data`" in as_columns.wrong else as_columns


def _refused(error: msgspec.ValidationError) -> Read:
    said, field = said_of(error)
    return Read(wrong=said, field=field)


def _read_rows(body: bytes) -> Read:
    rows = _ROWS.decode(body).market_data
    times = [int(row.timestamp_ns) for row in rows]
    if max(times) > MAX_NANOS:
        return _too_late(f"market_data.{times.index(max(times))}.timestamp_ns")
    symbols, index = _numbered(row.symbol for row in rows)
    spread = [_ABSENT if row.spread is None else row.spread for row in rows]
    columns = pb.MarketDataColumns(
        symbol=symbols,
        symbol_index=index,
        price=[row.price for row in rows],
        volume=[row.volume for row in rows],
        timestamp_ns=times,
        bid=[row.bid for row in rows],
        ask=[row.ask for row in rows],
        spread=spread if any(row.spread is not None for row in rows) else (),
    )
    return Read(columns.SerializeToString(), as_rows=True)


def _read_columns(body: bytes) -> Read:
    found = _COLUMNS.decode(body)
    given = {name: getattr(found, name) for name in PredictColumns.__struct_fields__}
    lengths = {name: len(column) for name, column in given.items() if column is not None}
    if len(set(lengths.values())) > 1:
        return Read(wrong=f"Expected columns of one length, was {lengths}.")
    times = list(map(int, found.timestamp_ns))
    if times and max(times) > MAX_NANOS:
        return _too_late(f"timestamp_ns.{times.index(max(times))}")
    symbols, index = _numbered(found.symbol)
    columns = pb.MarketDataColumns(
        symbol=symbols,
        symbol_index=index,
        price=found.price,
        volume=found.volume,
        timestamp_ns=times,
        bid=found.bid,
        ask=found.ask,
        spread=found.spread or (),
    )
    return Read(columns.SerializeToString())


def _too_late(field: str) -> Read:
    return Read(wrong=f"Expected nanoseconds of a time before 2262, at most {MAX_NANOS}.", field=field)


def _numbered(spellings: Iterable[str]) -> tuple[Sequence[str], list[int]]:
    """Each spelling once, and which of them each row's is."""
    known: dict[str, int] = {}
    index = [known.setdefault(spelling, len(known)) for spelling in spellings]
    return list(known), index


def pointed(error: InvalidArgument, *, as_rows: bool) -> InvalidArgument:
    """An error about a place in a column, pointing at where that is in the body."""
    place = _PLACE.fullmatch(str(error.metadata.get("field", "")))
    if place is None:
        return error
    name, row = place.groups()
    facts = error.metadata | {"field": f"market_data.{row}.{name}" if as_rows else f"{name}.{row}"}
    message = error.message.replace(place[0], f"market_data[{row}].{name}") if as_rows else error.message
    return InvalidArgument(message, reason=error.reason, **facts)


def reply(wire: bytes) -> bytes:
    """A response of the fleet as JSON."""
    answer = rpc.PredictResponse.FromString(wire)
    return msgspec.json.encode(
        {
            "predictions": list(answer.predictions),
            "confidence": list(answer.confidence),
            "calibrated": answer.calibrated,
            "warm": list(answer.warm),
            "model": answer.model,
            "version": answer.version,
            "device": answer.device,
            "latency_ms": answer.latency_ms,
        }
    )
