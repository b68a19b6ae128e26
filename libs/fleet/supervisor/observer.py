"""Looks at a running fleet from outside: counters over gRPC, the book over REST, the venue's own counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from fleet.channels import connect
from fleet.http import http_client
from fleet.supervisor.books import Books, fold
from fleet.supervisor.supervisor import Fleet
from neuraltrader.common.v1.common_pb2 import Latency
from neuraltrader.execution.v1 import execution_pb2, execution_service_pb2
from neuraltrader.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from neuraltrader.inference.v1 import inference_service_pb2
from neuraltrader.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from neuraltrader.market_data.v1 import market_data_service_pb2
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from trading.money import parse_nanos

REQUEST_TIMEOUT_S = 10.0
STILL_ATTEMPTS = 200
STILL_WAIT_S = 0.02
FILLS_PAGE = 10_000
CLOSED = {"DENIED", "REJECTED", "CANCELED", "EXPIRED", "FILLED"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far each stage is."""

    venue_ticks: int
    ticks: int
    predictions: int
    signals: int
    orders: int
    fills: int
    is_replay: bool
    replay_ended: bool


class Observer:
    """Asks the fleet and its venue."""

    def __init__(self, fleet: Fleet, channels: dict[str, Any], gateway: httpx.AsyncClient, venue: Any) -> None:
        self._fleet = fleet
        self._market_data = MarketDataServiceStub(channels["market_data"])
        self._inference = InferenceServiceStub(channels["inference"])
        self._execution = ExecutionServiceStub(channels["execution"])
        self._gateway = gateway
        self._venue: httpx.AsyncClient | None = venue

    async def progress(self) -> Progress:
        """One look at every stage."""
        sent = await self._venue_stats()
        models = await self._inference.GetStats(inference_service_pb2.GetStatsRequest())
        orders = await self._execution.GetStats(execution_service_pb2.GetStatsRequest())
        replay = sent.get("replay") or {}
        return Progress(
            venue_ticks=_sent(sent),
            ticks=await self._ticks(),
            predictions=models.predictions,
            signals=models.signals,
            orders=sum(orders.orders_by_status.values()),
            fills=orders.fills,
            is_replay=bool(self._fleet.plan.market.files),
            replay_ended=replay.get("state") == "finished",
        )

    async def stop_trading(self) -> None:
        """Let no further signal become an order."""
        now = await self._execution.GetSignalTrading(execution_service_pb2.GetSignalTradingRequest())
        now.signal_trading.enabled = False
        request = execution_service_pb2.SetSignalTradingRequest(signal_trading=now.signal_trading, actor="demo")
        await self._execution.SetSignalTrading(request)

    async def is_settled(self) -> bool:
        """Every order is closed, and the book holds every fill."""
        stats = await self._execution.GetStats(execution_service_pb2.GetStatsRequest())
        working = sum(count for status, count in stats.orders_by_status.items() if status not in CLOSED)
        if working or stats.outbox_depth:
            return False
        booked = fold(await self._fills(), await self._opening_cash())
        return await self._book() == booked

    async def facts(self) -> dict[str, Any]:
        """The report's figures, every one asked from the fleet or computed from its fills."""
        venue_ticks, ticks = await self._still_ticks()
        models = await self._inference.GetStats(inference_service_pb2.GetStatsRequest())
        orders = await self._execution.GetStats(execution_service_pb2.GetStatsRequest())
        fills = await self._fills()
        opening = await self._opening_cash()
        folded, book = fold(fills, opening), await self._book()
        account = await self._get("/v1/account")
        return {
            "ticks": {"venue": venue_ticks, "market_data": ticks, "lost": max(venue_ticks - ticks, 0)},
            "predictions": models.predictions,
            "signals": models.signals,
            "missed_ticks": models.missed_ticks,
            "orders": dict(sorted(orders.orders_by_status.items())),
            "fills": len(fills),
            "books": {
                "positions_equal_fills": book.positions == folded.positions,
                "cash_exact": book.cash_nanos == folded.cash_nanos,
            },
            "positions": (await self._get("/v1/positions"))["positions"],
            "pnl": {"equity": account["equity"], "cash": account["cash"], "day_pnl": account["day_pnl"]},
            "latency_us": {
                "tick_to_signal": _microseconds(models.tick_to_signal),
                "tick_to_order_reply": _microseconds(orders.tick_to_order_reply),
            },
        }

    async def _still_ticks(self) -> tuple[int, int]:
        """Both counts at a moment when nothing is on its way; a live market pauses between two ticks."""
        for _ in range(STILL_ATTEMPTS):
            before = _sent(await self._venue_stats())
            ticks = await self._ticks()
            if before == ticks:
                return before, ticks
            await asyncio.sleep(STILL_WAIT_S)
        return before, ticks

    async def _ticks(self) -> int:
        stats = await self._market_data.GetStats(market_data_service_pb2.GetStatsRequest())
        return sum(venue.quotes + venue.trades for venue in stats.venues)

    async def _venue_stats(self) -> dict[str, Any]:
        if self._venue is None:  # a venue of the world does not count for us
            return {"quotes_sent": await self._ticks(), "trades_sent": 0}
        stats: dict[str, Any] = (await self._venue.get("/stats")).raise_for_status().json()
        return stats

    async def _fills(self) -> list[execution_pb2.Fill]:
        fills: list[execution_pb2.Fill] = []
        while True:
            after = fills[-1].log_sequence if fills else 0
            request = execution_service_pb2.ListFillsRequest(after_log_sequence=after, page_size=FILLS_PAGE)
            page = await self._execution.ListFills(request)
            fills.extend(page.fills)
            if not page.has_more:
                return fills

    async def _opening_cash(self) -> int:
        accounts = await self._execution.ListAccounts(execution_service_pb2.ListAccountsRequest())
        return accounts.accounts[0].opening_cash_nanos

    async def _book(self) -> Books:
        positions = (await self._get("/v1/positions"))["positions"]
        held = {row["symbol"]: parse_nanos(row["quantity"]) for row in positions}
        cash = parse_nanos((await self._get("/v1/account"))["cash"])
        return Books({symbol: quantity for symbol, quantity in held.items() if quantity}, cash)

    async def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self._gateway.get(path)).raise_for_status().json()
        return answer


@asynccontextmanager
async def observer(fleet: Fleet) -> AsyncIterator[Observer]:
    """An observer of `fleet`, connected for the block."""
    async with AsyncExitStack() as stack:
        channels = {
            name: await stack.enter_async_context(
                connect(address, token=fleet.token, client="demo", default_timeout_s=REQUEST_TIMEOUT_S)
            )
            for name, address in fleet.plan.grpc_addresses.items()
        }
        key = {"Authorization": f"Bearer {fleet.api_key}"}
        gateway = await stack.enter_async_context(
            http_client(fleet.plan.gateway_url, headers=key, timeout_s=REQUEST_TIMEOUT_S)
        )
        venue = None
        if fleet.venue:
            alpaca = fleet.venue["alpaca"]
            venue = await stack.enter_async_context(
                http_client(alpaca["rest"], headers={}, timeout_s=REQUEST_TIMEOUT_S)
            )
        yield Observer(fleet, channels, gateway, venue)


def _sent(stats: dict[str, Any]) -> int:
    return int(_total(stats["quotes_sent"]) + _total(stats["trades_sent"]))


def _total(counts: Any) -> int:
    return sum(counts.values()) if isinstance(counts, dict) else int(counts)


def _microseconds(latency: Latency) -> dict[str, float]:
    return {"p50": round(latency.p50_ns / 1000, 1), "p99": round(latency.p99_ns / 1000, 1)}
