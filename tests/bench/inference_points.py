"""100,000 points over 10 symbols, the same for us and for whoever is measured beside us; needs NumPy alone."""

from pathlib import Path
from typing import Any

import numpy as np

ROWS, SYMBOLS = 100_000, 10
FIRST_NS = 1_700_000_000_000_000_000


def points(rows: int = ROWS, symbols: int = SYMBOLS, seed: int = 1) -> dict[str, Any]:
    """Columns in the order of time: a number of the symbol, price, volume, bid, ask, timestamp_ns."""
    random = np.random.default_rng(seed)
    symbol = random.integers(0, symbols, rows)
    price = np.empty(rows)
    for number in range(symbols):
        own = np.flatnonzero(symbol == number)
        price[own] = 100 * (1 + number) * np.exp(np.cumsum(random.standard_normal(len(own)) * 2e-4))
    half = price * 1e-4 * (1 + random.random(rows))
    return {
        "symbol": symbol.astype(np.uint8),
        "price": price,
        "volume": random.exponential(100, rows),
        "bid": price - half,
        "ask": price + half,
        "timestamp_ns": FIRST_NS + np.cumsum(random.integers(1, 1_000_000, rows)),
    }


def spellings(symbols: int = SYMBOLS) -> list[str]:
    """The symbols' names."""
    return [f"SYM{number}" for number in range(symbols)]


def write_points(folder: Path) -> None:
    """Each column as a file of NumPy's."""
    for name, column in points().items():
        np.save(folder / f"{name}.npy", column)
