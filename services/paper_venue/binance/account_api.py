"""The account as Binance's customers ask for it: balances, commissions, and how many orders have been sent."""

from services.paper_venue.binance.limits import Limits
from services.paper_venue.binance.listing import Listing
from services.paper_venue.binance.order_params import BASIS_POINT
from services.paper_venue.binance.order_payloads import balances
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.texts import decimal
from services.paper_venue.domain.account import Account
from trading.clock import Clock


class AccountApi:
    """The handlers of the signed calls about the account; all raise ApiError."""

    def __init__(self, account: Account, listing: Listing, limits: Limits, clock: Clock) -> None:
        self._account = account
        self._listing = listing
        self._limits = limits
        self._clock = clock

    def account(self, params: Params) -> object:
        """What the account holds and pays."""
        fees = self._account.rules.fees
        held = balances(self._account, self._listing.pairs)
        skips_empty = params.flag("omitZeroBalances", default=False)
        return {
            "makerCommission": fees.maker_bps,
            "takerCommission": fees.taker_bps,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": self._rates(),
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": params.unit.of(self._clock.now_ns()),
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": decimal(free), "locked": decimal(locked)}
                for asset, free, locked in held
                if free or locked or not skips_empty
            ],
            "permissions": ["SPOT"],
            "uid": 1,
        }

    def commission(self, params: Params) -> object:
        """What fills of a pair are charged."""
        none = {name: decimal(0) for name in ("maker", "taker", "buyer", "seller")}
        return {
            "symbol": self._listing.find(params.text("symbol")).name,
            "standardCommission": self._rates(),
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": decimal(0),
            },
        }

    def order_limits(self, params: Params) -> object:
        """How many orders have been sent."""
        return self._limits.order_status()

    def _rates(self) -> dict[str, str]:
        fees = self._account.rules.fees
        bps = {"maker": fees.maker_bps, "taker": fees.taker_bps, "buyer": 0, "seller": 0}
        return {name: decimal(each * BASIS_POINT) for name, each in bps.items()}
