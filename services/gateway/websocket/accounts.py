"""Accounts that somebody follows, looked at now and then: their worth moves with every quote."""

import asyncio
from typing import Any

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway.backends import Backends
from services.gateway.schemas.book import Account, account_view
from services.gateway.websocket.frames import Channel, frame
from services.gateway.websocket.hub import Hub
from trading.errors import TradingError


class AccountWatch:
    """Publishes an account when it has changed."""

    def __init__(self, fleet: Backends, hub: Hub, *, interval_s: float, log: Any) -> None:
        self._fleet = fleet
        self._hub = hub
        self._interval_s = interval_s
        self._log = log
        self._seen: dict[str, Account] = {}

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            for name in self._hub.followed_keys(Channel.ACCOUNT):
                await self._look(name)

    async def _look(self, name: str) -> None:
        try:
            answer = await self._fleet.portfolio.GetAccount(rpc.GetAccountRequest(account=name))
        except TradingError as error:
            self._log.debug("stream.account.failed", account=name, error=error.message)
            return
        account = account_view(answer.account)
        if account != self._seen.get(name):
            self._seen[name] = account
            self._hub.publish(frame(Channel.ACCOUNT, name, account, self._fleet.clock.now_ns()))
