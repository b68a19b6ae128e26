"""Published blocks and bars as the frames that the history stores, cut at the borders of its periods."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
import polars as pl

from services.market_data.domain.history import STORED_COLUMNS, Kind, Partition, Period, stretch_of
from services.market_data.domain.history_buffer import Recorded
from trading.market import Bar, Interval, QuoteBlock, TradeBlock

_TYPES: dict[str, pl.DataType] = {"volume": pl.Float64(), "side_sign": pl.Int8(), "trade_id": pl.String()}
SCHEMAS: dict[Kind, pl.Schema] = {
    kind: pl.Schema({name: _TYPES.get(name, pl.Int64()) for name in columns})
    for kind, columns in STORED_COLUMNS.items()
}
PATH_SCHEMA = pl.Schema({"interval": pl.String(), "venue": pl.String(), "symbol": pl.String(), "date": pl.String()})


def recorded_frames(recorded: Recorded) -> Iterator[tuple[Partition, pl.DataFrame]]:
    """Everything of one flush, by partition, sorted by time."""
    quotes: defaultdict[tuple[str, str], list[QuoteBlock]] = defaultdict(list)
    for block in recorded.quotes:
        quotes[block.venue, block.symbol].append(block)
    for (venue, symbol), blocks in quotes.items():
        yield from partitioned(Kind.QUOTES, venue, symbol, None, _quotes(blocks))
    trades: defaultdict[tuple[str, str], list[TradeBlock]] = defaultdict(list)
    for prints in recorded.trades:
        trades[prints.venue, prints.symbol].append(prints)
    for (venue, symbol), all_prints in trades.items():
        yield from partitioned(Kind.TRADES, venue, symbol, None, _trades(all_prints))
    bars: defaultdict[tuple[str, str, str], list[Bar]] = defaultdict(list)
    for bar in recorded.bars:
        bars[bar.venue, bar.symbol, bar.interval].append(bar)
    for (venue, symbol, interval), found in bars.items():
        yield from partitioned(Kind.BARS, venue, symbol, Interval(interval), bar_frame(found))


def partitioned(
    kind: Kind, venue: str, symbol: str, interval: Interval | None, frame: pl.DataFrame
) -> Iterator[tuple[Partition, pl.DataFrame]]:
    """A frame of one venue and symbol, cut at midnight or wherever its periods end, sorted by time."""
    time = STORED_COLUMNS[kind][0]
    if not frame[time].is_sorted():
        frame = frame.sort(time, maintain_order=True)
    while len(frame):
        period = Period.holding(frame[time][0], stretch_of(interval))
        rows = frame[time].search_sorted(period.end_ns, side="left")
        yield Partition(kind, venue, symbol, period, interval), frame[:rows]
        frame = frame[rows:]


def bar_frame(bars: Sequence[Bar]) -> pl.DataFrame:
    """Bars as the store keeps them; venue, symbol and interval are not among its columns."""
    rows = [
        (
            bar.timestamp_ns,
            bar.open_nanos,
            bar.high_nanos,
            bar.low_nanos,
            bar.close_nanos,
            bar.volume,
            bar.vwap_nanos,
            bar.trade_count,
        )
        for bar in bars
    ]
    return pl.DataFrame(rows, schema=SCHEMAS[Kind.BARS], orient="row")


def _quotes(blocks: Sequence[QuoteBlock]) -> pl.DataFrame:
    return pl.DataFrame(
        {name: np.concatenate([getattr(block, name) for block in blocks]) for name in STORED_COLUMNS[Kind.QUOTES]}
    )


def _trades(blocks: Sequence[TradeBlock]) -> pl.DataFrame:
    names = STORED_COLUMNS[Kind.TRADES][:-2]
    columns = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in names}
    signs = np.concatenate([block.side_sign for block in blocks]).astype(np.int8)
    ids = list(chain.from_iterable(block.trade_ids or [""] * len(block) for block in blocks))
    return pl.DataFrame(columns).with_columns(
        pl.Series("side_sign", signs), pl.Series("trade_id", ids, dtype=pl.String())
    )
