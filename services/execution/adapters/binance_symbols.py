"""What Binance does with the orders of each symbol: its types of order, its trails, its amendments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.execution.adapters.binance_answers import UNKNOWN_SYMBOL, complaint, told
from services.execution.adapters.binance_orders import wire_type
from services.execution.adapters.binance_rest import BinanceRest
from services.execution.domain.order import OrderTerms
from trading.errors import Unavailable
from trading.order import OrderType, Side

_ALWAYS = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT"})
_WAITING = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


@dataclass(frozen=True, slots=True)
class SymbolRules:
    """The rules of one symbol; `trails` are the distances in basis points that a trailing stop may have, by side."""

    order_types: frozenset[str] = _ALWAYS
    trails: Mapping[Side, range] = field(default_factory=dict)
    amends: bool = False

    def work(self, terms: OrderTerms) -> bool:
        """Whether such an order may be sent as it is; only what waits for a price can be worked by somebody else."""
        if terms.order_type not in _WAITING:
            return True
        if terms.order_type is OrderType.TRAILING_STOP and terms.trail_bps not in self.trails.get(terms.side, ()):
            return False
        return wire_type(terms) in self.order_types


_UNREAD = SymbolRules()


class BinanceSymbols:
    """The rules of the symbols that are traded; of others, what every symbol offers."""

    def __init__(self, rest: BinanceRest, names: Sequence[str], log: Any) -> None:
        self.names = tuple(names)
        self._rest = rest
        self._log = log
        self._rules: dict[str, SymbolRules] = {}

    def rules(self, name: str) -> SymbolRules:
        """The rules of a symbol in Binance's spelling."""
        return self._rules.get(name, _UNREAD)

    async def read(self) -> None:
        """Read the rules again; what cannot be read stays as it was."""
        for name in self.names:
            try:
                answer = await self._rest.ask_public("/api/v3/exchangeInfo", {"symbol": name})
                said = complaint(answer)
                if said is None or said.code != UNKNOWN_SYMBOL:  # a share, say, is not listed there
                    self._rules[name] = _rules(told(answer)["symbols"][0])
            except (Unavailable, KeyError, IndexError, TypeError, ValueError) as error:
                self._log.warning("venue.rules_not_read", symbol=name, error=str(error))


def spelling(symbol: str) -> str:
    """How Binance writes a canonical symbol: BTC-USDT without the dash. A share, which it does not list, stays."""
    return symbol.replace("-", "")


def _rules(info: Mapping[str, Any]) -> SymbolRules:
    filters = {each["filterType"]: each for each in info["filters"]}
    trail = filters.get("TRAILING_DELTA") if info.get("allowTrailingStop") else None
    return SymbolRules(
        frozenset(info["orderTypes"]),
        {} if trail is None else {Side.BUY: _range(trail, "Above"), Side.SELL: _range(trail, "Below")},
        bool(info.get("amendAllowed")),
    )


def _range(trail: Mapping[str, Any], where: str) -> range:
    """A stop to buy trails above the market, one to sell below it."""
    return range(int(trail[f"minTrailing{where}Delta"]), int(trail[f"maxTrailing{where}Delta"]) + 1)
