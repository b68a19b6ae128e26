"""Counts of a venue's feed since the start of the service."""

from dataclasses import dataclass


@dataclass(slots=True)
class VenueCounts:
    """Quotes and trades read, blocks published, ticks dropped, connections made again."""

    quotes: int = 0
    trades: int = 0
    blocks: int = 0
    dropped: int = 0
    reconnects: int = 0
