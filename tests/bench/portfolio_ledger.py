"""The book: a million fills through the exact fold, and through the durable store with a restart in the middle."""

import asyncio
import gc
import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fleet.database import open_database
from services.portfolio.adapters.sql_book import open_book
from services.portfolio.domain.account import AccountBook
from services.portfolio.domain.entries import Fill, fills_in_order
from services.portfolio.domain.ledger import Ledger
from tests import servers
from tests.bench.result import Result
from trading.order import Side

FILLS = 1_000_000
STORED = 100_000
"""Fills of the durable runs."""
BATCH = 20_000
ACCOUNTS, SYMBOLS = ("main", "second", "third"), tuple(f"S{number}" for number in range(200))


def run() -> Iterator[Result]:
    """`portfolio.ledger` is the fold; the store's rates, duplicates and a replay included, are beside it."""
    fills = some_fills(FILLS)
    gc.freeze()  # a million tuples of the benchmark's own are no garbage to look through
    cpu = time.process_time()
    ledger, fold_s = _folded(fills)
    cpu = time.process_time() - cpu
    stored = fills[:STORED]
    del fills
    extra: dict[str, Any] = {
        "batch": BATCH,
        "positions": len(ledger.positions),
        "fold_cpu_us": round(cpu / FILLS * 1e6, 2),
    }
    with tempfile.TemporaryDirectory(dir=".") as folder:
        extra |= _named("sqlite", asyncio.run(_durable(stored, "", Path(folder))))
    binaries = servers.postgres_binaries()
    if binaries is not None:
        with tempfile.TemporaryDirectory(dir=".") as folder, servers.postgres_server(Path(folder), binaries) as url:
            extra |= _named("postgres", asyncio.run(_durable(stored, url, Path(folder))))
    yield Result("portfolio.ledger", "fills/s", round(FILLS / fold_s), FILLS, extra=extra)


def some_fills(count: int, seed: int = 1) -> list[Fill]:
    """Fills of three accounts in the order of the log; ids are hashes, as execution's are."""
    dice = np.random.default_rng(seed)

    def drawn(low: int, high: int) -> list[int]:
        found: list[int] = dice.integers(low, high, count).tolist()
        return found

    sides = tuple(Side)
    rows = zip(
        drawn(0, len(ACCOUNTS)),
        drawn(0, len(SYMBOLS)),
        drawn(0, 2),
        drawn(10**9, 10**12),
        drawn(10**6, 10**11),
        drawn(0, 10**6),
        strict=True,
    )
    return [
        Fill(
            hashlib.sha256(b"%d" % number).hexdigest()[:36],
            ACCOUNTS[account],
            SYMBOLS[symbol],
            "USD" if symbol % 7 else "EUR",
            sides[side],
            price,
            quantity,
            fee,
            f"order-{number}",
            f"execution-{number}",
            number * 1000,
            number,
        )
        for number, (account, symbol, side, price, quantity, fee) in enumerate(rows, 1)
    ]


def _folded(fills: list[Fill]) -> tuple[Ledger, float]:
    """In batches, put in order each, as the store does it."""
    ledger = Ledger()
    began = time.perf_counter()
    for first in range(0, len(fills), BATCH):
        ledger.post_fills(fills_in_order(fills[first : first + BATCH]))
    return ledger, time.perf_counter() - began


async def _durable(fills: list[Fill], url: str, folder: Path) -> dict[str, float]:
    """A restart in the middle, a batch that is told twice, and a replay of everything at the end."""
    words = {"service": "portfolio", "data_dir": folder, "migrations": "services.portfolio.migrations"}
    half, booking_cpu = len(fills) // 2, 0.0
    told_again, elapsed = fills[:half], 0.0
    for stretch in (fills[:half], fills[half - BATCH :]):
        async with open_database(url, **words) as database, open_book(database) as book:  # type: ignore[arg-type]
            began, cpu = time.perf_counter(), time.process_time()
            for first in range(0, len(stretch), BATCH):
                await book.apply(stretch[first : first + BATCH])
            elapsed, booking_cpu = elapsed + time.perf_counter() - began, booking_cpu + time.process_time() - cpu
            replay = time.perf_counter()
            for first in range(0, half, BATCH):
                await book.apply(told_again[first : first + BATCH])
            replay_s = time.perf_counter() - replay
            _require_equal(told_again if stretch[0] is fills[0] else fills, [await book.read(a) for a in ACCOUNTS])
    return {
        "durable_per_s": round(len(fills) / elapsed),
        "durable_cpu_us": round(booking_cpu / len(fills) * 1e6, 2),
        "replay_per_s": round(half / replay_s),
    }


def _require_equal(fills: list[Fill], books: list[AccountBook]) -> None:
    """The stored books are the fold, one fill after the other."""
    ledger = Ledger()
    for fill in fills:
        ledger.post(fill)
    found = {position.key: position for book in books for position in book.positions}
    cash = {(book.totals.account, currency): cash for book in books for currency, cash in book.cash.items()}
    if found != ledger.positions or cash != ledger.cash:
        raise AssertionError("The stored book is not the fold of its fills.")


def _named(database: str, rates: dict[str, float]) -> dict[str, float]:
    return {f"{database}_{name}": value for name, value in rates.items()}
