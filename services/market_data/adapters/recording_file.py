"""A recording as Parquet: every quote and trade in the order of arrival, and a table of the gaps beside it.

`FILE.parquet` has the columns of `SCHEMA`; a quote has no price, a trade has no bid and ask. `FILE.gaps.parquet` has
those of `GAPS`, also when there were none. Both appear by a rename at the end, the gaps first; until then the rows are
in `FILE.parquet.partial`, so that nobody takes half a recording for a whole one.
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from services.market_data.domain.feed import VenueStatus
from services.market_data.domain.gaps import Gap
from services.market_data.domain.recording import RecordedCounts
from trading.market import Bar, Block, QuoteBlock, TradeBlock
from trading.money import ONE

_WORD = pa.dictionary(pa.int32(), pa.string())
_QUOTE_AMOUNTS = ("bid", "bid_size", "ask", "ask_size")
_TRADE_AMOUNTS = ("price", "size")
_SIDES = np.array(["sell", None, "buy"], object)
SCHEMA = pa.schema(
    [
        ("kind", _WORD),
        ("venue", _WORD),
        ("symbol", _WORD),
        ("sequence", pa.int64()),
        ("event_time_ns", pa.int64()),
        ("receive_time_ns", pa.int64()),
        *((name, pa.float64()) for name in (*_QUOTE_AMOUNTS, *_TRADE_AMOUNTS)),
        ("side", _WORD),
        ("trade_id", pa.string()),
    ],
    {"about": "Times in ns UTC: the venue's and ours. sequence counts each symbol's quotes and trades without a hole."},
)
GAPS = pa.schema(
    [
        ("venue", pa.string()),
        ("symbol", pa.string()),
        ("from_time_ns", pa.int64()),
        ("to_time_ns", pa.int64()),
        ("reason", pa.string()),
    ]
)
ROWS_PER_GROUP = 65_536


class RecordingFile:
    """A MarketPublisher that writes; used as a context, it keeps the recording unless the block fails."""

    def __init__(self, path: Path) -> None:
        self.counts = RecordedCounts()
        self._path, self._partial = path, path.with_name(f"{path.name}.partial")
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._gaps: list[Gap] = []
        self._turn = asyncio.Lock()

    @property
    def gaps_path(self) -> Path:
        """Where the table of gaps is."""
        return self._path.with_name(f"{self._path.stem}.gaps.parquet")

    async def __aenter__(self) -> Self:
        self._writer = pq.ParquetWriter(self._partial, SCHEMA, compression="zstd")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._write()
        finally:
            self._writer.close()
        if error is None:
            await asyncio.to_thread(self._keep)
        else:
            self._partial.unlink(missing_ok=True)

    async def quotes(self, block: QuoteBlock, first_sequence: int) -> None:
        self.counts.quotes += len(block)
        amounts = (block.bid_nanos, block.bid_size_nanos, block.ask_nanos, block.ask_size_nanos)
        columns = {name: column / ONE for name, column in zip(_QUOTE_AMOUNTS, amounts, strict=True)}
        await self._add("quote", block, first_sequence, columns)

    def quotes_at_once(self, block: QuoteBlock, first_sequence: int) -> bool:
        """Nobody waits for a file."""
        return False

    async def trades(self, block: TradeBlock, first_sequence: int) -> None:
        self.counts.trades += len(block)
        columns: dict[str, Any] = {"price": block.price_nanos / ONE, "size": block.size_nanos / ONE}
        columns["side"] = _words(_SIDES[block.side_sign + 1])
        columns["trade_id"] = list(block.trade_ids)
        await self._add("trade", block, first_sequence, columns)

    async def bar(self, bar: Bar) -> None:
        """Bars can be made from the trades again."""

    async def gap(self, gap: Gap) -> None:
        self.counts.gaps += 1
        self._gaps.append(gap)

    async def status(self, status: VenueStatus) -> None:
        """A venue's state shows in the gaps."""

    async def _add(self, kind: str, block: Block, first_sequence: int, columns: dict[str, Any]) -> None:
        count = len(block)
        columns |= {name: _same(text, count) for name, text in _names(kind, block).items()}
        columns["sequence"] = np.arange(first_sequence, first_sequence + count)
        columns["event_time_ns"], columns["receive_time_ns"] = block.event_time_ns, block.receive_time_ns
        arrays = [
            pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
            for field in SCHEMA
        ]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        self._rows += count
        if self._rows >= ROWS_PER_GROUP:
            await self._write()

    async def _write(self) -> None:
        async with self._turn:
            waiting, self._waiting, self._rows = self._waiting, [], 0
            if waiting:
                table = pa.Table.from_batches(waiting).unify_dictionaries().combine_chunks()
                await asyncio.to_thread(self._writer.write_table, table, ROWS_PER_GROUP)

    def _keep(self) -> None:
        rows = [[getattr(gap, name) for gap in self._gaps] for name in GAPS.names]
        partial = self.gaps_path.with_name(f"{self.gaps_path.name}.partial")
        pq.write_table(pa.Table.from_arrays([pa.array(row, field.type) for row, field in zip(rows, GAPS, strict=True)],
                                            schema=GAPS), partial)  # fmt: skip
        partial.replace(self.gaps_path)
        self._partial.replace(self._path)


def _names(kind: str, block: Block) -> dict[str, str]:
    return {"kind": kind, "venue": block.venue, "symbol": block.symbol}


def _same(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def _words(texts: "np.ndarray[Any, Any]") -> pa.DictionaryArray:
    return pa.array(texts, pa.string()).dictionary_encode()
