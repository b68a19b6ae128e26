"""What a recording holds so far."""

from dataclasses import dataclass


@dataclass(slots=True)
class RecordedCounts:
    """Quotes, trades and gaps written; `complaint` says what was wrong with a part of the venue."""

    quotes: int = 0
    trades: int = 0
    gaps: int = 0
    complaint: str = ""

    def __str__(self) -> str:
        return f"{self.quotes:,} quotes, {self.trades:,} trades, {self.gaps:,} gaps"
