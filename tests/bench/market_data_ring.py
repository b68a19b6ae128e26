"""The shared-memory ring: what a tick costs to write and to read, beside Arrow, a copy, and a queue through a pipe."""

import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import numpy as np
import pyarrow as pa

from fleet.blocks import decode_quotes, encode_quotes
from fleet.tick_ring import TickReader, TickWriter, create_tick_ring, open_tick_ring
from tests.bench.result import Result, beside
from trading.ids import new_id
from trading.market import QuoteBlock

BLOCK = 256
BLOCKS = 4_000
SINGLES = 100_000
QUEUED = 200
ROUNDS = 5


def ring() -> Iterator[Result]:
    """ns per tick, written and read, in blocks of 256; the best of five rounds of each."""
    block, single = quotes(BLOCK), quotes(1)
    with create_tick_ring(f"nt-bench-{new_id()}", ticks=1 << 16, symbols=16) as writer:
        name = writer.name
        with open_tick_ring(name) as reader:
            ours = _best(lambda: _through_ring(writer, reader, block), BLOCKS) / BLOCK
            write_one = _best(lambda: writer.write_quotes(single, 0), SINGLES)
            write = _best(lambda: writer.write_quotes(block, 0), BLOCKS) / BLOCK
            read_one = _best(lambda: _through_ring(writer, reader, single), SINGLES) - write_one
    extra = {
        "write_ns": round(write, 1),
        "read_ns": round(ours - write, 1),
        "write_ns_one_at_a_time": round(write_one, 1),
        "read_ns_one_at_a_time": round(read_one, 1),
        "arrow_ns": round(_best(lambda: _through_arrow(block), BLOCKS) / BLOCK, 1),
        "copy_ns": round(_best(lambda: _through_copy(block), BLOCKS) / BLOCK, 1),
        "protobuf_block_ns": round(_best(lambda: decode_quotes(encode_quotes(block, 0, "")), BLOCKS) / BLOCK, 1),
        "queue_ns_one_at_a_time": _queue_ns(single, QUEUED * 20),
        "seed_us": {"copy": 50, "arrow": 5, "ring": 1},
    }
    result = Result("market_data.ring", "ns/tick", round(ours, 1), BLOCK * BLOCKS, extra=extra)
    version = f"multiprocessing of Python {platform.python_version()}"
    yield beside(result, "queue through a pipe, block by block", version, _queue_ns(block), ratio_of="peer/ours")


def quotes(count: int) -> QuoteBlock:
    """Some quotes."""
    column = np.arange(count, dtype=np.int64)
    return QuoteBlock("paper", "AAPL", column, column, column, column, column, column)


def _through_ring(writer: TickWriter, reader: TickReader, block: QuoteBlock) -> None:
    writer.write_quotes(block, 0)
    taken = reader.take()
    while len(taken) < len(block):  # the block lay across the end of the ring
        taken = np.concatenate((taken, reader.take()))


def _through_arrow(block: QuoteBlock) -> None:
    """The block as an Arrow IPC stream, and back."""
    batch = pa.record_batch(_columns(block), names=list("abcdef"))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    pa.ipc.open_stream(sink.getvalue()).read_all()


def _through_copy(block: QuoteBlock) -> None:
    """The block as Python objects, one for each tick, as a copy between two runtimes makes them."""
    rows = list(zip(*(column.tolist() for column in _columns(block)), strict=True))
    np.array(rows, np.int64)


def _columns(block: QuoteBlock) -> list[np.ndarray]:
    return [
        block.event_time_ns,
        block.receive_time_ns,
        block.bid_nanos,
        block.bid_size_nanos,
        block.ask_nanos,
        block.ask_size_nanos,
    ]


def _queue_ns(block: QuoteBlock, blocks: int = QUEUED) -> float:
    """What a tick costs through a pipe to another process, blocks pickled, acknowledged at the end."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_drain, args=(theirs,), daemon=True)
    child.start()
    columns = _columns(block)
    ours.send(columns)
    ours.recv()  # it runs
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(blocks):
            ours.send(columns)
        ours.send(None)
        ours.recv()
        times.append((time.perf_counter_ns() - began) / (blocks * len(block)))
    child.terminate()
    child.join()
    return round(min(times), 1)


def _drain(pipe: Connection) -> None:
    pipe.recv()
    pipe.send(None)
    while True:
        while pipe.recv() is not None:
            continue
        pipe.send(None)


def _best(run: Callable[[], object], count: int) -> float:
    """ns of one call, the fastest round's mean."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter_ns()
        for _ in range(count // ROUNDS):
            run()
        times.append((time.perf_counter_ns() - began) / (count // ROUNDS))
    return min(times)
