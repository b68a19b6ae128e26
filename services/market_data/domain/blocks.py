"""Parts and sums of blocks: some rows of one, or several one after another."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from trading.market import Block, TradeBlock

BlockT = TypeVar("BlockT", bound=Block)
Rows = npt.NDArray[np.bool_] | npt.NDArray[np.intp]


def picked(block: BlockT, rows: Rows) -> BlockT:
    """The rows of a mask or of an index, in its order; columns are copies."""
    index = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    columns: dict[str, Any] = {}
    for field in fields(block):
        value = getattr(block, field.name)
        if isinstance(value, tuple):
            columns[field.name] = tuple(value[row] for row in index)
        elif not isinstance(value, str):
            columns[field.name] = value[index]
    return replace(block, **columns)


def joined(blocks: Sequence[TradeBlock]) -> TradeBlock:
    """Trades of one symbol one after another; `blocks` is not empty."""
    if len(blocks) == 1:
        return blocks[0]
    names = [field.name for field in fields(TradeBlock) if field.name not in ("venue", "symbol", "trade_ids")]
    columns = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in names}
    ids = tuple(chain.from_iterable(block.trade_ids for block in blocks))
    return TradeBlock(blocks[0].venue, blocks[0].symbol, trade_ids=ids, **columns)
