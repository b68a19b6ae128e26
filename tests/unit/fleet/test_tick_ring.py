"""Ticks cross the ring whole: every column, the symbol's name, and their number."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from builders.market import a_quote_block, a_trade_block
from servers import wait_until

from fleet.ring import SEGMENTS
from fleet.tick_ring import (
    QUOTE,
    QUOTE_RECORD,
    TRADE,
    TRADE_RECORD,
    TickReader,
    TickWriter,
    create_tick_ring,
    main,
    of_kind,
    open_tick_ring,
)
from trading.errors import ResourceExhausted
from trading.ids import new_id

pytestmark = pytest.mark.skipif(not SEGMENTS.is_dir(), reason="POSIX shared memory is no folder here")


@contextmanager
def a_ring(symbols: int = 8) -> Iterator[tuple[TickWriter, TickReader, str]]:
    name = f"nt-test-{new_id()}"
    with create_tick_ring(name, ticks=1024, symbols=symbols) as writer, open_tick_ring(name) as reader:
        yield writer, reader, name


@pytest.mark.parametrize("count", [1, 5])
def test_a_block_of_quotes_arrives_with_every_column(count: int) -> None:
    block = a_quote_block(*[(at + 1, at + 1.5) for at in range(count)], received_ns=range(7, 7 + count))
    with a_ring() as (writer, reader, _):
        writer.write_quotes(block, 40)
        records = of_kind(reader.take(), QUOTE)

        assert records["sequence"].tolist() == list(range(40, 40 + count))
        assert [reader.listing(code) for code in records["instrument"]] == [("paper", "AAPL")] * count
        columns = ("event_time_ns", "receive_time_ns", "bid_nanos", "bid_size_nanos", "ask_nanos", "ask_size_nanos")
        for column in columns:
            assert records[column].tolist() == getattr(block, column).tolist()


@pytest.mark.parametrize("count", [1, 5])
def test_a_block_of_trades_arrives_with_every_column(count: int) -> None:
    block = a_trade_block(*[(at + 1, 2) for at in range(count)])
    with a_ring() as (writer, reader, _):
        writer.write_trades(block, 0)
        records = of_kind(reader.take(), TRADE)

        for column in ("event_time_ns", "receive_time_ns", "price_nanos", "size_nanos", "side_sign"):
            assert records[column].tolist() == getattr(block, column).tolist()


def test_quotes_and_trades_of_many_symbols_keep_their_order_and_are_told_apart() -> None:
    with a_ring() as (writer, reader, _):
        writer.write_quotes(a_quote_block((1, 2), (1, 2)), 0)
        writer.write_trades(a_trade_block((3, 1), symbol="MSFT"), 0)
        writer.write_quotes(a_quote_block((4, 5), symbol="BTC-USDT"), 0)
        records = reader.take()

        assert [reader.listing(code).symbol for code in records["instrument"]] == ["AAPL", "AAPL", "MSFT", "BTC-USDT"]
        assert (len(of_kind(records, QUOTE)), len(of_kind(records, TRADE))) == (3, 1)


def test_a_symbol_too_many_is_refused_and_the_others_go_on() -> None:
    with a_ring(symbols=1) as (writer, reader, _):
        for at in range(4):
            writer.write_quotes(a_quote_block((1, 2), symbol=f"A-RATHER-LONG-SYMBOL-{at}"), 0) if at < 2 else None
        with pytest.raises(ResourceExhausted):
            writer.write_quotes(a_quote_block((1, 2), symbol="A-RATHER-LONG-SYMBOL-TOO-MANY"), 0)
        writer.write_quotes(a_quote_block((1, 2), symbol="A-RATHER-LONG-SYMBOL-0"), 1)

        assert len(reader.take()) == 3


def test_both_kinds_are_sixty_four_bytes() -> None:
    assert (QUOTE_RECORD.itemsize, TRADE_RECORD.itemsize) == (64, 64)


def test_the_command_counts_every_tick_of_another_process() -> None:
    with a_ring() as (writer, reader, name):
        writer.write_quotes(a_quote_block((1, 2)), 0)
        with subprocess.Popen(
            [sys.executable, "-m", "fleet.tick_ring", name, "--oldest", "--silence", "1"], stdout=subprocess.PIPE
        ) as child:
            for at in range(50):
                writer.write_quotes(a_quote_block(*[(1, 2)] * 10), 1 + 10 * at)
                writer.write_trades(a_trade_block((1, 1), symbol="MSFT"), at)
            said = json.loads(child.communicate(timeout=60)[0])

        assert said == {"quotes": {"paper.AAPL": 501}, "trades": {"paper.MSFT": 50}, "lost": 0, "holes": 0}
        assert np.count_nonzero(reader.take()["kind"] == TRADE) == 50


def test_the_command_says_what_it_read_when_the_writer_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"nt-test-{new_id()}"
    with create_tick_ring(name, ticks=16, symbols=1) as writer:
        child = subprocess.Popen(
            [sys.executable, "-m", "fleet.tick_ring", name, "--oldest", "--silence", "30"], stdout=subprocess.PIPE
        )
        writer.write_quotes(a_quote_block((1, 2)), 0)
        maps = Path(f"/proc/{child.pid}/maps")
        wait_until(lambda: name in maps.read_text(), "the reader")
    said = json.loads(child.communicate(timeout=60)[0])

    assert said["quotes"] == {"paper.AAPL": 1}
    assert (main([name]), "no ring called" in capsys.readouterr().err) == (1, True)
